"""Motion that comes over a network, played out in order and in time.

Enters: frames with the sender's times, late, twice, in any order or not at all; when each arrived.
Leaves: one frame after another on this machine's clock. Does not know the network, threads, or who draws.

Each frame is shown `delay_ms` after the quickest of the last seconds would have been, so jitter up to that
goes unseen, and clocks may drift. A lost frame is filled in between its neighbours (rotations along the
shorter arc) if the next one is there when it is due: with a delay of a frame or more, single losses are.
What comes after its turn is dropped; of several that are due at once only the newest is shown.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from engine.rotations import slerp_rotvec
from engine.signals import IDLE, MotionFrame

MS = 1_000_000
MAX_WAITING = 128
"""Frames: five seconds. Whatever fills that is no jitter."""
MAX_FILLED = 12
"""Lost frames in a row that are filled in: half a second. Over a longer gap the last pose is held."""
WINDOW_NS = 10_000 * MS
NEW_CLOCK_NS, NEW_COUNT = 5_000 * MS, 1000
"""Times that jump by more, or numbers that fall by more, are another life of the sender."""


@dataclass
class PlayoutStats:
    """Frames counted. waited_ms: between arrival and showing, for the latest."""

    received: int = 0
    shown: int = 0
    filled: int = 0
    duplicates: int = 0
    late: int = 0
    skipped: int = 0
    restarts: int = 0
    reordered: int = 0


class Playout:
    """See the module. delay_ms: 0 shows each frame as it comes, and fills no gaps. Not thread-safe."""

    def __init__(self, delay_ms: float = 50.0) -> None:
        if not 0 <= delay_ms <= 2000:
            raise ValueError(f"buffer: got {delay_ms} ms, expected 0 to 2000")
        self.stats = PlayoutStats()
        self.waited_ms: deque[float] = deque(maxlen=512)
        self._delay_ns = round(delay_ms * MS)
        self._waiting: dict[int, tuple[MotionFrame, int]] = {}
        self._quickest: deque[tuple[int, int]] = deque()
        self._last: MotionFrame | None = None
        self._highest = -1

    def put(self, frame: MotionFrame, now_ns: int) -> None:
        """A frame has arrived. Its `pts_ns` is on the sender's clock, `now_ns` on ours."""
        self.stats.received += 1
        transit_ns = now_ns - frame.pts_ns
        jump_ns = abs(transit_ns - self._quickest[0][1]) if self._quickest else 0
        if jump_ns > NEW_CLOCK_NS or frame.seq < self._highest - NEW_COUNT:
            self.restart()
        while self._quickest and self._quickest[-1][1] >= transit_ns:
            self._quickest.pop()
        self._quickest.append((now_ns, transit_ns))
        while self._quickest[0][0] < now_ns - WINDOW_NS:
            self._quickest.popleft()
        if frame.seq in self._waiting:
            self.stats.duplicates += 1
        elif self._last is not None and frame.seq <= self._last.seq:
            self.stats.late += 1
        else:
            self.stats.reordered += frame.seq < self._highest
            self._highest = max(self._highest, frame.seq)
            self._waiting[frame.seq] = frame, now_ns
            if len(self._waiting) > MAX_WAITING:
                del self._waiting[min(self._waiting)]
                self.stats.skipped += 1

    def due_ns(self) -> int | None:
        """When the next frame is to be shown; None while none is known."""
        following = self._following()
        return None if following is None else self._local_ns(following.pts_ns)

    def local_ns(self, pts_ns: int) -> int | None:
        """A moment of the sender's clock, as it is shown on ours."""
        return self._local_ns(pts_ns) if self._quickest else None

    def take(self, now_ns: int) -> MotionFrame | None:
        """The frame to show now, timed on this machine's clock; None when none is due."""
        taken: MotionFrame | None = None
        while (due_ns := self.due_ns()) is not None and due_ns <= now_ns:
            following = self._following()
            assert following is not None
            self.stats.skipped += taken is not None
            found = self._waiting.pop(following.seq, None)
            if found is None:
                self.stats.filled += 1
            else:
                self.waited_ms.append((now_ns - found[1]) / MS)
            self._last = following
            taken = replace(following, pts_ns=due_ns)
        self.stats.shown += taken is not None
        return taken

    def _following(self) -> MotionFrame | None:
        """What comes after the last: the next frame, or, where it is lost, what lies between."""
        if not self._waiting:
            return None
        following, _ = self._waiting[min(self._waiting)]
        last = self._last
        missing = following.seq - last.seq - 1 if last is not None else 0
        if last is None or not 0 < missing <= MAX_FILLED:
            return following
        return between(last, following, 1 / (missing + 1))

    def _local_ns(self, pts_ns: int) -> int:
        return pts_ns + self._quickest[0][1] + self._delay_ns

    def restart(self) -> None:
        """What comes now is of another life of the sender: another clock, another count."""
        self.stats.restarts += 1
        self._waiting.clear()
        self._quickest.clear()
        self._last, self._highest = None, -1


def between(a: MotionFrame, b: MotionFrame, t: float) -> MotionFrame:
    """The motion at 0 < t < 1 of the way from a to b: rotations along the shorter arc, the rest straight."""

    def straight(x: np.ndarray, y: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return np.ascontiguousarray(x + (y - x) * np.float32(t), dtype=np.float32)

    return MotionFrame(
        seq=a.seq + max(1, round((b.seq - a.seq) * t)),
        pts_ns=a.pts_ns + round((b.pts_ns - a.pts_ns) * t),
        pose=straight(a.pose, b.pose),
        hands=np.ascontiguousarray(slerp_rotvec(a.hands, b.hands, t), dtype=np.float32),
        smplx=np.ascontiguousarray(slerp_rotvec(a.smplx, b.smplx, t), dtype=np.float32),
        expression=straight(a.expression, b.expression),
        gloss=a.gloss if a.gloss == b.gloss else IDLE,
    )
