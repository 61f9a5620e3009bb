"""Do the three modalities tell of the same body? Wrist and fingertip distances between them, in shoulder
widths.

Enters: motion. Leaves: mean distances for each pair of modalities. Does not know who made the motion.

What is compared, after forward kinematics on the default body:

    pose-smplx    flat, as the camera sees it: wrists where they are, fingertips where they are
    hands-smplx   in space; MANO hands have no place, so both hang from one wrist: how far the middle knuckle
    and the
                  fingertips then are apart
    pose-hands    flat, the same from the wrist that the pose shows

So "wrist" is the place of the wrist between pose and smplx, and what the turn of the wrist does to the palm
where hands take part. Motion that `engine.body.Body` derives from one pose agrees to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.body import WRIST_SHIFT, Body, load_body
from engine.rotations import matrix_from_rotvec
from engine.signals import FloatArray, Motion
from engine.skeleton import COCO18_NAMES, HAND, HAND21, PARENTS, POSE_HAND, SIDES, WRIST

PAIRS = ("pose-smplx", "hands-smplx", "pose-hands")
_TIPS = (4, 8, 12, 16, 20)
_KNUCKLE = 9
_POSE_WRISTS = [COCO18_NAMES.index(f"{side}_wrist") for side in SIDES]


@dataclass(frozen=True)
class Agreement:
    """Mean distances in shoulder widths, by pair of modalities (see the module)."""

    wrist: dict[str, float]
    fingertip: dict[str, float]

    @property
    def mean_wrist(self) -> float:
        return float(np.mean([self.wrist[pair] for pair in PAIRS]))

    @property
    def mean_fingertip(self) -> float:
        return float(np.mean([self.fingertip[pair] for pair in PAIRS]))

    def figures(self) -> dict[str, float]:
        """All of it with flat names: `wrist`, `fingertip` (means over pairs), `wrist_pose-smplx`, ..."""
        figures = {"wrist": self.mean_wrist, "fingertip": self.mean_fingertip}
        for kind in ("wrist", "fingertip"):
            figures |= {f"{kind}_{pair}": value for pair, value in getattr(self, kind).items()}
        return figures


def hand_points(hands: FloatArray, body: Body) -> FloatArray:
    """MANO hands [T, 2, 16, 3] -> their 21 points from the wrist joint in space, metres [T, 2, 21, 3]."""
    rest = np.concatenate([body.rest_joints, body.rest_points])
    above = [*PARENTS, *(int(joint) for joint in body.point_joint)]
    local = matrix_from_rotvec(hands)
    out = np.zeros((len(hands), 2, 21, 3), np.float32)
    for h, side in enumerate(SIDES):
        turned, places = {WRIST[side]: local[:, h, 0]}, {WRIST[side]: out[:, h, 0]}
        for point in HAND21[side][1:]:
            joint = above[point]
            places[point] = places[joint] + turned[joint] @ (rest[point] - rest[joint])
            if point < len(PARENTS):
                turned[point] = turned[joint] @ local[:, h, 1 + point - HAND[side].start]
        out[:, h] = np.stack([places[point] for point in HAND21[side]], 1)
    return out


def agreement(motion: Motion, body: Body | None = None) -> Agreement:
    """Distances of one clip. Raises ValueError for a clip of no frames."""
    if not len(motion):
        raise ValueError("agreement: got a motion of no frames, expected at least one")
    body = body or load_body()
    width = body.shoulder_width_m
    rotation, position = body.fk(motion.smplx)
    flat = body.pose(rotation, position)
    own = hand_points(motion.hands, body) / width  # [T, 2, 21, 3]
    seen = np.stack([motion.pose[:, POSE_HAND[side]] for side in SIDES], 1)
    other = np.stack([flat[:, POSE_HAND[side]] for side in SIDES], 1)
    joints = np.concatenate([position, body.points(rotation, position)], 1) / width
    body_hands = np.stack([joints[:, list(HAND21[side])] for side in SIDES], 1)
    body_hands = body_hands - body_hands[:, :, :1]
    shown = own - WRIST_SHIFT * own[:, :, _KNUCKLE : _KNUCKLE + 1]
    shown_flat = shown[..., :2] * np.array([1, -1], np.float32)
    relative = seen - seen[:, :, :1]
    tips = list(_TIPS)
    return Agreement(
        wrist={
            "pose-smplx": _mean(motion.pose[:, _POSE_WRISTS] - flat[:, _POSE_WRISTS]),
            "hands-smplx": _mean((own - body_hands)[:, :, _KNUCKLE]),
            "pose-hands": _mean((relative - shown_flat)[:, :, _KNUCKLE]),
        },
        fingertip={
            "pose-smplx": _mean((seen - other)[:, :, tips]),
            "hands-smplx": _mean((own - body_hands)[:, :, tips]),
            "pose-hands": _mean((relative - shown_flat)[:, :, tips]),
        },
    )


def _mean(distance: FloatArray) -> float:
    return float(np.linalg.norm(distance, axis=-1).mean())
