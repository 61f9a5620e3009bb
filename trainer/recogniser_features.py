"""What a recogniser sees of motion: fingers in the frame of their wrist, how the wrist is turned, where it
is.

Enters: `Motion`, of which either the SMPL-X body alone is looked at, or the MANO hands with the 2D keypoints.
Leaves: numbers [T, FEATURES], of like size. Does not know glosses or models.
"""

from __future__ import annotations

import numpy as np

from engine.body import Body, load_body
from engine.rotations import matrix_from_rotvec
from engine.signals import FloatArray, Motion
from engine.skeleton import COCO18_NAMES, HAND, POSE_HAND, SIDES, WRIST

FPS = 25.0
SOURCES = ("smplx", "hands")
PER_HAND = 20 * 3 + 6 + 2
"""Of each hand: 20 finger points [20, 3] in tenths of a metre, wrist turn (6D), wrist place [2] in shoulder
widths.
"""
FEATURES = 2 * PER_HAND
_WRISTS = [COCO18_NAMES.index(f"{side}_wrist") for side in SIDES]
_CHUNK = 4096


def features(motion: Motion, source: str = "smplx", body: Body | None = None) -> FloatArray:
    """[T, FEATURES], left hand first, resampled to `FPS`.

    source `smplx`: from the body's joint angles alone, which is what the avatar shows. `hands`: finger joints
    and wrist turn from the MANO modality, wrist place from the 2D modality. Raises ValueError for another
    source.
    """
    body = body or load_body()
    if source not in SOURCES:
        raise ValueError(f"recogniser: got source {source!r}, expected one of {', '.join(SOURCES)}")
    parts = []
    for start in range(0, len(motion), _CHUNK):
        piece = motion[start : start + _CHUNK]
        if source == "smplx":
            rotation, position = body.fk(piece.smplx)
            hands, pose = body.hands(piece.smplx, rotation), body.pose(rotation, position)
        else:
            hands, pose = piece.hands, piece.pose
        parts.append(_features(hands, pose, body))
    return resampled(np.concatenate(parts), motion.fps / FPS)


def _features(hands: FloatArray, pose: FloatArray, body: Body) -> FloatArray:
    frames = len(hands)
    alone = np.zeros((frames, 55, 3), np.float32)  # a body at rest but for its hands: wrist frames follow
    for i, side in enumerate(SIDES):
        alone[:, HAND[side]] = hands[:, i, 1:]
    rotation, position = body.fk(alone)
    points = body.keypoints(rotation, position)
    turns = matrix_from_rotvec(hands[:, :, 0])  # [T, 2, 3, 3]
    parts = []
    for i, side in enumerate(SIDES):
        fingers = points[:, POSE_HAND[side]][:, 1:] - position[:, None, WRIST[side]]
        parts += [
            10 * fingers.reshape(frames, -1),
            turns[:, i, :, :2].reshape(frames, -1),
            pose[:, _WRISTS[i]],
        ]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def resampled(values: FloatArray, step: float) -> FloatArray:
    """[T, D] read every `step` frames, in between by straight lines."""
    if abs(step - 1) < 1e-6 or len(values) < 2:
        return values
    at = np.arange(0, len(values) - 1 + 1e-6, step)
    first = np.minimum(at.astype(int), len(values) - 2)
    share = (at - first).astype(np.float32)[:, None]
    mixed: FloatArray = values[first] * (1 - share) + values[first + 1] * share
    return mixed
