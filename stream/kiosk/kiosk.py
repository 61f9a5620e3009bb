"""One kiosk: its commands carried out, each once; acknowledgements, events and state told.

Enters: messages of its link, what its signer's channel tells. Leaves: texts to its playlist, changes to the
stage, messages to its link. Does not know sockets, glosses or pictures.

A command is noted in the ledger before it is carried out, and the broker is told that it may forget it after
it was answered: whatever ends in between, it is delivered again, recognised, and answered again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
import uuid
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from stream.errors import Refusal
from stream.events import Message
from stream.kiosk import answers, discovery
from stream.kiosk.admission import Admission, Bucket
from stream.kiosk.commands import Command, Refused, parse
from stream.kiosk.config import KioskConfig
from stream.kiosk.ledger import Ledger, Waiting
from stream.kiosk.link import Incoming, Link
from stream.kiosk.playlist import Entry, Playlist
from stream.kiosk.topics import Topics
from stream.stage import Stage

log = logging.getLogger(__name__)

CORRELATION_BYTES = 256
SHOWN_CHARS = 200
WATCH_S = 2.0
"""What changes without telling (who watches, how long the backlog takes) is looked at so often."""
ANNOUNCE_S = 2.0
"""Home Assistant has started: the kiosks of a server announce themselves spread over so long."""


class Kiosk:
    """See the module. Its signer is on the stage already. `run` until cancelled."""

    def __init__(
        self, stage: Stage, name: str, config: KioskConfig, ledger: Ledger, admission: Admission,
        gate: asyncio.Semaphore,
    ) -> None:  # fmt: skip
        self.name = name
        self.topics = Topics(config.base, name, config.discovery)
        self.commands = self.refusals = self.duplicates = 0
        self._stage, self._config, self._ledger, self._admission = stage, config, ledger, admission
        self._channel = stage.channel(name)
        self._language = self._channel.settings.language
        self._bucket = Bucket(config.limits.commands_a_s, config.limits.burst)
        self._interrupts = Bucket(config.limits.commands_a_s, config.limits.burst)
        listened = (self.topics.command,) + ((self.topics.birth,) if self.topics.birth else ())
        identifier = f"{self.topics.object_id}"
        self.link = Link(config, identifier, listened, self.topics.status, self._connected, gate)
        self.playlist = Playlist(self._channel, admission, self._tell, self._over)
        self._changes: dict[str, Any] = {}
        self._to_apply = asyncio.Event()
        self._dirty = asyncio.Event()
        self._events = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        for text in await self._ledger.waiting(self.name, self._config.limits.playlist):
            self._enqueue(text)  # taken by the process before this one, and not begun
        self._channel.listeners.append(self._heard)
        try:
            async with asyncio.TaskGroup() as group:
                for work in (self.link.run, self._take, self._apply, self.playlist.run, self._tell_state):
                    group.create_task(work(), name=f"kiosk {self.name}: {work.__name__}")
        finally:
            self._channel.listeners.remove(self._heard)
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def stats(self) -> Message:
        return {
            "kiosk": self.name,
            "connected": self.link.connected,
            "connections": self.link.connections,
            "trouble": self.link.trouble,
            "commands": self.commands,
            "refused": self.refusals,
            "duplicates": self.duplicates,
            "dropped_in": self.link.dropped_in,
            "dropped_out": self.link.dropped_out,
            "texts_waiting": len(self.playlist),
        }

    # -- commands ----------------------------------------------------------------------------------

    async def _take(self) -> None:
        while True:
            message = await self.link.next()
            try:
                if message.topic == self.topics.birth:
                    if message.payload == b"online" and not message.retained:
                        self._start(self._announce_soon())
                else:
                    await self._answer(message)
            except Exception:  # the broker's boundary: nothing that anybody sends ends a kiosk
                log.exception("kiosk %s: a command could not be handled", self.name)
            self.link.done(message)

    async def _answer(self, message: Incoming) -> None:
        self.commands += 1
        pause_s = 0.0
        try:
            answer = await self._obey(message)
        except Refused as why:
            self.refusals += 1
            answer = answers.refused(why)
            pause_s = 1 / self._config.limits.commands_a_s if why.reason == "rate" else 0.0
        topic, correlation = message.response_topic, message.correlation
        if topic and self.topics.answerable(topic) and len(correlation or b"") <= CORRELATION_BYTES:
            self.link.send(topic, answers.encode(answer), correlation)
        else:
            self._tell("ack", {"answer": answer})
        await asyncio.sleep(pause_s)  # a flood costs those who send it, not the other kiosks

    async def _obey(self, message: Incoming) -> Message:
        """Carry a command out, or begin to. Raises Refused."""
        command = parse(message.payload, self._config.limits)
        try:
            return await self._obey_command(message, command)
        except Refused as why:
            why.command, why.id = command.name, command.id or None
            raise

    async def _obey_command(self, message: Incoming, command: Command) -> Message:
        if message.retained:
            raise Refused(
                "retained", "retained commands are not obeyed", "publish it without the retain flag"
            )
        self._check_answerable(message)
        self._check_rate(command)
        if command.name == "ping":
            return answers.taken("ping", command.id or _new_id(), state=self.state())
        key = _key(message, command)
        new = key is None or (key.startswith(_PACKET) and not message.repeated)
        try:
            return await self._carry_out(message, command, key, new)
        except Refused as why:
            # What was taken once is answered as it was then, though it would be refused by now.
            known = (
                None
                if new or key is None or why.reason == "failed"
                else await self._ledger.known(self.name, key)
            )
            if known is None:
                raise
            return self._again(known, command)

    def _check_answerable(self, message: Incoming) -> None:
        topic, correlation = message.response_topic, message.correlation
        if topic and not self.topics.answerable(topic):
            raise Refused(
                "unanswerable",
                f"answers may not go to {topic[:80]}",
                "name a response topic of your own, at most 256 characters, without + and #",
            )
        if len(correlation or b"") > CORRELATION_BYTES:
            raise Refused(
                "unanswerable",
                f"the correlation data has {len(correlation or b'')} bytes",
                f"send at most {CORRELATION_BYTES}",
            )

    def _check_rate(self, command: Command) -> None:
        bucket = (
            self._interrupts if command.name == "interrupt" else self._bucket
        )  # a flood can be interrupted
        wait_s = bucket.take() or self._admission.commands.take()
        if wait_s:
            limits = self._config.limits
            raise Refused(
                "rate",
                f"more than {limits.commands_a_s:.0f} commands a second for a kiosk, "
                f"or {limits.shared_commands_a_s:.0f} for all",
                "send it again later",
                retry_after_s=wait_s,
            )

    def _again(self, known: tuple[str, Message], command: Command) -> Message:
        digest, answer = known
        if digest != command.digest:
            raise Refused(
                "conflict", "this id belongs to another command", "give every command an id of its own"
            )
        self.duplicates += 1
        return answer | {"duplicate": True}

    async def _carry_out(self, message: Incoming, command: Command, key: str | None, new: bool) -> Message:
        if message.deadline_s is not None and time.monotonic() >= message.deadline_s:
            raise Refused("expired", "its message expiry has passed", "send it again if it still holds")
        id = command.id or _new_id()
        text, answer = None, answers.taken(command.name, id)
        if command.name == "say":
            text = self._admit_text(message, command, id)
            answer = answers.taken("say", id, ahead=len(self.playlist))
        changes = {} if command.name in ("say", "interrupt") else self._check_changes(command)
        try:
            taken = await self._ledger.take(self.name, key or f"id:{id}", command.digest, answer, text, new)
        except Exception as error:  # the disk's boundary
            log.exception("kiosk %s: the memory of commands cannot be written", self.name)
            raise Refused(
                "failed", f"it could not be remembered: {error}", "tell whoever runs the server"
            ) from error
        if taken.before is not None:
            return self._again(taken.before, command)
        if command.name == "say":
            assert text is not None
            self._enqueue(replace(text, number=taken.number), message.deadline_s)
        elif command.name == "interrupt":
            self.playlist.clear("interrupted")
            self._start(self._interrupt())
        else:
            self._language = changes.get("language", self._language)
            self._changes |= changes
            self._to_apply.set()
        self._dirty.set()
        return answer

    def _admit_text(self, message: Incoming, command: Command, id: str) -> Waiting:
        language = command.fields.get("language", self._language)
        self._check_changes(Command("language", id, "", {"language": language}))
        if len(self.playlist) >= self._config.limits.playlist or self._admission.full:
            retry_after_s = min(60.0, 1 + self._channel.performer.backlog_ms / 1000)
            raise Refused(
                "full",
                f"{len(self.playlist)} texts wait for this kiosk, {self._admission.texts} for all kiosks",
                "send it later, or interrupt",
                retry_after_s=retry_after_s,
            )
        left_s = None if message.deadline_s is None else message.deadline_s - time.monotonic()
        return Waiting(
            0, id, command.fields["text"], language, None if left_s is None else time.time() + left_s
        )

    def _check_changes(self, command: Command) -> Message:
        changes = dict(command.fields)
        try:
            self._stage.checked(replace(self._channel.settings, **changes))
        except Refusal as refusal:
            raise Refused("unknown", refusal.error, refusal.remedy) from refusal
        return changes

    def _enqueue(self, text: Waiting, deadline_s: float | None = None) -> None:
        if deadline_s is None and text.deadline_unix_s is not None:
            deadline_s = time.monotonic() + text.deadline_unix_s - time.time()
        self.playlist.add(Entry(text.number, text.id, text.text, text.language, deadline_s, time.monotonic()))

    # -- what takes a while ------------------------------------------------------------------------

    async def _apply(self) -> None:
        """Changes of how is signed, one after the other; those that wait are done in one go."""
        while True:
            await self._to_apply.wait()
            self._to_apply.clear()
            changes, self._changes = self._changes, {}
            try:
                await self._stage.update(self.name, changes)
            except Refusal as refusal:
                self._tell("error", {"id": None, "error": refusal.error, "remedy": refusal.remedy})
            self._dirty.set()

    async def _interrupt(self) -> None:
        with self.playlist.hold():
            await self._channel.interrupt()
        self._dirty.set()

    async def _connected(self, kept: bool) -> None:
        if not kept:  # the broker numbers packets anew
            await self._ledger.forget_packets(self.name, _PACKET)
        self._announce()
        self.link.keep(self.topics.state, answers.encode(self.state()))

    async def _announce_soon(self) -> None:
        await asyncio.sleep(random.uniform(0, ANNOUNCE_S))
        self._announce()

    def _announce(self) -> None:
        if self.topics.discovery is not None:
            cast = self._stage.cast
            device = discovery.device(self.topics, sorted(cast.languages), list(cast.avatars))
            self.link.send(self.topics.discovery, answers.encode(device), important=False)

    def _over(self, numbers: list[int]) -> None:
        if any(numbers):
            self._start(self._ledger.begun(*numbers))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"kiosk {self.name}: on the side")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("kiosk %s: %s", self.name, error, exc_info=error)

    # -- what is told --------------------------------------------------------------------------------

    def state(self) -> Message:
        """The retained state, see `schema.STATE`."""
        settings, current = self._channel.settings, self.playlist.current
        performer = self._channel.performer
        signing = None if current is None else {"id": current.id, "text": current.text[:SHOWN_CHARS]}
        return {
            "kiosk": self.name,
            "language": settings.language,
            "rate": settings.rate,
            "look": {
                "avatar": settings.avatar,
                "background": settings.background,
                "left_handed": settings.left_handed,
            },
            "signing": signing,
            "backlog": {
                "texts": len(self.playlist),
                "signs": performer.pending,
                "seconds": round(performer.backlog_ms / 1000),
            },
            "lag_s": 0.0 if current is None else round(max(0.0, current.began_s - current.taken_s), 1),
            "viewers": len(self._channel.peers),
            "page": f"/kiosk/{self.name}",
            "generated": True,
        }

    async def _tell_state(self) -> None:
        last = b""
        while True:
            now = answers.encode(self.state())
            if now != last:
                last = now
                self.link.keep(self.topics.state, now)
            await asyncio.sleep(self._config.state_gap_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_S):
                    await self._dirty.wait()
            self._dirty.clear()

    def _heard(self, message: Message) -> None:
        if message["type"] in ("gloss", "idle"):
            self.playlist.heard(message)
        if message["type"] == "settings":
            self._language = self._changes.get("language", message["signer"]["language"])
        if message["type"] in ("idle", "settings", "caption"):
            self._dirty.set()

    def _tell(self, kind: str, fields: Message) -> None:
        event = answers.encode(answers.event(kind, self._events, fields))
        self._events += 1
        self._dirty.set()
        self.link.send(self.topics.event, event, important=kind == "ack")


_PACKET = "packet:"


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
