"""The face: which face units explain how the signer's face differs from its rest, and where the head turns.

Enters: a recording's face mesh. Leaves: face units [T, 52], jaw opening, head rotation.
Does not know meshes: the basis is the detector's own response to each unit, measured once on pictures of our
avatar (`trainer.face_basis`). Displacements of the mesh itself would cross-talk: a detector sees a face
through its own prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from engine.retarget.geometry import Array, Mask, fill, kabsch, rotvec, smooth, unturn
from engine.retarget.recording import FACE_COUNT
from engine.skeleton import FACE, FACE_UNITS

ASSET = Path(__file__).parent.parent / "assets" / "face.npz"
JAW_OPEN_RAD = 0.375
"""Jaw rotation at which our mouth is as open as at jawOpen 1."""

STEADY = (
    10, 67, 109, 103, 54, 21, 162, 127, 234, 338, 297, 332, 284, 251, 389, 356, 454, 33, 133, 362, 263, 6,
    168, 197, 195, 5, 4, 98, 327,
)  # fmt: skip
"""Forehead, temples, eye corners, nose: what moves with the skull."""
_CORNERS = (33, 263)
_BROW = {
    "Right": (46, 52, 53, 55, 63, 65, 66, 70, 105, 107),
    "Left": (276, 282, 283, 285, 293, 295, 296, 300, 334, 336),
}
_EYE = {
    "Right": (7, 33, 133, 144, 145, 153, 154, 155, 157, 158, 159, 160, 161, 163, 173, 246),
    "Left": (249, 263, 362, 373, 374, 380, 381, 382, 384, 385, 386, 387, 388, 390, 398, 466),
}
_LID = {"Right": (159, 145, 33, 133), "Left": (386, 374, 362, 263)}
"""Upper lid, lower lid, two corners."""
_MOUTH = (
    0, 13, 14, 17, 37, 39, 40, 61, 78, 80, 81, 82, 84, 87, 88, 91, 95, 146, 178, 181, 185, 191, 267, 269, 270,
    291, 308, 310, 311, 312, 314, 317, 318, 321, 324, 375, 402, 405, 409, 415,
    132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361,
)  # fmt: skip
_MOUTH_MOVES = (
    ("jawOpen",), ("mouthSmileLeft", "mouthSmileRight"), ("mouthFrownLeft", "mouthFrownRight"),
    ("mouthPucker",), ("mouthFunnel",), ("mouthStretchLeft", "mouthStretchRight"),
    ("mouthRollLower", "mouthRollUpper"),
)  # fmt: skip
"""Mouth movements told apart; finer ones (one corner, one lip) drown in the detector's prior."""
_JAW_SEEN = 0.77
"""How far the detector sees our widest mouth open, as a share of how far it is: 0.29 of 0.38 eye widths."""
_MOST = 0.8
"""The other mouth movements are small on our face, so the fit would exaggerate them."""
_RIDGE = 0.12
_SWEEPS = 40
_IDLE, _BROW_IDLE = 0.04, 0.12
"""Below this a unit is noise."""


@dataclass(frozen=True, eq=False)
class FaceBasis:
    """neutral [468, 3], response [52, 468, 3] to each unit at 1; in widths between the outer eye corners."""

    neutral: Array
    response: Array


@lru_cache(maxsize=1)
def load_basis(path: Path = ASSET) -> FaceBasis:
    with np.load(path) as data:
        return FaceBasis(data["neutral"].astype(np.float64), data["response"].astype(np.float64))


@dataclass(frozen=True, eq=False)
class FaceMotion:
    """units [T, 52] 0..1; jaw [T] radians; head [T, 3] axis-angle against the clip's median."""

    units: Array
    jaw: Array
    head: Array


def solve_face(face: Array, alpha: float, fps: float) -> FaceMotion:
    """Face units and head rotation of a face track [T, 468, 3] as stored; NaN where a point is absent.

    A face never seen is neutral and looks ahead; one lost for a while is interpolated.
    """
    frames = len(face)
    still = FaceMotion(np.zeros((frames, len(FACE_UNITS))), np.zeros(frames), np.zeros((frames, 3)))
    present = np.isfinite(face).all(-1)  # [T, 468]
    seen = present.mean(1) > 0.5 * present.mean(1).max()
    use = present[seen].mean(0) > 0.9 if seen.any() else np.zeros(FACE_COUNT, bool)
    if not use[list(_CORNERS)].all() or use[list(STEADY)].sum() < 8:
        return still
    seen &= present[:, use].all(1)
    if not seen.any():
        return still
    track = fill(np.where(use[:, None], face, 0.0) * np.array([1.0, -1.0, -alpha]), seen)
    neutral = np.median(track[_closed_mouth(track, use, seen)], 0)
    width = float(np.linalg.norm((neutral[_CORNERS[1]] - neutral[_CORNERS[0]])[:2]))
    if width < 2.0:
        return still
    steady = [i for i in STEADY if use[i]]
    rotation = kabsch(neutral[steady], track[:, steady], np.ones(len(steady)))
    level = unturn(rotation[:, None], track - track[:, steady].mean(1, keepdims=True))
    level = level / width
    rest = (neutral - neutral[steady].mean(0)) / width
    units = _solve_units(level - rest, use)
    _solve_lids(level, use, units)
    units = smooth(units, 0.03 * fps)
    return FaceMotion(units, JAW_OPEN_RAD * units[:, FACE["jawOpen"]], _head(rotation, fps))


