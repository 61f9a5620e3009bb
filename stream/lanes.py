"""The drawing threads of a server: one for each rung, opened when needed, left behind when they hang.

Enters: levels. Leaves: lanes, and how many hang. Does not know signers. A few may hang at a time; then no
lane is opened until one of them returns. Whoever uses it holds a lock of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from stream.lane import HUNG, Lane

log = logging.getLogger(__name__)

MAX_ABANDONED = 4


class Lanes:
    """See the module. open: by level, 0 first. abandoned: that hung, ever."""

    def __init__(self) -> None:
        self.open: dict[int, Lane] = {}
        self.abandoned = 0
        self._left: list[Lane] = []
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Draws that were replaced by newer ones. Any thread."""
        return self._dropped + sum(lane.dropped for lane in list(self.open.values()))

    @property
    def pending(self) -> bool:
        """Whether any has something to do."""
        return any(lane.pending for lane in self.open.values())

    def at(self, level: int) -> Lane | None:
        """The lane of that level, opened if need be; None while too many hang."""
        lane = self.open.get(level)
        if lane is None and self.hanging() < MAX_ABANDONED:
            lane = self.open[level] = Lane("render" if level == 0 else f"render-{level}")
        return lane

    def hanging(self) -> int:
        """Abandoned ones that have not returned."""
        self._left = [lane for lane in self._left if lane.alive]
        return len(self._left)

    def abandon(self, level: int, wishes: Sequence[Callable[[], None]]) -> None:
        """It hangs: leave it behind with what it is to do should it return."""
        lane = self.open.pop(level)
        lane.abandon(list(wishes))
        self.abandoned += 1
        self._dropped += lane.dropped
        self._left.append(lane)
        log.error(
            "drawing thread %s hung; %d abandoned, %d hang now (%s)",
            lane.name, self.abandoned, self.hanging(), HUNG,
        )  # fmt: skip

    def close(self) -> list[threading.Thread]:
        """End those that do not hang; returns the threads to join."""
        return [lane.close() for lane in self.open.values()]
