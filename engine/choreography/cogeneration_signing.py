"""One signer's state while motion is generated: what waits, who makes the present frames, and how.

Enters: settings, between steps. Leaves: what a signer reads of it (`engine.choreography.base`). Does not know
how frames are made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import MutableSequence
from dataclasses import dataclass, field
from enum import Enum, auto

from engine.choreography.cogeneration_run import Run, Waiting
from engine.choreography.state import LexiconState


class Source(Enum):
    """Who makes the present frames. LEXICON: recordings, and rest."""

    MODEL = auto()
    LEXICON = auto()


@dataclass(eq=False)
class CogenerationSigning:
    """One signer's state. `rate` and `left_handed` may be set at any time between steps."""

    life: LexiconState
    queue: deque[Waiting] = field(default_factory=deque)
    source: Source = Source.LEXICON
    run: Run | None = None
    aside_m: float = 0.0
    """How far the hand is put aside just now, for a doubled letter."""
    rate_made: float = 1.0
    """The rate that the run decodes at."""

    @property
    def rate(self) -> float:
        return self.life.rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self.life.rate = rate

    @property
    def left_handed(self) -> bool:
        return self.life.left_handed

    @left_handed.setter
    def left_handed(self, left_handed: bool) -> None:
        self.life.left_handed = left_handed

    @property
    def pending(self) -> int:
        """Glosses not yet finished."""
        lexical = self.life.pending if self.source is Source.LEXICON else 0
        return len(self.queue) + lexical + (self.run.unfinished if self.run is not None else 0)

    @property
    def resting(self) -> bool:
        """Nothing to sign, and the hands lie still."""
        return self.source is Source.LEXICON and not self.queue and self.life.resting

    @property
    def skipped(self) -> MutableSequence[tuple[int, str]]:
        return self.life.skipped
