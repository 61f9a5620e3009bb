"""When a keyframe that receivers ask for may come: soon for one in need, seldom for a crowd in trouble.

Enters: requests and keyframes, with their times. Leaves: the moment the next may be made. Does not know who
asks. One keyframe costs as much as ten ordinary frames, for every viewer of its output. So a receiver that
lost its picture gets one within `GAP_S`; `BURST` may follow each other so; after that one every `REFILL_S`.
"""

from __future__ import annotations

GAP_S = 0.25
BURST = 3.0
REFILL_S = 1.0
JOIN_GAP_S = 0.2
"""A new viewer gets one without asking; those who join together share it."""


class KeyframeBudget:
    """See the module. Times are monotonic seconds, handed in."""

    def __init__(self) -> None:
        self._saved = BURST
        self._as_of_s = self._last_s = -1e9

    def requested(self, now_s: float) -> float:
        """When a keyframe that is asked for now may be made."""
        saved = self._saved_at(now_s)
        wait_s = 0.0 if saved >= 1 else (1 - saved) * REFILL_S
        return max(now_s + wait_s, self._last_s + GAP_S)

    def joined(self, now_s: float) -> float:
        """When a keyframe for a new viewer may be made."""
        return max(now_s, self._last_s + JOIN_GAP_S)

    def made(self, now_s: float) -> None:
        """A keyframe was made, whoever wanted it."""
        self._saved = max(0.0, self._saved_at(now_s) - 1)
        self._as_of_s = self._last_s = now_s

    def _saved_at(self, now_s: float) -> float:
        return min(BURST, self._saved + (now_s - self._as_of_s) / REFILL_S)
