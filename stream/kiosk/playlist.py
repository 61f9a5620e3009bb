"""The texts of one kiosk that wait for their turn, and what became of those whose turn has come.

Enters: texts that were taken, what the channel tells its viewers. Leaves: text to the channel, when its turn
is near and not before: a text whose time has passed meanwhile is dropped unsigned. Does not know MQTT.

What waits inside of the channel cannot be taken back one by one; so one text at a time is handed over, when
what is signed before it is over within `LEAD_MS` (signs flow into one another over less).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stream.channel import Channel
from stream.errors import Refusal
from stream.events import Message
from stream.kiosk import answers
from stream.kiosk.admission import Admission

LEAD_MS = 800.0
POLL_S = 0.1
LOST_S = 3.0
"""Signs that were promised, wait no longer and did not begin within that: they could not be performed."""


@dataclass(slots=True, eq=False)
class Entry:
    """One text. number: in the ledger. deadline_s: monotonic; after that it is stale. taken_s: when it came.

    noted: done when it may be signed, for by then it cannot be forgotten and taken again; None: it may be.
    first, last: indices of its signs once it is handed over. began_s: 0 until then.
    """

    number: int
    id: str
    text: str
    language: str
    deadline_s: float | None
    taken_s: float
    noted: asyncio.Future[Exception | None] | None = None
    first: int = -1
    last: int = -1
    signs: int = 0
    handed_s: float = 0.0
    began_s: float = 0.0


class Playlist:
    """See the module. `run` until cancelled. told(kind, fields): an event. over(numbers): these wait no
    longer, whatever became of them.
    """

    def __init__(
        self,
        channel: Channel,
        admission: Admission,
        told: Callable[[str, Message], None],
        over: Callable[[list[int]], None],
    ) -> None:
        self._channel, self._admission, self._told, self._over = channel, admission, told, over
        self._waiting: deque[Entry] = deque()
        self._handed: deque[Entry] = deque()
        self._handing: Entry | None = None
        self._changed = asyncio.Event()
        self._holds = 0
        self._epoch = 0
        self._latest = -1

    def __len__(self) -> int:
        """Texts that have not begun."""
        return len(self._waiting) + (self._handing is not None) + sum(not e.began_s for e in self._handed)

    @property
    def current(self) -> Entry | None:
        """The text being signed."""
        return next((e for e in self._handed if e.began_s), None)

    def add(self, entry: Entry) -> None:
        self._waiting.append(entry)
        self._admission.texts += 1
        if entry.noted is not None:
            entry.noted.add_done_callback(lambda _: self._changed.set())
        self._changed.set()

    def clear(self, reason: str) -> None:
        """Drop everything, also what is being signed (whose signing the caller ends)."""
        self._epoch += 1
        entries = [*self._handed, *([self._handing] if self._handing else []), *self._waiting]
        self._admission.texts -= len(self._waiting)
        self._handed.clear()
        self._waiting.clear()
        for entry in entries:
            self._told("dropped", {"id": entry.id, "reason": reason})
        self._over([entry.number for entry in entries])

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Nothing is handed over meanwhile."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            self._changed.set()

    def heard(self, message: Message) -> None:
        """What the channel tells its viewers."""
        if message["type"] == "gloss":
            self._latest = message["index"]
            for entry in [e for e in self._handed if message["index"] >= e.first]:
                if not entry.began_s:
                    self._began(entry)
                if message["index"] > entry.last:
                    self._finished(entry)
        elif message["type"] == "idle":
            for entry in [e for e in self._handed if e.began_s]:
                self._finished(entry)
        self._changed.set()

    async def run(self) -> None:
        while True:
            self._drop_stale()
            if self._ready():
                await self._hand_over(self._waiting.popleft())
                continue
            self._changed.clear()
            self._give_up_lost()
            waits = self._waiting or self._handed  # then time alone may change something
            # Not `wait_for`, which in Python 3.11 may lose a cancellation that comes with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S if waits else None):
                    await self._changed.wait()

    def _ready(self) -> bool:
        if not self._waiting or self._holds:
            return False
        noted = self._waiting[0].noted
        if noted is not None and not noted.done():
            return False
        near = not self._channel.performer.pending or self._channel.performer.backlog_ms <= LEAD_MS
        return near and all(e.began_s for e in self._handed)

    def _drop_stale(self) -> None:
        """Those that could not begin in time any more, wherever they stand."""
        begins_s = time.monotonic() + self._channel.performer.backlog_ms / 1000
        stale = [e for e in self._waiting if e.deadline_s is not None and begins_s >= e.deadline_s]
        for entry in stale:
            self._waiting.remove(entry)
            self._admission.texts -= 1
            self._drop(entry, "expired")

    async def _hand_over(self, entry: Entry) -> None:
        self._admission.texts -= 1
        self._handing, epoch = entry, self._epoch
        try:
            said = await self._channel.say(entry.text, True, entry.language)
        except Refusal as refusal:
            if epoch != self._epoch:
                return
            if refusal.status == 503:  # others have filled it: once more, unless it becomes stale
                self._waiting.appendleft(entry)
                self._admission.texts += 1
                self._handing = None
                await asyncio.sleep(POLL_S)
                return
            self._drop(entry, "failed", f"{refusal.error}; {refusal.remedy}")
            return
        except asyncio.CancelledError:  # of this task, or of the words, by an interrupt
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            if epoch == self._epoch:
                self._drop(entry, "interrupted")
            return
        finally:
            self._handing = None
        if epoch == self._epoch:
            self._understood(entry, said)

    def _understood(self, entry: Entry, said: Message) -> None:
        for kind in ("omitted", "unspellable"):
            if said[kind]:
                self._told(kind, {"id": entry.id, "items": answers.remarks(said[kind])})
        indices = [gloss["index"] for gloss in said["glosses"]]
        entry.handed_s, entry.signs = time.monotonic(), len(indices)
        if not indices:
            self._over([entry.number])
            self._told("finished", {"id": entry.id, "signs": 0})
            return
        entry.first, entry.last = indices[0], indices[-1]
        self._handed.append(entry)
        if self._latest >= entry.first:  # a late loop heard of the sign before it heard of the text
            self._began(entry)

    def _began(self, entry: Entry) -> None:
        entry.began_s = time.monotonic()
        self._over([entry.number])
        self._told("began", {"id": entry.id, "waited_s": round(entry.began_s - entry.taken_s, 3)})

    def _finished(self, entry: Entry) -> None:
        self._handed.remove(entry)
        self._told("finished", {"id": entry.id, "signs": entry.signs})

    def _drop(self, entry: Entry, reason: str, error: str | None = None) -> None:
        self._over([entry.number])
        self._told(
            "dropped", {"id": entry.id, "reason": reason} | ({} if error is None else {"error": error})
        )

    def _give_up_lost(self) -> None:
        if self._channel.performer.pending:
            return
        for entry in [e for e in self._handed if time.monotonic() - max(e.handed_s, e.began_s) > LOST_S]:
            if entry.began_s:
                self._finished(entry)
            else:
                self._handed.remove(entry)
                self._drop(entry, "failed", "its signs could not be performed")
