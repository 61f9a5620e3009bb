"""What one kiosk is told to do: each command checked, recognised when it comes again, taken once.

Enters: messages of its link. Leaves: the answer to each; texts to its playlist, changes to whoever applies
them. Does not know where answers go.

A command is answered when it is certain what it is worth: it is well formed, may be obeyed, was never taken
before, and has its place behind those that came earlier. Then it is noted in the ledger. Nothing waits for
that but two: its text is not signed before (`Entry.noted`), and the broker may not forget the command before
(`Order.noted`). So whatever ends in between, it is delivered again, recognised, and done once.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from stream.errors import Refusal
from stream.events import Message
from stream.kiosk import answers
from stream.kiosk.admission import Admission, Bucket
from stream.kiosk.commands import Command, Refused, parse
from stream.kiosk.config import KioskConfig
from stream.kiosk.ledger import Ledger, Waiting
from stream.kiosk.link import Incoming
from stream.kiosk.playlist import Entry, Playlist
from stream.kiosk.topics import Topics
from stream.stage import Stage

CORRELATION_BYTES = 256
_PACKET = "packet:"


@dataclass(frozen=True, slots=True)
class Order:
    """answer: what is told to whoever sent it. noted: until then it may come again; None: at once. pause_s:
    before the next one is looked at.
    """

    answer: Message
    noted: asyncio.Future[Exception | None] | None = None
    pause_s: float = 0.0


class Orders:
    """See the module. ping: the state that is told. change(changes), interrupt(): done by the kiosk."""

    def __init__(
        self, stage: Stage, name: str, config: KioskConfig, ledger: Ledger, admission: Admission,
        playlist: Playlist, ping: Callable[[], Message], change: Callable[[Message], None],
        interrupt: Callable[[], None],
    ) -> None:  # fmt: skip
        self.count = self.refused = self.duplicates = 0
        self.language = stage.channel(name).settings.language
        """That texts are taken in: known before it is applied."""
        self._stage, self._name, self._limits = stage, name, config.limits
        self._channel = stage.channel(name)
        self._topics = Topics(config.base, name, config.discovery)
        self._ledger, self._admission, self._playlist = ledger, admission, playlist
        self._ping, self._change, self._interrupt = ping, change, interrupt
        self._bucket = Bucket(config.limits.commands_a_s, config.limits.burst)
        self._interrupts = Bucket(config.limits.commands_a_s, config.limits.burst)

    async def restore(self) -> None:
        """Texts that were taken by the process before this one, and not begun."""
        for text in await self._ledger.waiting(self._name, self._limits.playlist):
            self._enqueue(text)

    async def forget_packets(self) -> None:
        """The broker numbers packets anew."""
        await self._ledger.forget_packets(self._name, _PACKET)

    async def obey(self, message: Incoming) -> Order:
        """Take a command, or refuse it."""
        self.count += 1
        try:
            return await self._obey(message)
        except Refused as why:
            self.refused += 1
            # A flood costs those who send it, not the other kiosks.
            pause_s = 1 / self._limits.commands_a_s if why.reason == "rate" else 0.0
            return Order(answers.refused(why), pause_s=pause_s)

    def answerable(self, message: Incoming) -> bool:
        """Whether the answer can go where it is asked for; otherwise it is an event."""
        topic = message.response_topic
        return bool(topic and self._topics.answerable(topic)) and _short(message.correlation)

    async def _obey(self, message: Incoming) -> Order:
        command = parse(message.payload, self._limits)
        try:
            self._check_message(message)
            self._check_rate(command)
            if command.name == "ping":
                return Order(answers.taken("ping", command.id or _new_id(), state=self._ping()))
            key = _key(message, command)
            if key is not None and (not key.startswith(_PACKET) or message.repeated):
                known = await self._ledger.known(self._name, key)
                if known is not None:  # answered as it was then, though it might be refused by now
                    return Order(self._again(known, command))
            return await self._take(message, command, key)
        except Refused as why:
            why.command, why.id = command.name, command.id or None
            raise

    async def _take(self, message: Incoming, command: Command, key: str | None) -> Order:
        if message.deadline_s is not None and time.monotonic() >= message.deadline_s:
            raise Refused("expired", "its message expiry has passed", "send it again if it still holds")
        id = command.id or _new_id()
        text, answer = None, answers.taken(command.name, id)
        if command.name == "say":
            text = self._admit_text(message, command, id)
            answer = answers.taken("say", id, ahead=len(self._playlist))
        changes = {} if command.name in ("say", "interrupt") else self._check_changes(command)
        doubtful = self._ledger.trouble  # then nobody is told that it was taken before it is certain
        taken = self._ledger.take(self._name, key or f"id:{id}", command.digest, answer, text)
        if doubtful and (error := await asyncio.shield(taken.noted)) is not None:
            remedy = "tell whoever runs the server"
            raise Refused("failed", f"it could not be remembered: {error}", remedy) from error
        if text is not None:
            self._enqueue(replace(text, number=taken.number), message.deadline_s, taken.noted)
        elif command.name == "interrupt":
            self._interrupt()
        else:
            self.language = changes.get("language", self.language)
            self._change(changes)
        return Order(answer, taken.noted)

    # -- what speaks against it ----------------------------------------------------------------------

    def _check_message(self, message: Incoming) -> None:
        if message.retained:
            remedy = "publish it without the retain flag"
            raise Refused("retained", "retained commands are not obeyed", remedy)
        topic, correlation = message.response_topic, message.correlation
        if topic and not self._topics.answerable(topic):
            raise Refused(
                "unanswerable",
                f"answers may not go to {topic[:80]}",
                "name a response topic of your own, at most 256 characters, without + and #",
            )
        if not _short(correlation):
            raise Refused(
                "unanswerable",
                f"the correlation data has {len(correlation or b'')} bytes",
                f"send at most {CORRELATION_BYTES}",
            )

    def _check_rate(self, command: Command) -> None:
        # A flood can be interrupted.
        bucket = self._interrupts if command.name == "interrupt" else self._bucket
        wait_s = bucket.take() or self._admission.commands.take()
        if wait_s:
            raise Refused(
                "rate",
                f"more than {self._limits.commands_a_s:.0f} commands a second for a kiosk, "
                f"or {self._limits.shared_commands_a_s:.0f} for all",
                "send it again later",
                retry_after_s=wait_s,
            )

    def _again(self, known: tuple[str, Message], command: Command) -> Message:
        digest, answer = known
        if digest != command.digest:
            remedy = "give every command an id of its own"
            raise Refused("conflict", "this id belongs to another command", remedy)
        self.duplicates += 1
        return answer | {"duplicate": True}

    def _admit_text(self, message: Incoming, command: Command, id: str) -> Waiting:
        language = command.fields.get("language", self.language)
        self._check_changes(Command("language", id, "", {"language": language}))
        if len(self._playlist) >= self._limits.playlist or self._admission.full:
            raise Refused(
                "full",
                f"{len(self._playlist)} texts wait for this kiosk, {self._admission.texts} for all kiosks",
                "send it later, or interrupt",
                retry_after_s=min(60.0, 1 + self._channel.performer.backlog_ms / 1000),
            )
        left_s = None if message.deadline_s is None else message.deadline_s - time.monotonic()
        deadline_unix_s = None if left_s is None else time.time() + left_s
        return Waiting(0, id, command.fields["text"], language, deadline_unix_s)

    def _check_changes(self, command: Command) -> Message:
        changes: dict[str, Any] = dict(command.fields)
        try:
            self._stage.checked(replace(self._channel.settings, **changes))
        except Refusal as refusal:
            raise Refused("unknown", refusal.error, refusal.remedy) from refusal
        return changes

    def _enqueue(
        self, text: Waiting, deadline_s: float | None = None,
        noted: asyncio.Future[Exception | None] | None = None,
    ) -> None:  # fmt: skip
        if deadline_s is None and text.deadline_unix_s is not None:
            deadline_s = time.monotonic() + text.deadline_unix_s - time.time()
        now_s = time.monotonic()
        entry = Entry(text.number, text.id, text.text, text.language, deadline_s, now_s, noted)
        self._playlist.add(entry)


def _short(correlation: bytes | None) -> bool:
    return len(correlation or b"") <= CORRELATION_BYTES


def _key(message: Incoming, command: Command) -> str | None:
    """By what a command is known again: its id, else its correlation data, else (only when the broker says
    that it repeats itself) the number of its packet. None: it cannot come twice.
    """
    if command.id:
        return f"id:{command.id}"
    if message.correlation:
        return f"correlation:{message.correlation.hex()[: 2 * CORRELATION_BYTES]}:{command.digest}"
    return f"{_PACKET}{message.packet}:{command.digest}" if message.packet else None


def _new_id() -> str:
    return f"auto-{uuid.uuid4().hex[:12]}"
