"""What a run of the co-generation model handles: glosses that wait, frames that are begun, decoded and given
out; and how far ahead it decodes.

Enters: settings. Leaves: records. Does not know how frames are made.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.choreography.cogeneration_clock import GlossClock
from engine.choreography.cogeneration_lanes import CHOICES, CorrectorLike, Lanes
from engine.choreography.cogeneration_model import CogenerationModel
from engine.signals import FloatArray, Gloss


@dataclass(frozen=True, slots=True)
class Ahead:
    """How the model decodes. frames: so far ahead of what is given out, at ease; catch_up: at most so many
    in one step beyond what correction needs. speed: how a step is computed (see `cogeneration_lanes`).
    """

    frames: int = 8
    catch_up: int = 1
    speed: str = "auto"

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= 64 or self.catch_up < 1:
            raise ValueError(
                f"Ahead: got frames={self.frames}, catch_up={self.catch_up}; expected 1..64 and at least 1"
            )
        if self.speed not in CHOICES:
            raise ValueError(f"Ahead.speed: got {self.speed!r}, expected one of {', '.join(CHOICES)}")

    def most(self, corrector: CorrectorLike | None) -> int:
        """Frames that are decoded and not given out, at most. Raises ValueError where the corrector cannot
        go back as far."""
        if corrector is None:
            return self.frames
        most = max(self.frames, corrector.config.look_ahead_frames + 1)
        if corrector.config.rewind_frames < most:
            raise ValueError(
                f"cogeneration: the corrector goes back {corrector.config.rewind_frames} frames, "
                f"expected at least {most}; give it larger rewind_frames, or decode fewer frames ahead"
            )
        return most

    def lanes(self, model: CogenerationModel, corrector: CorrectorLike | None) -> Lanes:
        """What runs step on: able to take back all that was not given out."""
        return Lanes(model.network, model.channels, corrector, self.most(corrector) + 1, self.speed)


@dataclass(slots=True)
class Waiting:
    """A gloss that waits: its running index, and its token (None: the model does not know it)."""

    index: int
    gloss: Gloss
    token: int | None


@dataclass(frozen=True, slots=True)
class Begun:
    """A frame that is begun: the gloss that begins with it, if one does, and what there was before. pads: it
    only follows what is given out, so that correction can look ahead."""

    gloss: Waiting | None
    pads: bool
    clock: GlossClock
    present: Waiting | None
    resting: bool
    past: tuple[tuple[int, bool], ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that was decoded. rests: it belongs to going to rest."""

    number: int
    vector: FloatArray
    label: int
    ends: bool
    rests: bool
    doubled: int
    begun: Begun


@dataclass(frozen=True, slots=True)
class Given:
    """A frame that is given out. label: its gloss, or -1. begins, ends: whether it is a gloss's first or
    last. doubled: how often its letter came just before, within the word."""

    vector: FloatArray
    label: int
    begins: bool
    ends: bool
    doubled: int
