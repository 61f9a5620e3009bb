"""What the delay of each caption is made of, from the text's arrival to the first picture of its first sign.

Enters: moments (monotonic ns) and encoded frames. Leaves: `latency` events, and lines in the log that follow
each caption. Does not know viewers.

The stages touch: each begins where the one before ended, and together they are the whole.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from stream import events
from stream.encoder import EncodedFrame
from stream.logs import follow

REMEMBERED = 64


@dataclass(slots=True)
class _Promise:
    """A caption whose first sign was not seen yet."""

    seq: int
    caption_id: str
    first_index: int
    arrived_ns: int
    glossed_ns: int
    encoded: bool = False


class DelayLog:
    """See the module. Bounded: of more than `REMEMBERED` captions in waiting, the oldest are forgotten.

    on_delay: learns the figures of each caption.
    """

    def __init__(self, on_delay: Callable[[events.Latency], None] = lambda _: None) -> None:
        self._promises: deque[_Promise] = deque(maxlen=REMEMBERED)
        self._on_delay = on_delay

    def promised(
        self, seq: int, first_index: int, arrived_ns: int, glossed_ns: int, caption_id: str = ""
    ) -> None:
        """A caption was understood; its first sign has that index."""
        self._promises.append(_Promise(seq, caption_id, first_index, arrived_ns, glossed_ns))

    def unseen(self, gloss: int) -> None:
        """That sign began while nobody watched: there is no picture to wait for."""
        while self._promises and self._promises[0].first_index <= gloss:
            self._promises.popleft()

    def clear(self) -> None:
        self._promises.clear()

    def encoded(self, frame: EncodedFrame) -> None:
        """A frame was compressed: it may be the first of some captions."""
        for promise in self._promises:
            if promise.first_index > frame.shot.gloss:
                return
            if not promise.encoded:
                promise.encoded = True
                after_ms = (frame.encoded_ns - promise.arrived_ns) / 1e6
                follow(promise.caption_id, "encoded", seq=frame.shot.seq, after_ms=round(after_ms, 2))

    def sent(self, frame: EncodedFrame) -> list[events.Message]:
        """A frame went out to a peer: the events of the captions whose first sign it is first to show."""
        told = []
        while self._promises and self._promises[0].first_index <= frame.shot.gloss:
            promise = self._promises.popleft()
            figures = _figures(promise, frame, time.monotonic_ns())
            follow(promise.caption_id, "sent", seq=frame.shot.seq, after_ms=round(figures.total_ms, 2))
            self._on_delay(figures)
            told.append(events.latency(figures, promise.seq, promise.caption_id))
        return told


def _figures(promise: _Promise, frame: EncodedFrame, now_ns: int) -> events.Latency:
    shot = frame.shot
    moments = [
        promise.arrived_ns,
        promise.glossed_ns,
        shot.pts_ns,
        shot.rendered_ns - round(shot.render_ms * 1e6),
        shot.rendered_ns,
        frame.encoded_ns - round(frame.encode_ms * 1e6),
        frame.encoded_ns,
        now_ns,
    ]
    # Threads overtake the loop that keeps the books: nothing ends before it began, or after what follows it.
    for i in range(len(moments) - 2, -1, -1):
        moments[i] = max(promise.arrived_ns, min(moments[i], moments[i + 1]))
    glossing, choreography, render_wait, render, encode_wait, encode, send = (
        (b - a) / 1e6 for a, b in pairwise(moments)
    )
    return events.Latency(
        glossing_ms=glossing,
        choreography_ms=choreography,
        render_wait_ms=render_wait,
        render_ms=render,
        encode_wait_ms=encode_wait,
        encode_ms=encode,
        send_ms=send,
        total_ms=(now_ns - promise.arrived_ns) / 1e6,
        arrived_ns=promise.arrived_ns,
    )
