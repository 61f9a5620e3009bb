"""How near a generated clip is to the true one, and how alive: warped distances, path length, duration, jerk.

Enters: `Motion`s. Leaves: figures. Does not know models or glosses.

Joints are the 60 keypoints in 3D after forward kinematics of the SMPL-X pose (`points`), in shoulder widths
about the middle of the shoulders, so that one body's size does not matter; "hands" are the last 42 of them.
The 2D modality can be measured in the same way (`plane`). Every function takes such arrays [T, J, 2 or 3].
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from engine.body import Body, load_body
from engine.signals import FloatArray, Motion
from engine.skeleton import POSE_HAND
from trainer.metrics.warping import warp

Points = FloatArray
HANDS = slice(POSE_HAND["left"].start, POSE_HAND["right"].stop)
_WRIST, _TIPS = 0, (4, 8, 12, 16, 20)
SEAM_POINTS = [POSE_HAND[side].start + i for side in ("left", "right") for i in (_WRIST, *_TIPS)]


def points(motion: Motion, body: Body | None = None) -> Points:
    """[T, 60, 3] of a clip's SMPL-X pose, in shoulder widths about the middle of the shoulders."""
    body = body or load_body()
    placed = body.keypoints(*body.fk(motion.smplx))
    about: Points = (placed - placed[:, 1:2]) / np.float32(body.shoulder_width_m)
    return about


def plane(motion: Motion) -> Points:
    """[T, 60, 2] of a clip's 2D modality, as it is."""
    return motion.pose


def dtw_mje(ours: Points, theirs: Points) -> float:
    """DTW-MJE: mean joint error along the exact cheapest path, in shoulder widths.

    The cost of two frames is the mean over joints of their distance; the sum of costs along the path is
    divided by the number of pairs on it. Say with it how many joints and which frame rate.
    """
    total, pairs = warp(_distances(ours, theirs).mean(0))
    return float(total / pairs)


def ndtwp(ours: Points, theirs: Points) -> float:
    """nDTWp: each hand keypoint warped on its own, mean over the 42 keypoints of the cost of its cheapest
    path (pose-evaluation, Jiang et al. 2025), in shoulder widths summed over frames: it grows with a clip's
    length.
    """
    total, _ = warp(_distances(ours[:, HANDS], theirs[:, HANDS]))
    return float(total.mean())


def _distances(ours: Points, theirs: Points) -> npt.NDArray[np.float64]:
    """[J, T, U]"""
    if ours.shape[1:] != theirs.shape[1:]:
        raise ValueError(
            f"metrics: got joints {ours.shape[1:]} and {theirs.shape[1:]}, expected the same; use one of "
            "`points` and "
            "`plane` for both"
        )
    return np.stack([cdist(ours[:, j], theirs[:, j]) for j in range(ours.shape[1])])


def path_length(clip: Points) -> float:
    """How far the hand keypoints travel, mean over them, in shoulder widths."""
    steps = np.diff(clip[:, HANDS].astype(np.float64), axis=0)
    return float(np.linalg.norm(steps, axis=-1).sum(0).mean())


def path_length_ratio(ours: list[Points], theirs: list[Points]) -> float:
    """Path length of all clips together over that of the true ones: below 1 hands die away, above 1 they
    shake.
    """
    return _ratio([path_length(c) for c in ours], [path_length(c) for c in theirs], "path length")


def duration_ratio(ours: list[Points], theirs: list[Points], away: float = 0.15) -> float:
    """How long signing takes, from leaving rest to coming back, over the true clips' (see `signing`)."""
    return _ratio(
        [np.ptp(signing(c, away)) for c in ours], [np.ptp(signing(c, away)) for c in theirs], "duration"
    )


def _ratio(ours: list[float], theirs: list[float], what: str) -> float:
    if not sum(theirs) > 0:
        raise ValueError(f"metrics: the true clips' {what} is {sum(theirs)}, expected more than 0")
    return float(sum(ours) / sum(theirs))


def signing(clip: Points, away: float = 0.15) -> tuple[int, int]:
    """First and one-past-last frame in which a hand is farther than `away` shoulder widths from where it is
    at first.

    (0, 0) for a clip that stays at rest.
    """
    wrists = clip[:, [POSE_HAND["left"].start, POSE_HAND["right"].start]]
    up = np.flatnonzero((np.linalg.norm(wrists - wrists[:1], axis=-1) > away).any(-1))
    return (int(up[0]), int(up[-1]) + 1) if len(up) else (0, 0)


def own_against_random(ours: list[Points], theirs: list[Points], others: int = 4, seed: int = 0) -> float:
    """Distance (DTW-MJE of the hands) of clips to their own targets over that to other clips' targets.

    Well below 1 only where a clip says what it should: a mean of everything is as near to any target. Each
    clip is compared with `others` random targets.
    """
    if len(ours) != len(theirs) or len(ours) < 2:
        raise ValueError(
            f"metrics: got {len(ours)} clips and {len(theirs)} targets; expected as many, at least 2"
        )
    rng = np.random.default_rng(seed)
    own, random = [], []
    for i, clip in enumerate(ours):
        own.append(dtw_mje(clip[:, HANDS], theirs[i][:, HANDS]))
        rest = np.delete(np.arange(len(theirs)), i)
        for j in rng.choice(rest, min(others, len(rest)), replace=False):
            random.append(dtw_mje(clip[:, HANDS], theirs[j][:, HANDS]))
    return float(np.mean(own) / np.mean(random))


def jerk(clip: Points, fps: float) -> npt.NDArray[np.float64]:
    """[T - 3] mean over wrists and fingertips of the third difference, in shoulder widths a second cubed."""
    third = np.diff(clip[:, SEAM_POINTS].astype(np.float64), 3, axis=0) * fps**3
    return np.asarray(np.linalg.norm(third, axis=-1).mean(-1))


def seam_jerk(clip: Points, fps: float, spans: npt.ArrayLike, margin: int = 2) -> float:
    """Mean jerk over the frames between one gloss and the next, `margin` frames of either included.

    spans [G, 2] as in `MotionSequence`. Raises ValueError for fewer than two glosses.
    """
    spans = np.asarray(spans).reshape(-1, 2)
    if len(spans) < 2:
        raise ValueError(
            f"seam jerk: got {len(spans)} glosses, expected at least two, with a seam between them"
        )
    at = np.zeros(len(clip), bool)
    for end, start in zip(spans[:-1, 1], spans[1:, 0], strict=True):
        at[max(0, end - margin) : start + margin] = True
    values = jerk(clip, fps)
    inside = at[1:-2] if len(at) > 3 else at[:0]  # the third difference of frames i..i+3 lies about i + 1.5
    return float(values[inside].mean()) if inside.any() else 0.0
