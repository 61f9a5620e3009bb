"""Generated signing against composed recordings: everything that is measured of a choreography.

Enters: a choreography, words, a lexicon to compose the truth from, a recogniser. Leaves: figures. Does not
know what kind of choreography it is.

A choreography is given glosses, a rate and a seed, and nothing else: `perform` has no way to hand it frames,
lengths or timings of the truth, which is composed afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.choreography.base import AnyChoreography
from engine.signals import IDLE, Gloss, Motion, MotionFrame
from trainer.data.compositions import Composer
from trainer.data.sequences import MotionSequence
from trainer.metrics.agreement import agreement
from trainer.metrics.motion import (
    HANDS,
    Points,
    dtw_mje,
    duration_ratio,
    ndtwp,
    own_against_random,
    path_length_ratio,
    points,
    seam_jerk,
    signing,
)
from trainer.metrics.streams import drift, longest_freeze_s, trend
from trainer.metrics.text import bleu, rouge_l, word_error_rate
from trainer.recogniser import Recogniser
from trainer.recogniser_features import SOURCES

MAX_FRAMES_A_GLOSS = 100
_WAITING = 24
"""A long stream is fed so that about so many glosses wait."""


@dataclass(frozen=True, eq=False)
class Performance:
    """What a choreography showed: motion [T], the gloss each frame claims to perform, and whether glosses
    were pending.
    """

    motion: Motion
    labels: npt.NDArray[np.int64]
    pending: npt.NDArray[np.bool_]

    def spans(self) -> npt.NDArray[np.int64]:
        """[G, 2] first and one-past-last frame of each gloss that is shown, in order."""
        found = [np.flatnonzero(self.labels == i) for i in np.unique(self.labels[self.labels != IDLE])]
        return np.array([(at[0], at[-1] + 1) for at in found], np.int64).reshape(-1, 2)


def perform(
    choreography: AnyChoreography, glosses: Sequence[Gloss], *, rate: float = 1.0, seed: int = 0
) -> Performance:
    """Sign glosses from rest to rest. Raises ValueError where it never comes to rest, or skips one."""
    state = choreography.open(seed=seed, rate=rate)
    for gloss in glosses:
        choreography.warm(gloss)
    frames = [choreography.step(state, 0)]
    pending = [False]
    choreography.append(list(enumerate(glosses)), state)
    while state.pending or not state.resting:
        pending.append(bool(state.pending))
        frames.append(choreography.step(state, 0))
        if len(frames) > MAX_FRAMES_A_GLOSS * (len(glosses) + 2):
            raise ValueError(
                f"{' '.join(g.label for g in glosses)}: still signing after {len(frames)} frames; the model "
                "does not "
                "stop: train it longer"
            )
    if state.skipped:
        raise ValueError(f"the choreography skipped glosses: {list(state.skipped)}; evaluate what it knows")
    return _performance(frames, pending, choreography.fps)


def perform_long(
    choreography: AnyChoreography, texts: Sequence[Sequence[Gloss]], minutes: float, *, seed: int = 0
) -> Performance:
    """One stream without a break: the texts over and over, for so many minutes of motion."""
    state = choreography.open(seed=seed)
    frames: list[MotionFrame] = []
    pending: list[bool] = []
    index = said = 0
    while len(frames) < minutes * 60 * choreography.fps:
        while state.pending < _WAITING:
            glosses = texts[said % len(texts)]
            choreography.append(list(enumerate(glosses, index)), state)
            index, said = index + len(glosses), said + 1
        pending.append(bool(state.pending))
        frames.append(choreography.step(state, 0))
    return _performance(frames, pending, choreography.fps)


def _performance(frames: Sequence[MotionFrame], pending: Sequence[bool], fps: float) -> Performance:
    stacked = {
        name: np.stack([getattr(f, name) for f in frames])
        for name in ("pose", "hands", "smplx", "expression")
    }
    return Performance(Motion(fps, **stacked), np.array([f.gloss for f in frames]), np.array(pending, bool))


@dataclass(frozen=True, eq=False)
class Compared:
    """One word: as generated, and as composed; and the keypoints of both."""

    word: str
    ours: Performance
    theirs: MotionSequence
    our_points: Points
    their_points: Points


def compare(
    choreography: AnyChoreography, composer: Composer, words: Sequence[str], *, rate: float = 1.0
) -> list[Compared]:
    """Every word generated, and only then composed."""
    shown = [perform(choreography, composer.glosses(word), rate=rate, seed=i) for i, word in enumerate(words)]
    compared = []
    for word, ours in zip(words, shown, strict=True):
        theirs = composer.spell(word, name=f"truth/{word}", rate=rate)
        compared.append(Compared(word, ours, theirs, points(ours.motion), points(theirs.motion)))
    return compared


def text_figures(
    recogniser: Recogniser,
    motions: Sequence[Motion],
    wanted: Sequence[Sequence[str]],
    language: str,
    source: str,
) -> dict[str, float]:
    """Back-translation: what the recogniser reads against what should be signed, in per cent.

    letter_error: edits per hundred letters. wer: of words, each clip one word. BLEU and ROUGE-L: of letters.
    """
    read = [recogniser.read(motion, language, source=source) for motion in motions]
    said, meant = [" ".join(r) for r in read], [" ".join(w) for w in wanted]
    figures = {
        "letter_error": word_error_rate(said, meant),
        "wer": word_error_rate(["".join(r) for r in read], ["".join(w) for w in wanted]),
        "rouge": rouge_l(said, meant),
    }
    return figures | {f"bleu{n}": bleu(said, meant, n) for n in (1, 4)}


def figures(compared: Sequence[Compared], recogniser: Recogniser, language: str) -> dict[str, float]:
    """All figures of generated words; those of the composed truth begin with `true_`."""
    ours, theirs = [c.our_points for c in compared], [c.their_points for c in compared]
    wanted = [c.theirs.glosses for c in compared]
    found: dict[str, float] = {}
    for source in SOURCES:
        end = "" if source == "smplx" else f"_{source}"
        read = text_figures(recogniser, [c.ours.motion for c in compared], wanted, language, source)
        true = text_figures(recogniser, [c.theirs.motion for c in compared], wanted, language, source)
        found |= {f"{name}{end}": value for name, value in read.items()}
        found |= {f"true_{name}{end}": value for name, value in true.items()}
        found[f"letter_error_above_true{end}"] = read["letter_error"] - true["letter_error"]
    our_hands, their_hands = ([clip[:, HANDS] for clip in clips] for clips in (ours, theirs))
    found |= {
        "path_length_ratio": path_length_ratio(ours, theirs),
        "duration_ratio": duration_ratio(ours, theirs),
        "own_over_random": own_against_random(ours, theirs),
        "dtw_mje_60_joints": _mean(map(dtw_mje, ours, theirs)),
        "dtw_mje_42_hand_joints": _mean(map(dtw_mje, our_hands, their_hands)),
        "ndtwp": _mean(map(ndtwp, ours, theirs)),
    }
    fps = compared[0].ours.motion.fps
    seams = [c for c in compared if len(c.ours.spans()) > 1 and len(c.theirs.spans) > 1]
    if seams:
        found["seam_jerk"] = float(np.mean([seam_jerk(c.our_points, fps, c.ours.spans()) for c in seams]))
        found["true_seam_jerk"] = float(
            np.mean([seam_jerk(c.their_points, fps, c.theirs.spans) for c in seams])
        )
    agreed = [agreement(c.ours.motion) for c in compared]
    found["disagreement_wrist"] = _mean(a.mean_wrist for a in agreed)
    found["disagreement_fingertip"] = _mean(a.mean_fingertip for a in agreed)
    return found


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def durations_s(compared: Sequence[Compared]) -> tuple[list[float], list[float]]:
    """Seconds of signing of each word: generated, composed."""
    fps = compared[0].ours.motion.fps
    return (
        [float(np.ptp(signing(c.our_points))) / fps for c in compared],
        [float(np.ptp(signing(c.their_points))) / fps for c in compared],
    )


@dataclass(frozen=True)
class LongStream:
    """figures: freezes and drift of place and speed. errors: letter error of each window, in per cent."""

    figures: dict[str, float]
    errors: tuple[float, ...]


def measure_stream(
    long: Performance, glosses: Sequence[Gloss], recogniser: Recogniser, language: str, window_s: float = 60.0
) -> LongStream:
    """Freezes and drift of a long stream of `glosses` (those appended, in order), and whether it still says
    what it should: letter error in every window.
    """
    fps, seen = long.motion.fps, points(long.motion)
    moved = drift(seen, fps, window_s)
    window = round(window_s * fps)
    errors = []
    for start in range(0, len(seen) - window + 1, window):
        at = slice(start, start + window)
        shown = [i for i in dict.fromkeys(long.labels[at].tolist()) if i != IDLE]
        said = recogniser.read(long.motion[at], language)
        meant = [glosses[i % len(glosses)].label for i in shown]
        errors.append(word_error_rate([" ".join(said)], [" ".join(meant)]))
    figures = {
        "longest_freeze_s": longest_freeze_s(seen, fps, long.pending),
        "drift_place": moved.place,
        "drift_slowest": moved.slowest,
        "drift_fastest": moved.fastest,
    }
    return LongStream(figures, tuple(errors))


def stream_figures(streams: Sequence[LongStream], window_s: float) -> dict[str, float]:
    """Of several streams: the worst of freezes and drift; mean letter error, of the first and last windows
    too, and its trend: percentage points a minute, with a 95 % interval (see `metrics.streams.trend`)."""
    worst = {
        name: (min if name == "drift_slowest" else max)(s.figures[name] for s in streams)
        for name in streams[0].figures
    }
    errors = np.array([s.errors for s in streams])  # [S, W]
    found = {
        "streams": float(len(streams)),
        "stream_minutes": errors.shape[1] * window_s / 60,
        **worst,
        "stream_letter_error": float(errors.mean()),
        "stream_first_letter_error": float(errors[:, 0].mean()),
        "stream_last_letter_error": float(errors[:, -1].mean()),
    }
    if errors.size > 2 and errors.shape[1] > 1:
        minutes = np.broadcast_to(np.arange(errors.shape[1]) * window_s / 60, errors.shape)
        slope = trend(minutes.ravel(), errors.ravel())
        found |= {
            "stream_error_trend": slope.slope,
            "stream_error_trend_low": slope.low,
            "stream_error_trend_high": slope.high,
        }
    return found