def _closed_mouth(track: Array, use: Mask, seen: Mask) -> Mask:
    """The half of the seen frames in which the lips are nearest: what we take for the face at rest."""
    if not use[[13, 14]].all():
        return seen
    gap = np.linalg.norm((track[:, 13] - track[:, 14])[:, :2], axis=1)
    return np.asarray(seen & (gap <= np.median(gap[seen]) + 1e-9))


def _solve_units(change: Array, use: Mask) -> Array:
    basis = load_basis()
    units = np.zeros((len(change), len(FACE_UNITS)))
    for side in ("Left", "Right"):
        moves = (
            ("browInnerUp", f"browOuterUp{side}"), (f"browDown{side}",), (f"eyeBlink{side}",),
            (f"eyeWide{side}",),
        )  # fmt: skip
        solved = _regional(basis, change, use, (*_BROW[side], *_EYE[side]), moves)
        lift = solved[:, 0] - solved[:, 1]  # a brow is up or down; what both explain is noise
        units[:, FACE[f"browOuterUp{side}"]] = np.clip(lift - _BROW_IDLE, 0, 1)
        units[:, FACE["browInnerUp"]] += np.clip(lift - _BROW_IDLE, 0, 1) / 2
        units[:, FACE[f"browDown{side}"]] = np.clip(-lift - _BROW_IDLE, 0, 1)
    mouth = _regional(basis, change, use, _MOUTH, _MOUTH_MOVES)
    for move, weight in zip(_MOUTH_MOVES, mouth.T, strict=True):
        scale, most = (_JAW_SEEN, 1.0) if move == ("jawOpen",) else (1.0, _MOST)
        for unit_name in move:
            units[:, FACE[unit_name]] = np.clip(scale * (weight - _IDLE), 0, most)
    return units


def _regional(
    basis: FaceBasis, change: Array, use: Mask, points: tuple[int, ...], moves: tuple[tuple[str, ...], ...]
) -> Array:
    """Non-negative ridge regression of `change` [T, 468, 3] over one region, flat -> [T, len(moves)]."""
    here = [i for i in points if use[i]]
    matrix = np.stack([basis.response[[FACE[n] for n in move]].sum(0)[here, :2].ravel() for move in moves])
    gram = matrix @ matrix.T
    gram += np.eye(len(moves)) * (_RIDGE * np.sqrt(np.diag(gram)).mean()) ** 2
    wanted = change[:, here, :2].reshape(len(change), -1) @ matrix.T
    weight = np.zeros_like(wanted)
    for _ in range(_SWEEPS):  # coordinate descent, all frames at once
        for u in range(len(moves)):
            rest = wanted[:, u] - weight @ gram[:, u] + weight[:, u] * gram[u, u]
            weight[:, u] = np.maximum(rest / gram[u, u], 0.0)
    return np.asarray(weight)


def _solve_lids(level: Array, use: Mask, units: Array) -> None:
    """Blinks and wide eyes from how far the lids stand apart: steadier than the whole region."""
    shut, wide = [], []
    for side in ("Left", "Right"):
        upper, lower, inner, outer = _LID[side]
        if not use[[upper, lower, inner, outer]].all():
            return
        gap = np.linalg.norm((level[:, upper] - level[:, lower])[:, :2], axis=1)
        ratio = gap / np.maximum(np.linalg.norm((level[:, inner] - level[:, outer])[:, :2], axis=1), 1e-6)
        shut.append(np.clip((0.70 - ratio / max(np.percentile(ratio, 75), 1e-6)) / 0.45, 0, 1))
        wide.append(np.clip((ratio / max(np.percentile(ratio, 60), 1e-6) - 1.15) / 0.35, 0, 1))
    if np.abs(shut[0] - shut[1]).max() < 0.5:  # not a wink
        shut = [(shut[0] + shut[1]) / 2] * 2
    for side, closed, opened in zip(("Left", "Right"), shut, wide, strict=True):
        units[:, FACE[f"eyeBlink{side}"]] = closed
        units[:, FACE[f"eyeWide{side}"]] = opened * (1 - closed)


def _head(rotation: Array, fps: float) -> Array:
    """Nods are seen flatter than they are, turns as they are: pitch gain 1.5, yaw and roll gain 1."""
    return np.clip(smooth(rotvec(rotation) * np.array([1.5, 1.0, 1.0]), 0.04 * fps), -0.6, 0.6)
