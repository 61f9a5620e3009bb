"""Text to a whole motion, faster than real time: the same `Signer` the server steps, on a manual clock.

Enters: captions. Leaves: a `Performance` (motion, glosses and what could not be said).
Does not know files or pictures; `stream.exports` writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.choreography.base import AnyChoreography
from engine.lexicon import Lexicon
from engine.signals import Caption, Gloss, Motion, MotionFrame
from engine.signer import GlosserLike, Signer
from stream.choreographies import remarks_of

_PIECE, _AHEAD = 200, 40
"""A line of any length is heard in pieces of so many characters; the next one while so many glosses wait."""
MAX_FRAMES = 25 * 60 * 60
"""An hour at 25 fps: beyond that, split the text."""


@dataclass(frozen=True)
class Performance:
    """A signed text. gloss_index [T] int32: which of `glosses` each frame performs, -1 between signs."""

    motion: Motion
    glosses: tuple[Gloss, ...]
    gloss_index: npt.NDArray[np.int32]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manner:
    """How to sign: signed-language code, rate 0.5..2, handedness, frames per second."""

    language: str = "ase"
    rate: float = 1.0
    left_handed: bool = False
    fps: float = 25.0
    seed: int = 0


@dataclass
class _Recorder:
    frames: list[MotionFrame] = field(default_factory=list)

    def performance(self, fps: float, glosses: list[Gloss], remarks: list[str]) -> Performance:
        motion = Motion(
            fps=fps,
            pose=np.stack([f.pose for f in self.frames]),
            hands=np.stack([f.hands for f in self.frames]),
            smplx=np.stack([f.smplx for f in self.frames]),
            expression=np.stack([f.expression for f in self.frames]),
        )
        index = np.array([f.gloss for f in self.frames], np.int32)
        return Performance(motion, tuple(glosses), index, tuple(remarks))


def perform(
    lines: Iterable[str],
    lexicon: Lexicon,
    glosser: GlosserLike,
    manner: Manner,
    progress: Callable[[int, int], None] = lambda done, total: None,
    choreography: AnyChoreography | None = None,
) -> Performance:
    """Sign every line and come to rest.

    progress(done, total) is called with glosses signed and glosses known so far. Raises ValueError when no
    line holds anything that can be signed, naming what could not be.
    """
    signer = Signer(
        lexicon,
        glosser,
        language=manner.language,
        fps=manner.fps,
        rate=manner.rate,
        left_handed=manner.left_handed,
        seed=manner.seed,
        choreography=choreography,
    )
    recorder = _Recorder()
    glosses: list[Gloss] = []
    remarks: list[str] = []

    def step() -> MotionFrame:
        seq = len(recorder.frames)
        if seq >= MAX_FRAMES:
            raise ValueError(
                f"say: the text needs more than {MAX_FRAMES} frames (an hour); split it into several files"
            )
        frame = signer.step(round(seq * 1e9 / manner.fps))
        recorder.frames.append(frame)
        return frame

    for seq, line in enumerate(lines):
        text = line.strip()
        if not text:
            continue
        for end in range(_PIECE, len(text) + _PIECE, _PIECE):
            last = end >= len(text)
            said = signer.say(Caption(text[end - _PIECE : end], manner.language, seq=seq, final=last))
            glosses += [gloss for _, gloss in said.glosses]
            for _, gloss in said.glosses:
                signer.choreography.warm(gloss)
            remarks += [str(problem) for problem in (*said.unspellable, *said.omitted)]
            while signer.pending > (0 if last else _AHEAD):
                frame = step()
                progress(max(frame.gloss, 0), len(glosses))
    if not glosses:
        why = "; ".join(remarks[:5]) + (" ..." if len(remarks) > 5 else "") or "the text is empty"
        raise ValueError(
            f"say: nothing to sign ({why}); expected text with letters or digits of {manner.language}"
        )
    while not signer.resting:
        step()
    progress(len(glosses), len(glosses))
    remarks += remarks_of(signer.choreography)
    return recorder.performance(manner.fps, glosses, remarks)
