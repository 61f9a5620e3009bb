"""One clip for training: three modalities, and what is signed in them when.

Enters: motion, glosses and their spans. Leaves: a `MotionSequence`, checked. Does not know files.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.signals import EXPRESSION_SHAPE, HANDS_SHAPE, POSE_SHAPE, SMPLX_SHAPE, Motion

FIELDS = {
    "pose": POSE_SHAPE,
    "hands": HANDS_SHAPE,
    "smplx": SMPLX_SHAPE,
    "expression": EXPRESSION_SHAPE,
    "confidence": (2,),
}
"""What a row holds, in this order."""
"""What is kept of a frame, in this order."""


@dataclass(frozen=True, eq=False)
class MotionSequence:
    """One clip with what is signed in it.

    name: unique in a folder. language: of signing (ISO 639-3). signer: who, or which recordings. glosses:
    labels in the order signed, as `Gloss.label` shows them (`HELLO`, `Z`). spans int32 [G, 2]: first and
    one-past-last frame of each. motion: T frames. word_ends [G]: `Gloss.word_end` of each (empty: every one
    is a word). rate: the signing rate it was made at (1 where recorded). timed: False where the corpus does
    not say when its glosses are; the spans are then even shares of the clip, and nothing to learn timing
    from. Raises ValueError where these do not fit together, or where a number is not finite.
    """

    name: str
    language: str
    signer: str
    text: str
    glosses: tuple[str, ...]
    spans: npt.NDArray[np.int32]
    motion: Motion
    word_ends: tuple[bool, ...] = field(default=())
    rate: float = 1.0
    timed: bool = True

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError(
                "MotionSequence.name: got an empty name, expected one that is unique in its folder"
            )
        frames, spans = len(self.motion), np.asarray(self.spans, dtype=np.int32).reshape(-1, 2)
        object.__setattr__(self, "spans", spans)
        if not self.word_ends:
            object.__setattr__(self, "word_ends", (True,) * len(self.glosses))
        if frames == 0:
            raise ValueError(f"{self.name}: got a motion of no frames; leave the clip out")
        if len(spans) != len(self.glosses) or len(self.word_ends) != len(self.glosses):
            raise ValueError(
                f"{self.name}: got {len(self.glosses)} glosses, {len(spans)} spans and "
                f"{len(self.word_ends)} word ends; expected as many of each"
            )
        if len(spans) and ((spans[:, 0] < 0) | (spans[:, 0] > spans[:, 1]) | (spans[:, 1] > frames)).any():
            raise ValueError(
                f"{self.name}: got spans {spans.tolist()}, expected first <= last within {frames} frames; "
                "are they in milliseconds?"
            )
        for name in FIELDS:
            wrong = ~np.isfinite(getattr(self.motion, name)).reshape(frames, -1).all(1)
            if wrong.any():
                raise ValueError(
                    f"{self.name}: {name} holds NaN or infinity in {wrong.sum()} of {frames} frames, first "
                    f"in frame {int(wrong.argmax())}; fill or cut them before training"
                )

    def __len__(self) -> int:
        return len(self.motion)


def even_spans(glosses: int, frames: int) -> npt.NDArray[np.int32]:
    """[G, 2] even shares of a clip, for glosses whose times are not known."""
    edges = np.round(np.linspace(0, frames, glosses + 1)).astype(np.int32)
    return np.stack([edges[:-1], edges[1:]], axis=1)
