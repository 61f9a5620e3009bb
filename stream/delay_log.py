"""What the delay of each caption is made of, from the text's arrival to the first picture of its first sign.

Enters: moments (monotonic ns) and encoded frames. Leaves: `latency` events. Does not know viewers.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from stream import events
from stream.encoder import EncodedFrame

REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class _Promise:
    """A caption whose first sign was not seen yet."""

    seq: int
    first_index: int
    arrived_ns: int
    glossed_ns: int


class DelayLog:
    """See the module. Bounded: of more than `REMEMBERED` captions in waiting, the oldest are forgotten."""

    def __init__(self) -> None:
        self._promises: deque[_Promise] = deque(maxlen=REMEMBERED)

    def promised(self, seq: int, first_index: int, arrived_ns: int, glossed_ns: int) -> None:
        """A caption was understood; its first sign has that index."""
        self._promises.append(_Promise(seq, first_index, arrived_ns, glossed_ns))

    def unseen(self, gloss: int) -> None:
        """That sign began while nobody watched: there is no picture to wait for."""
        while self._promises and self._promises[0].first_index <= gloss:
            self._promises.popleft()

    def clear(self) -> None:
        self._promises.clear()

    def sent(self, frame: EncodedFrame) -> list[events.Message]:
        """A frame leaves for the peers: the events of the captions whose first sign it is first to show."""
        told = []
        now_ns = time.monotonic_ns()
        while self._promises and self._promises[0].first_index <= frame.shot.gloss:
            promise = self._promises.popleft()
            figures = events.Latency(
                glossing_ms=(promise.glossed_ns - promise.arrived_ns) / 1e6,
                choreography_ms=max(0, frame.shot.pts_ns - promise.glossed_ns) / 1e6,
                render_ms=frame.shot.render_ms,
                encode_ms=frame.encode_ms,
                total_ms=(now_ns - promise.arrived_ns) / 1e6,
            )
            told.append(events.latency(figures, promise.seq))
        return told
