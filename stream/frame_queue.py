"""One peer's queue of compressed frames: bounded, and always decodable from what it gives out.

Enters: `EncodedFrame` (on the event loop). Leaves: the same, in order, starting with a keyframe. Does not
know RTP or the peer. A taker that leaves a frame waiting for `PATIENCE_S` has stalled: everything up to the
next keyframe is dropped and counted, so at most two frames wait for it, and one is asked for when it takes
again, not before: those who watch meanwhile have no use for it. Frames are shared between queues, so a queue
costs only its references.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from stream.encoder import EncodedFrame

SIZE = 8
"""Frames that a late event loop may deliver at once."""
PATIENCE_S = 0.06
"""A frame and a half: whoever is later wants a fresh picture, not old ones."""


class FrameQueue:
    """See the module. `on_starved` is called when only a keyframe helps. `clock`: monotonic seconds."""

    def __init__(
        self,
        on_starved: Callable[[], None],
        size: int = SIZE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if size < 1:
            raise ValueError(f"FrameQueue.size: got {size}, expected at least 1")
        self._frames: deque[EncodedFrame] = deque()
        self._oldest_s = 0.0
        self._clock = clock
        self._on_starved = on_starved
        self._size = size
        self._starved = True
        self._started = False
        self._waiter: asyncio.Future[None] | None = None
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: EncodedFrame) -> None:
        """Offer a frame; never waits."""
        now_s = self._clock()
        # With a waiter the frame is as good as taken: then the loop is late, not the taker.
        stalled = self._waiter is None and bool(self._frames) and now_s - self._oldest_s > PATIENCE_S
        if stalled or len(self._frames) >= self._size:
            self.dropped += len(self._frames)
            self._frames.clear()
            self._starved = True
            if not (frame.keyframe or stalled):
                self._on_starved()
        if self._starved and not frame.keyframe:
            self.dropped += self._started  # before the first keyframe nothing is lost, it is not yet begun
            return
        self._starved = False
        self._started = True
        if not self._frames:
            self._oldest_s = now_s
        self._frames.append(frame)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def start_over(self) -> None:
        """Whatever waits is of no use any more: go on with a keyframe, which is asked for now."""
        self.dropped += len(self._frames)
        self._frames.clear()
        self._starved = True
        self._on_starved()

    async def get(self) -> EncodedFrame:
        """Wait for the next frame. One taker at a time."""
        if self._starved and self._started and not self._frames:
            self._on_starved()  # the taker is back
        while not self._frames:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._oldest_s = self._clock()  # of those left, none has waited for a taker that is here
        return self._frames.popleft()
