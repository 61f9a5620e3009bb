"""What every choreography is: opened, given glosses, stepped.

Enters: numbered glosses. Leaves: motion frames. Does not know text, threads or pictures. Weights and clips
live in the choreography, everything that changes lives in the state, so that one choreography serves many
signers.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import Any, Protocol, TypeVar

from engine.signals import Gloss, MotionFrame, Unseen


class ChoreographyState(Protocol):
    """What a signer reads and sets between steps.

    rate: 0.5..2, reached smoothly. left_handed: taken up with the next sign, or at once when at rest.
    brevity, where a state has it: 0..1, how much holds and pauses are shortened.
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


def step_unseen(choreography: AnyChoreography, state: Any, pts_ns: int) -> Unseen:
    """One step of which nobody sees the frame: all that follows is as after `step`.

    By the choreography's own `step_unseen(state, pts_ns)`, where it has one, which spares the motion.
    """
    spared = getattr(choreography, "step_unseen", None)
    if spared is not None:
        unseen: Unseen = spared(state, pts_ns)
        return unseen
    frame = choreography.step(state, pts_ns)
    return Unseen(frame.seq, frame.pts_ns, frame.gloss)


_LETTER_S, _SIGN_S, _PAUSE_S = 0.36, 1.0, 0.1


def gloss_seconds(choreography: AnyChoreography, gloss: Gloss) -> tuple[float, float]:
    """About how long a gloss moves, and stands after that, at rate 1.

    As the choreography's own `seconds(gloss)` says, where it has one.
    """
    seconds = getattr(choreography, "seconds", None)
    if seconds is not None:
        moving_s, pausing_s = seconds(gloss)
        return float(moving_s), float(pausing_s)
    return (_LETTER_S if gloss.spelled else _SIGN_S), (_PAUSE_S if gloss.word_end else 0.0)
