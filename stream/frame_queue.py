"""One peer's queue of compressed frames: bounded, and always decodable from what it gives out.

Enters: `EncodedFrame` (on the event loop). Leaves: the same, in order, starting with a keyframe. When it
overflows, everything up to the next keyframe is dropped and counted, and one is asked for.
Does not know RTP or the peer. Frames are shared between queues, so a queue costs only its references.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from stream.encoder import EncodedFrame

SIZE = 8
"""Frames: a third of a second. Whoever is later than that wants a fresh picture, not old ones."""


class FrameQueue:
    """See the module. `on_starved` is called when only a keyframe helps."""

    def __init__(self, on_starved: Callable[[], None], size: int = SIZE) -> None:
        if size < 1:
            raise ValueError(f"FrameQueue.size: got {size}, expected at least 1")
        self._frames: deque[EncodedFrame] = deque()
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
        if len(self._frames) >= self._size:
            self.dropped += len(self._frames)
            self._frames.clear()
            self._starved = True
            if not frame.keyframe:
                self._on_starved()
        if self._starved and not frame.keyframe:
            self.dropped += self._started  # before the first keyframe nothing is lost, it is not yet begun
            return
        self._starved = False
        self._started = True
        self._frames.append(frame)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> EncodedFrame:
        """Wait for the next frame. One taker at a time."""
        while not self._frames:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._frames.popleft()
