"""A bounded queue of caption pieces between those who receive them and the one who signs them.

Enters: cues, from any task of the event loop. Leaves: numbered `TimedText`, in order. Does not know formats.

Policy: ordered, never dropped. A reader of files or sockets waits while the queue is full (`put`); a request
that cannot wait is told so (`offer` raises `FeedFull`, which HTTP answers with 503).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Self

from stream.captions.limits import DEFAULT_LIMITS, Limits
from stream.captions.timed_text import CaptionError, Cue, Numbering, TimedText, pieces


class FeedFull(CaptionError):
    """More captions are waiting than the queue holds; send again later."""


class FeedClosed(CaptionError):
    """Nobody reads this feed any more."""


class Feed:
    """Satisfies `CaptionSource`. One reader; any number of writers on the same event loop."""

    def __init__(
        self, limits: Limits = DEFAULT_LIMITS, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.limits = limits
        self.received = 0
        self._numbering = Numbering()
        self._now_ns = now_ns
        self._queue: deque[TimedText] = deque()
        self._changed = asyncio.Condition()
        self._error: BaseException | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def waiting(self) -> int:
        """Pieces not read yet."""
        return len(self._queue)

    async def put(self, cue: Cue) -> None:
        """Add a cue, waiting for room. Raises FeedClosed."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or len(self._queue) < self.limits.queue)
            self._append(cue)

    async def offer(self, *cues: Cue) -> None:
        """Add all these cues now or none of them. Raises FeedFull or FeedClosed."""
        async with self._changed:
            if not self._closed and len(self._queue) + len(cues) > self.limits.queue:
                raise FeedFull(f"{len(self._queue)} captions are waiting to be signed; send this again later")
            for cue in cues:
                self._append(cue)

    def _append(self, cue: Cue) -> None:
        if self._closed:
            raise FeedClosed("this caption feed has been closed; open it again before sending more")
        for piece in pieces(cue, self.limits.text_chars):
            self.received += 1
            numbered = self._numbering.number(piece, self._now_ns())
            if numbered is not None:
                self._queue.append(numbered)
        self._changed.notify_all()

    async def wait_closed(self) -> None:
        """Returns once no more can be added."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed)

    async def finish(self, error: BaseException | None = None) -> None:
        """No more will come. What waits is still read; then `error`, if any, is raised to the reader."""
        async with self._changed:
            self._closed = True
            self._error = self._error or error
            self._changed.notify_all()

    async def aclose(self) -> None:
        """Nobody will read any more: what waits is dropped, writers are let go."""
        async with self._changed:
            self._closed = True
            self._error = None
            self._queue.clear()
            self._changed.notify_all()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TimedText:
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or self._queue)
            if self._queue:
                piece = self._queue.popleft()
                self._changed.notify_all()
                return piece
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            raise StopAsyncIteration


class PumpedFeed(Feed):
    """A feed filled by its own task from a stream of cues; closing the feed ends the task."""

    def __init__(
        self,
        cues: AsyncIterator[Cue],
        limits: Limits = DEFAULT_LIMITS,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__(limits, now_ns)
        self._cues = cues
        self._task = asyncio.get_running_loop().create_task(self._pump(), name="captions")

    async def _pump(self) -> None:
        try:
            async for cue in self._cues:
                await self.put(cue)
            await self.finish()
        except FeedClosed:
            pass
        except Exception as error:
            await self.finish(error)
        finally:
            close = getattr(self._cues, "aclose", None)
            if close is not None:
                await close()

    async def aclose(self) -> None:
        await super().aclose()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
