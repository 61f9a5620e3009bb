"""Compositions: texts spelled (or signed) by the engine's own lexicon choreography, as sequences to learn
from.

Enters: a lexicon, texts or glosses. Leaves: `MotionSequence`s: from rest, through every gloss with its
co-articulated seams, back to rest. Does not know models. The same seed gives the same sequences.

    composer = Composer(Lexicon.default(), CompositionConfig(language="ase"))
    sequence = composer.spell("hello", name="ase/hello")
    compose(composer, writer, count=4000)
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.body import Body, load_body
from engine.choreography import FASTEST, SLOWEST, LexiconChoreography
from engine.choreography.rest import rest_pose
from engine.choreography.state import LexiconState
from engine.glossing.glosser import Glossed
from engine.glossing.spelling import Speller
from engine.lexicon import Lexicon
from engine.rotations import rotvec_from_quaternion
from engine.signals import HANDS_SHAPE, POSE_SHAPE, FloatArray, Gloss, MotionFrame
from trainer.data.sequences import MotionSequence, SequenceWriter
from trainer.data.words import Texts, letter_glosses

_NO_POSE, _NO_HANDS = np.zeros(POSE_SHAPE, np.float32), np.zeros(HANDS_SHAPE, np.float32)
MAX_FRAMES_A_GLOSS = 250


@dataclass(frozen=True)
class CompositionConfig:
    """How compositions are made.

    slowest, fastest: the signing rate is drawn evenly between them, anew for each sequence. idle: lay idle
    life (breath, blinks, gaze) over the motion; off, so that models learn signing and the engine adds life.
    rest_frames: at most so many frames of rest before the first and after the last gloss. real_share,
    most_words: see `Texts`.
    """

    language: str = "ase"
    seed: int = 0
    slowest: float = 0.8
    fastest: float = 1.4
    idle: bool = False
    rest_frames: int = 12
    real_share: float = 0.5
    most_words: int = 3
    fps: float = 25.0

    def __post_init__(self) -> None:
        if not SLOWEST <= self.slowest <= self.fastest <= FASTEST:
            raise ValueError(
                f"CompositionConfig: got rates {self.slowest}..{self.fastest}, expected {SLOWEST} <= "
                "slowest <= "
                f"fastest <= {FASTEST}"
            )
        if self.rest_frames < 1:
            raise ValueError(f"CompositionConfig.rest_frames: got {self.rest_frames}, expected at least 1")


class _Later(Body):
    """A body whose frames carry the SMPL-X pose only; the other modalities are made for the whole clip at
    once.
    """

    def frame(
        self, smplx: FloatArray, expression: FloatArray, *, seq: int, pts_ns: int, gloss: int
    ) -> MotionFrame:
        return MotionFrame(seq, pts_ns, _NO_POSE, _NO_HANDS, smplx, expression, gloss)


class _Still(LexiconChoreography):
    """The engine's choreography without idle life; what is planned is kept aside, to be converted all at
    once.
    """

    def __init__(self, lexicon: Lexicon, *, fps: float, body: Body) -> None:
        super().__init__(lexicon, fps=fps, body=body)
        self.planned: list[tuple[FloatArray, FloatArray]] = []
        self._unseen = rest_pose()

    def _enliven(
        self, state: LexiconState, pose: FloatArray, expression: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        self.planned.append((pose, expression))
        return self._unseen, expression

    def taken(self) -> tuple[FloatArray, FloatArray]:
        """SMPL-X pose [T, 55, 3] and face units [T, 52] of what was planned since the last time."""
        poses, expressions = (np.stack(values) for values in zip(*self.planned, strict=True))
        self.planned.clear()
        return rotvec_from_quaternion(poses), np.clip(expressions, 0, 1)


class Composer:
    """See the module. Clips stay prepared between sequences."""

    def __init__(self, lexicon: Lexicon, config: CompositionConfig) -> None:
        self.lexicon, self.config = lexicon, config
        self._body = body = load_body()
        later = _Later(body.rest_joints, body.rest_points, body.point_joint)
        kind = LexiconChoreography if config.idle else _Still
        self._choreography = kind(lexicon, fps=config.fps, body=later)

    def glosses(self, text: str) -> list[Gloss]:
        """The letters of a text, word by word. Raises ValueError for an empty text, or where a letter is
        lacking.
        """
        out = Glossed()
        speller = Speller(self.lexicon, self.config.language, out)
        start = 0
        for word in text.split():
            letter_glosses(self.lexicon, self.config.language, word)  # raises where one is lacking
            start = text.index(word, start)
            speller.spell(word, start)
            start += len(word)
        if not out.glosses:
            raise ValueError(f"composition: got {text!r}, expected at least one letter to spell")
        return out.glosses

    def spell(
        self, text: str, *, name: str, rate: float | None = None, seed: int | None = None
    ) -> MotionSequence:
        """A text, spelled. rate, seed: drawn from the configuration's seed and the name where not given."""
        return self.compose(self.glosses(text), text=text, name=name, rate=rate, seed=seed)

    def compose(
        self,
        glosses: Sequence[Gloss],
        *,
        text: str,
        name: str,
        rate: float | None = None,
        seed: int | None = None,
    ) -> MotionSequence:
        """Glosses of the lexicon, signs or letters, one after the other. Raises ValueError where one has no
        clip.
        """
        if not glosses:
            raise ValueError(f"{name}: got no glosses, expected at least one")
        c, rng = self.config, random.Random(f"{self.config.seed}/{name}" if seed is None else seed)
        drawn = round(rng.uniform(c.slowest, c.fastest), 3)
        rate = drawn if rate is None else rate
        before, after = rng.randint(1, c.rest_frames), rng.randint(1, c.rest_frames)
        for gloss in glosses:
            self._choreography.warm(gloss)
        state = self._choreography.open(seed=rng.getrandbits(32), rate=rate)
        if isinstance(self._choreography, _Still):
            self._choreography.planned.clear()
        frames = [self._choreography.step(state, 0) for _ in range(before)]
        self._choreography.append(list(enumerate(glosses)), state)
        while state.pending or not state.resting:
            frames.append(self._choreography.step(state, 0))
            if len(frames) > MAX_FRAMES_A_GLOSS * (len(glosses) + 1):
                raise ValueError(
                    f"{name}: still signing after {len(frames)} frames; is a recording too long?"
                )
        frames += [self._choreography.step(state, 0) for _ in range(after)]
        labels = np.array([frame.gloss for frame in frames])
        spans = [_span(labels == i, gloss.label, name) for i, gloss in enumerate(glosses)]
        if isinstance(self._choreography, _Still):
            smplx, expression = self._choreography.taken()
        else:
            smplx = np.stack([frame.smplx for frame in frames])
            expression = np.stack([frame.expression for frame in frames])
        return MotionSequence(
            name=name,
            language=c.language,
            signer="lexicon",
            text=text,
            glosses=tuple(gloss.label for gloss in glosses),
            spans=np.array(spans, np.int32),
            motion=self._body.motion(smplx, expression, c.fps),
            word_ends=tuple(gloss.word_end for gloss in glosses),
            rate=rate,
        )


def _span(shown: np.ndarray[tuple[int], np.dtype[np.bool_]], label: str, name: str) -> tuple[int, int]:
    at = np.flatnonzero(shown)
    if not len(at):
        raise ValueError(f"{name}: {label} is never shown; the signing rate is too high for its recording")
    return int(at[0]), int(at[-1]) + 1


def compose(composer: Composer, writer: SequenceWriter, count: int) -> list[tuple[str, str]]:
    """Write `count` training sequences, named `<language>/<seed>/<number>`; returns what was left out, and
    why.
    """
    c = composer.config
    texts = Texts(composer.lexicon, c.language, c.seed, c.real_share, c.most_words)
    named = {f"{c.language}/{c.seed}/{i:06d}": text for i, text in enumerate(itertools.islice(texts, count))}
    return writer.write_all(list(named), lambda name: composer.spell(named[name], name=name), what=c.language)
