"""A prepared clip: a sign's core at signing speed, with the rise of the hands that leads to it.

Enters: arrays from `prepare`. Leaves: `Clip`, and `sample` of its motion between frames. Does not know
recordings, queues or other clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.signals import FloatArray


@dataclass(frozen=True, eq=False, slots=True)
class Clip:
    """n frames at the choreography's rate: preparation [0, enter), core [enter, leave].

    quaternions [n, 55, 4]; expression [n, 52]; wrists [n, 2, 3] metres; confidence [n, 2]; used: which
    hands sign (the other is at rest); moving: False for a letter that is held still; entry, exit: how many
    frames a seam may cut from either end of the core.
    """

    quaternions: FloatArray
    expression: FloatArray
    wrists: FloatArray
    confidence: FloatArray
    enter: int
    leave: int
    used: tuple[bool, bool]
    moving: bool
    entry: int
    exit: int

    def __len__(self) -> int:
        return len(self.quaternions)

    @property
    def core_frames(self) -> int:
        return self.leave - self.enter

    @property
    def nbytes(self) -> int:
        return self.quaternions.nbytes + self.expression.nbytes + self.wrists.nbytes

    def sample(self, phase: float) -> tuple[FloatArray, FloatArray]:
        """Quaternions [55, 4] and expression [52] at a fractional frame, clamped to the clip."""
        phase = min(max(phase, 0.0), len(self) - 1.0)
        first = int(phase)
        share = phase - first
        if share < 1e-6:
            return self.quaternions[first], self.expression[first]
        return (
            lerp_quaternions(self.quaternions[first], self.quaternions[first + 1], share),
            self.expression[first] * np.float32(1 - share) + self.expression[first + 1] * np.float32(share),
        )


def lerp_quaternions(a: FloatArray, b: FloatArray, share: float) -> FloatArray:
    """Between neighbouring frames (same hemisphere) the normalised line equals the arc to a few seconds of
    arc.
    """
    mixed = a * np.float32(1 - share) + b * np.float32(share)
    mixed /= np.sqrt(np.einsum("...i,...i->...", mixed, mixed))[..., None]
    return mixed
