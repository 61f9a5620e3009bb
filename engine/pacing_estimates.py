"""How long words take, when they may begin, and when it is too late for them.

Enters: words, and how long signs took. Leaves: seconds, and moments. Does not know what is chosen.

A choreography's own estimate is short of the way the hands have to go; so it is stretched by what signs
really took of late, letters and signs apart.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.clock import NS_PER_S
from engine.pacing_config import PacingConfig
from engine.pacing_unit import Unit
from engine.signals import Gloss

SHORTER_PAUSE = 0.75
"""How much of a pause is cut at full brevity (the choreography does the same)."""
_LONG_SHARE = 0.8
"""A word that takes more of the time it may be late begins before it is due."""
_LEARNED = 0.1


class Estimates:
    """seconds: of a gloss at rate 1, (moving, pausing after it), as the choreography knows it."""

    def __init__(self, seconds: Callable[[Gloss], tuple[float, float]], config: PacingConfig) -> None:
        self._seconds, self._config = seconds, config
        self._stretch = {True: 1.0, False: 1.0}

    def note(self, unit: Unit) -> None:
        """The unit is here: its glosses need not be asked for again."""
        unit.seconds = [self._seconds(gloss) for _, gloss in unit.glosses]

    def measured(self, spelled: bool, took_s: float, expected_s: float) -> None:
        """A sign took so long, at a tempo at which so much was expected."""
        if expected_s > 0:
            ratio = min(max(took_s / expected_s, 0.5), 2.5)
            self._stretch[spelled] += _LEARNED * (ratio - self._stretch[spelled])

    def expected_s(self, gloss: Gloss, rate: float, brevity: float) -> float:
        """How long a gloss takes, before it is stretched."""
        move_s, pause_s = self._seconds(gloss)
        return (move_s + pause_s * (1 - SHORTER_PAUSE * brevity)) / rate

    def length_s(self, unit: Unit, count: int, rate: float, brevity: float = 1.0) -> float:
        """How long the first `count` glosses take."""
        known = unit.seconds[:count] or [self._seconds(gloss) for _, gloss in unit.glosses[:count]]
        moving, pausing = sum(move_s for move_s, _ in known), sum(pause_s for _, pause_s in known)
        return self._stretch[unit.spelled] * (moving + pausing * (1 - SHORTER_PAUSE * brevity)) / rate

    def ready_ns(self, unit: Unit, count: int, rate: float) -> int:
        """When it may begin: a word too long for its time begins before it, as far as a delay allows."""
        if not unit.delay_ns:
            return 0
        over_s = self.length_s(unit, count - 1, rate) - _LONG_SHARE * self._config.late_s
        return unit.due_ns - min(max(0, round(over_s * NS_PER_S)), unit.delay_ns)

    def deadline_ns(self, unit: Unit, in_grace: bool = True) -> int:
        """When its last sign must have begun. in_grace: but a word has some time after its arrival."""
        late_s = self._config.late_s + (self._config.protected_s if unit.protected else 0.0)
        late_ns = unit.time_ns + (unit.delay_ns or 0) + round(late_s * NS_PER_S)
        if not in_grace:
            return late_ns
        return max(late_ns, (unit.arrived_ns or 0) + round(self._config.least_s * NS_PER_S))
