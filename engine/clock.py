"""Time for the engine: one monotonic clock, and a manual one for tests.

Enters: nothing. Leaves: nanoseconds on one monotonic axis (`pts_ns` everywhere is read off it).
Does not know wall-clock time; 90 kHz RTP time is made only at the wire.
"""

from __future__ import annotations

import time
from typing import Protocol

NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """Anything that tells monotonic nanoseconds and can wait until a point on its own axis."""

    def now_ns(self) -> int: ...

    def sleep_until(self, deadline_ns: int) -> None: ...


class MonotonicClock:
    """The machine's monotonic clock. `sleep_until` blocks the calling thread, never an event loop."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep_until(self, deadline_ns: int) -> None:
        remaining_ns = deadline_ns - time.monotonic_ns()
        if remaining_ns > 0:
            time.sleep(remaining_ns / NS_PER_S)


class ManualClock:
    """A clock that moves only when told to, or when somebody sleeps on it: for tests and offline work."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, delta_ns: int) -> None:
        if delta_ns < 0:
            raise ValueError(f"clock: cannot go back by {-delta_ns} ns; expected delta_ns >= 0")
        self._now_ns += delta_ns

    def sleep_until(self, deadline_ns: int) -> None:
        self._now_ns = max(self._now_ns, deadline_ns)


def frame_pts_ns(start_ns: int, seq: int, fps: float) -> int:
    """Presentation time of frame `seq`: computed from the start, so rounding never accumulates."""
    return start_ns + round(seq * NS_PER_S / fps)
