"""How far behind the speaker the signer is.

Enters: the lag of each sign as it begins. Leaves: figures. Does not know signs or viewers. Bounded.
"""

from __future__ import annotations

from collections import deque

REMEMBERED = 4096
"""About ten minutes of signing."""


class LagLog:
    """`now_ms` is the lag of the sign that is being shown; None while there is none."""

    def __init__(self) -> None:
        self.now_ms: float | None = None
        self._recent: deque[float] = deque(maxlen=REMEMBERED)

    def began(self, lag_ns: int) -> float:
        """A sign began so long after it was said. Returns milliseconds; never below 0 (ahead of its time)."""
        self.now_ms = max(0.0, round(lag_ns / 1e6, 1))
        self._recent.append(self.now_ms)
        return self.now_ms

    def idle(self) -> None:
        self.now_ms = None

    def stats(self) -> dict[str, float | None]:
        recent = sorted(self._recent)

        def at(share: float) -> float | None:
            return recent[min(int(share * len(recent)), len(recent) - 1)] if recent else None

        return {"now": self.now_ms, "p50": at(0.5), "p95": at(0.95), "p99": at(0.99)}
