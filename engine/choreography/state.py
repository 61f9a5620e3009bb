"""Everything that changes while one signer signs.

Enters: glosses (by `LexiconChoreography.append`) and settings. Leaves: what `step` reads. Does not know how
signs are performed. Poses in the plan are those of a right-handed signer; `mirrored` turns them over.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from engine.choreography.clip import Clip
from engine.choreography.config import FASTEST, SLOWEST
from engine.choreography.idle import IdleLife
from engine.choreography.inertia import Inertia
from engine.signals import Gloss

SKIPPED_KEPT = 64


class Phase(Enum):
    """REST: hands folded. SIGN: a clip is played. HOLD: its end stands. READY: it stands, and nothing
    follows.
    """

    REST = auto()
    SIGN = auto()
    HOLD = auto()
    READY = auto()


@dataclass(slots=True)
class Queued:
    """A gloss that waits, its running index, its clip when it was ready, and about how long it takes at
    rate 1.
    """

    index: int
    gloss: Gloss
    clip: Clip | None
    seconds: float


@dataclass(eq=False)
class LexiconState:
    """One signer's state. `rate` and `left_handed` may be set at any time between steps.

    at, goal: frame of the clip shown now, and frame to leave it at (None until the seam is known); entry:
    frame to enter the next clip at. brevity: 0..1, how much holds and pauses are shortened. wait_s: what is
    left of a pause. sides: +1 right-handed, -1 left-handed, eased.
    """

    inertia: Inertia
    idle: IdleLife
    left_handed: bool
    mirrored: bool
    sides: float
    rate_now: float
    wanted_rate: float = 1.0
    calm: float = 1.0
    brevity: float = 0.0
    frame: int = 0
    phase: Phase = Phase.REST
    queue: deque[Queued] = field(default_factory=deque)
    queued_s: float = 0.0
    current: Queued | None = None
    clip: Clip | None = None
    at: float = 0.0
    goal: int | None = None
    entry: int = 0
    from_still: bool = False
    wait_s: float = 0.0
    slides: int = 0
    skipped: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=SKIPPED_KEPT))

    @property
    def rate(self) -> float:
        return self.wanted_rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self.wanted_rate = checked_rate(rate)

    @property
    def pending(self) -> int:
        """Glosses not yet finished."""
        return len(self.queue) + (self.phase in (Phase.SIGN, Phase.HOLD))

    @property
    def resting(self) -> bool:
        """Nothing to sign, and the hands lie still."""
        return self.phase is Phase.REST and not self.queue and self.inertia.share >= 1.0


def checked_rate(rate: float) -> float:
    """Raises ValueError for a rate out of range (or NaN)."""
    if not SLOWEST <= rate <= FASTEST:
        raise ValueError(f"rate: got {rate}, expected {SLOWEST} to {FASTEST} (1 is the usual speed)")
    return float(rate)
