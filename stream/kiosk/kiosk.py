"""One kiosk: its commands carried out, each once; acknowledgements, events and state told.

Enters: messages of its link, what its signer's channel tells. Leaves: texts to its playlist, changes to the
stage, messages to its link. Does not know sockets, glosses or pictures.

What a command is worth is decided elsewhere (`orders`); the broker may forget it once it was answered and
noted: whatever ends before, it is delivered again, recognised, and answered again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Coroutine
from typing import Any

from stream.errors import Refusal
from stream.events import Message
from stream.kiosk import answers, discovery
from stream.kiosk.admission import Admission
from stream.kiosk.config import KioskConfig
from stream.kiosk.ledger import Ledger
from stream.kiosk.link import Incoming, Link
from stream.kiosk.orders import Orders
from stream.kiosk.playlist import Playlist
from stream.kiosk.topics import Topics
from stream.stage import Stage

log = logging.getLogger(__name__)

Noted = asyncio.Future[Exception | None]
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
        self._stage, self._config, self._ledger = stage, config, ledger
        self._channel = stage.channel(name)
        listened = (self.topics.command,) + ((self.topics.birth,) if self.topics.birth else ())
        identifier = f"{self.topics.object_id}"
        self.link = Link(config, identifier, listened, self.topics.status, self._connected, gate)
        self.playlist = Playlist(self._channel, admission, self._tell, self._over)
        self.orders = Orders(
            stage, name, config, ledger, admission, self.playlist, self.state, self._change, self._stop
        )
        self._answered: asyncio.Queue[tuple[Incoming, Noted | None]] = asyncio.Queue()
        self._changes: dict[str, Any] = {}
        self._to_apply = asyncio.Event()
        self._dirty = asyncio.Event()
        self._events = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        await self.orders.restore()
        self._channel.listeners.append(self._heard)
        try:
            async with asyncio.TaskGroup() as group:
                tells = (self._release, self._tell_state)
                for work in (self.link.run, self._take, self._apply, self.playlist.run, *tells):
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
            "commands": self.orders.count,
            "refused": self.orders.refused,
            "duplicates": self.orders.duplicates,
            "dropped_in": self.link.dropped_in,
            "dropped_out": self.link.dropped_out,
            "texts_waiting": len(self.playlist),
        }

    # -- commands ----------------------------------------------------------------------------------

    async def _take(self) -> None:
        while True:
            message, noted = await self.link.next(), None
            try:
                if message.topic == self.topics.birth:
                    if message.payload == b"online" and not message.retained:
                        self._start(self._announce_soon())
                else:
                    noted = await self._answer(message)
            except Exception:  # the broker's boundary: nothing that anybody sends ends a kiosk
                log.exception("kiosk %s: a command could not be handled", self.name)
            self._answered.put_nowait((message, noted))

    async def _answer(self, message: Incoming) -> Noted | None:
        order = await self.orders.obey(message)
        if self.orders.answerable(message):
            assert message.response_topic is not None
            self.link.send(message.response_topic, answers.encode(order.answer), message.correlation)
        else:
            self._tell("ack", {"answer": order.answer})
        if order.noted is not None:
            self._dirty.set()
        await asyncio.sleep(order.pause_s)
        return order.noted

    async def _release(self) -> None:
        """The broker may forget commands, in the order they came, once they are noted."""
        while True:
            message, noted = await self._answered.get()
            if noted is not None and (error := await asyncio.shield(noted)) is not None:
                self._tell("error", {"id": None, "error": f"a command could not be remembered: {error}",
                                     "remedy": "tell whoever runs the server"})  # fmt: skip
            self.link.done(message)

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

    def _change(self, changes: Message) -> None:
        self._changes |= changes
        self._to_apply.set()

    def _stop(self) -> None:
        self.playlist.clear("interrupted")
        self._start(self._interrupt())

    async def _interrupt(self) -> None:
        with self.playlist.hold():
            await self._channel.interrupt()
        self._dirty.set()

    async def _connected(self, kept: bool) -> None:
        if not kept:  # the broker numbers packets anew
            await self.orders.forget_packets()
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
            self.orders.language = self._changes.get("language", message["signer"]["language"])
        if message["type"] in ("idle", "settings", "caption"):
            self._dirty.set()

    def _tell(self, kind: str, fields: Message) -> None:
        event = answers.encode(answers.event(kind, self._events, fields))
        self._events += 1
        self._dirty.set()
        self.link.send(self.topics.event, event, important=kind == "ack")
