"""What every choreography is: opened, given glosses, stepped.

Enters: numbered glosses. Leaves: motion frames. Does not know text, threads or pictures. Weights and clips
live in the choreography, everything that changes lives in the state, so that one choreography serves many
signers.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import Any, Protocol, TypeVar

from engine.signals import Gloss, MotionFrame


class ChoreographyState(Protocol):
    """What a signer reads and sets between steps.

    rate: 0.5..2, reached smoothly. left_handed: taken up with the next sign, or at once when at rest.
    pending: glosses not yet finished. resting: nothing to sign and the hands lie still. skipped: indices and
    reasons of glosses that could not be performed, newest last, bounded.
    """

    rate: float
    left_handed: bool

    @property
    def pending(self) -> int: ...

    @property
    def resting(self) -> bool: ...

    @property
    def skipped(self) -> MutableSequence[tuple[int, str]]: ...


StateT = TypeVar("StateT", bound=ChoreographyState)


class Choreography(Protocol[StateT]):
    """Glosses to motion. `step` always gives a frame: idle life when there is nothing to sign."""

    @property
    def fps(self) -> float: ...

    def open(self, *, seed: int = 0, rate: float = 1.0, left_handed: bool = False) -> StateT: ...

    def warm(self, gloss: Gloss) -> None:
        """Make ready what `gloss` needs; may be called from any thread. Raises ValueError or OSError if it
        cannot.
        """
        ...

    def warmed(self, gloss: Gloss) -> bool: ...

    def append(self, glosses: Sequence[tuple[int, Gloss]], state: StateT) -> None: ...

    def step(self, state: StateT, pts_ns: int) -> MotionFrame: ...

    def interrupt(self, state: StateT) -> None: ...

    def backlog_ms(self, state: StateT) -> float: ...


AnyChoreography = Choreography[Any]
