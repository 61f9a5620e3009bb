"""A body's skeleton: rest joints, surface points, forward kinematics, and the modalities that follow from it.

Enters: SMPL-X axis-angle and face units. Leaves: joint rotations and positions, 2D keypoints, MANO hands.
Does not know meshes or skinning (renderers do) nor recordings (`engine.retarget` does).

The default body is baked from CC0 MakeHuman data by `renderer/avatar/bake`; distances are metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from engine.kinematics import Chain
from engine.rotations import matrix_from_rotvec, rotvec_from_matrix
from engine.signals import FloatArray, Motion, MotionFrame
from engine.skeleton import COCO18, HAND, HAND21, JOINT, LEVELS, PARENTS, POSE_HAND, SIDES, WRIST

ASSET = Path(__file__).parent / "assets" / "body.npz"
WRIST_SHIFT = 0.14
"""Landmark detectors see the wrist this fraction of the way towards the middle knuckle (RETARGET.md)."""

_PARENTS = np.array(PARENTS)
_KEYPOINTS = np.array([*COCO18, *(joint for side in POSE_HAND for joint in HAND21[side])])
_WRISTS = np.array([WRIST[side] for side in SIDES])
_DOWN = np.array([1, -1], np.float32)
_SHOULDERS = (JOINT["left_shoulder"], JOINT["right_shoulder"])


@dataclass(frozen=True, eq=False)
class Body:
    """Rest geometry in the SMPL-X T-pose.

    rest_joints [55, 3]; rest_points [21, 3] in `skeleton.POINT_NAMES` order; point_joint [21]: the joint each
    point is rigidly attached to. All metres.
    """

    rest_joints: FloatArray
    rest_points: FloatArray
    point_joint: np.ndarray[tuple[int], np.dtype[np.int32]]

    def __post_init__(self) -> None:
        offsets = self.rest_joints.copy()
        offsets[1:] -= self.rest_joints[_PARENTS[1:]]
        object.__setattr__(self, "_offsets", offsets)
        left, right = (self.rest_joints[i] for i in _SHOULDERS)
        object.__setattr__(self, "_width", float(np.linalg.norm(left - right)))
        object.__setattr__(self, "_chain", Chain(PARENTS, offsets))
        object.__setattr__(self, "_point_offsets", self.rest_points - self.rest_joints[self.point_joint])

    @property
    def shoulder_width_m(self) -> float:
        width: float = self._width  # type: ignore[attr-defined]
        return width

    def fk(self, smplx: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Forward kinematics: smplx [..., 55, 3] -> global rotations [..., 55, 3, 3], joints [..., 55, 3]."""
        if smplx.ndim == 2:
            at: FloatArray = self._chain.transforms(smplx)  # type: ignore[attr-defined]
            return at[:, :3, :3], at[:, :3, 3]
        offsets: FloatArray = self._offsets  # type: ignore[attr-defined]
        local = matrix_from_rotvec(smplx)
        rotation = np.empty_like(local)
        position = np.empty_like(smplx)
        rotation[..., 0, :, :] = local[..., 0, :, :]
        position[..., 0, :] = offsets[0]
        for joints in LEVELS:
            parents = _PARENTS[joints]
            above = rotation[..., parents, :, :]
            rotation[..., joints, :, :] = above @ local[..., joints, :, :]
            position[..., joints, :] = (
                position[..., parents, :] + (above @ offsets[joints][..., None])[..., 0]
            )
        return rotation, position

    def points(self, rotation: FloatArray, position: FloatArray) -> FloatArray:
        """Surface points [..., 21, 3] of a posed skeleton (nose, eyes, ears, toes, heels, fingertips)."""
        offsets: FloatArray = self._point_offsets  # type: ignore[attr-defined]
        turned = (rotation[..., self.point_joint, :, :] @ offsets[..., None])[..., 0]
        return np.asarray(position[..., self.point_joint, :] + turned, dtype=position.dtype)

    def keypoints(self, rotation: FloatArray, position: FloatArray) -> FloatArray:
        """The 60 keypoints in 3D, metres [..., 60, 3]; hand wrists are where a detector sees them."""
        joints = np.concatenate([position, self.points(rotation, position)], axis=-2)  # [..., 76, 3]
        out: FloatArray = joints[..., _KEYPOINTS, :]
        out[..., 1, :] = 0.5 * (joints[..., _SHOULDERS[0], :] + joints[..., _SHOULDERS[1], :])
        for hand in POSE_HAND.values():
            wrist, knuckle = out[..., hand.start, :], out[..., hand.start + 9, :]
            wrist += WRIST_SHIFT * (knuckle - wrist)
        return out

    def pose(self, rotation: FloatArray, position: FloatArray) -> FloatArray:
        """The 2D modality [..., 60, 2]: front view, mid-shoulder origin, shoulder widths, y down."""
        keypoints = self.keypoints(rotation, position)
        flat = (keypoints[..., :2] - keypoints[..., 1:2, :2]) * (_DOWN / self.shoulder_width_m)
        return np.ascontiguousarray(flat, dtype=np.float32)

    def hands(self, smplx: FloatArray, rotation: FloatArray) -> FloatArray:
        """The MANO modality [..., 2, 16, 3]: global wrist, then 15 finger joints; left, then right."""
        out = np.empty((*smplx.shape[:-2], 2, 16, 3), np.float32)
        out[..., 0, :] = rotvec_from_matrix(rotation[..., _WRISTS, :, :])
        for i, side in enumerate(SIDES):
            out[..., i, 1:, :] = smplx[..., HAND[side], :]
        return out

    def motion(
        self, smplx: FloatArray, expression: FloatArray, fps: float, confidence: FloatArray | None = None
    ) -> Motion:
        """All three modalities of a clip from its SMPL-X pose [T, 55, 3], so they agree by construction."""
        smplx = np.ascontiguousarray(smplx, dtype=np.float32)
        rotation, position = self.fk(smplx)
        return Motion(
            fps=fps,
            pose=self.pose(rotation, position),
            hands=self.hands(smplx, rotation),
            smplx=smplx,
            expression=np.ascontiguousarray(expression, dtype=np.float32),
            confidence=np.zeros((0, 2), np.float32) if confidence is None else confidence,
        )

    def frame(
        self, smplx: FloatArray, expression: FloatArray, *, seq: int, pts_ns: int, gloss: int
    ) -> MotionFrame:
        """One frame of all three modalities from its SMPL-X pose [55, 3]."""
        smplx = np.ascontiguousarray(smplx, dtype=np.float32)
        rotation, position = self.fk(smplx)
        return MotionFrame(
            seq=seq,
            pts_ns=pts_ns,
            pose=self.pose(rotation, position),
            hands=self.hands(smplx, rotation),
            smplx=smplx,
            expression=np.ascontiguousarray(expression, dtype=np.float32),
            gloss=gloss,
        )


@lru_cache(maxsize=4)
def load_body(path: Path = ASSET) -> Body:
    """The default body, or another one in the same layout. Raises ValueError when the file is not a body."""
    try:
        with np.load(path) as data:
            return Body(data["rest_joints"], data["rest_points"], data["point_joint"])
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"body: cannot read {path} ({error}); expected an .npz with rest_joints [55,3], "
            "rest_points [21,3], "
            "point_joint [21], as written by `python -m renderer.avatar.bake`"
        ) from error
