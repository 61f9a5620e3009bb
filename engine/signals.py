"""What passes between rooms: captions, glosses and motion.

Enters: nothing. Leaves: the frozen dataclasses every other module speaks.
Does not know where captions come from, how motion is made, or who draws it.

All motion arrays are float32 and C-contiguous; see `MotionFrame` for shapes, units and axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

POSE_SHAPE = (60, 2)
HANDS_SHAPE = (2, 16, 3)
SMPLX_SHAPE = (55, 3)
EXPRESSION_SHAPE = (52,)

IDLE = -1
"""`MotionFrame.gloss` while idle or in transition."""


@dataclass(frozen=True, slots=True)
class Caption:
    """A piece of text with its time.

    seq: running number within one signer. pts_ns: when it was said (monotonic): its arrival, where nothing
    better is known. language: a signed-language code (ISO 639-3, e.g. `ase`). final: False while more text
    of the same caption may follow (the last word may then still grow). end_ns: when the last of this text
    was said, where that is known; the words between are timed by their place.
    delay_ns: of a live caption: it is signed so long after it was said, not before and not much later, and
    what cannot be signed in time is left out (`engine.pacing`). None: signed when its turn comes, and whole.
    """

    text: str
    language: str
    seq: int = 0
    pts_ns: int = 0
    final: bool = True
    end_ns: int | None = None
    delay_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Gloss:
    """One sign to perform: a lexicon sign or one fingerspelled letter.

    label: what is shown (`KINDER`, `Z`). clip: the lexicon entry to perform (key into the lexicon).
    spelled: True for a letter of a spelled word. word_end: True for a sign and for the last letter of a
    spelled word (a pause may follow). caption_seq, start, end: the characters of the caption's text
    this gloss comes from, so that a page can highlight the word being signed. pts_ns: when its word was said.
    """

    label: str
    clip: str
    language: str
    spelled: bool = False
    word_end: bool = True
    caption_seq: int = 0
    start: int = 0
    end: int = 0
    pts_ns: int = 0


@dataclass(frozen=True, slots=True)
class MotionFrame:
    """One frame of the three pose modalities: the contract between choreography, renderers and the wire.

    seq: frame number. pts_ns: presentation time on the monotonic clock.
    pose [60, 2]: 18 body, 21 left-hand, 21 right-hand keypoints; origin mid-shoulder, unit shoulder width,
        x to the right of the picture, y down.
    hands [2, 16, 3]: MANO axis-angle (radians), left then right: global wrist, then 15 finger joints.
    smplx [55, 3]: SMPL-X axis-angle (radians) in `skeleton.JOINT_NAMES` order.
    expression [52]: face units 0..1 in `skeleton.FACE_UNITS` order.
    gloss: running index of the gloss being performed, -1 when idle or in transition.
    """

    seq: int
    pts_ns: int
    pose: FloatArray
    hands: FloatArray
    smplx: FloatArray
    expression: FloatArray
    gloss: int = IDLE

    def __post_init__(self) -> None:
        for name, expected in (
            ("pose", POSE_SHAPE),
            ("hands", HANDS_SHAPE),
            ("smplx", SMPLX_SHAPE),
            ("expression", EXPRESSION_SHAPE),
        ):
            got = getattr(self, name)
            if got.shape != expected or got.dtype != np.float32:
                raise ValueError(
                    f"MotionFrame.{name}: got {got.dtype} {got.shape}, expected float32 {expected}; "
                    "convert with numpy.ascontiguousarray(x, dtype=numpy.float32)"
                )


@dataclass(frozen=True, slots=True)
class Unseen:
    """A frame that nobody looks at: what `MotionFrame` says of it, but for the motion, which was not made."""

    seq: int
    pts_ns: int
    gloss: int = IDLE


@dataclass(frozen=True, slots=True)
class Motion:
    """A clip of motion: T frames of the three modalities (shapes as in `MotionFrame`, with a leading T).

    confidence [T, 2]: how well the left and right hand were seen in the recording, 0..1 (1 where synthetic).
    """

    fps: float
    pose: FloatArray
    hands: FloatArray
    smplx: FloatArray
    expression: FloatArray
    confidence: FloatArray = field(default_factory=lambda: np.zeros((0, 2), np.float32))

    def __post_init__(self) -> None:
        frames = len(self.smplx)
        for name, expected in (
            ("pose", POSE_SHAPE),
            ("hands", HANDS_SHAPE),
            ("smplx", SMPLX_SHAPE),
            ("expression", EXPRESSION_SHAPE),
        ):
            got = getattr(self, name)
            if got.shape != (frames, *expected):
                raise ValueError(f"Motion.{name}: got shape {got.shape}, expected {(frames, *expected)}")
        if self.fps <= 0:
            raise ValueError(f"Motion.fps: got {self.fps}, expected > 0")
        if len(self.confidence) == 0 and frames:
            object.__setattr__(self, "confidence", np.ones((frames, 2), np.float32))

    def __len__(self) -> int:
        return len(self.smplx)

    def __getitem__(self, window: slice) -> Motion:
        return Motion(
            self.fps,
            self.pose[window],
            self.hands[window],
            self.smplx[window],
            self.expression[window],
            self.confidence[window],
        )

    def frames(self, gloss: int = IDLE, start_ns: int = 0) -> Iterator[MotionFrame]:
        """Yield the clip frame by frame, timed from `start_ns`."""
        for i in range(len(self)):
            yield MotionFrame(
                seq=i,
                pts_ns=start_ns + round(i * 1e9 / self.fps),
                pose=self.pose[i],
                hands=self.hands[i],
                smplx=self.smplx[i],
                expression=self.expression[i],
                gloss=gloss,
            )
