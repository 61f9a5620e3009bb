"""Motion to joint matrices: the engine's forward kinematics, four twist joints, and the fold out of the
A-pose.

Enters: SMPL-X axis-angle [55, 3] and face units [52]. Leaves: matrices [59, 3, 4] and the units to draw.
Does not know meshes or GL. Twist joints take half of a forearm's or upper arm's turn about itself, so that
sleeves and wrists do not collapse like a candy wrapper.
"""

from __future__ import annotations

import numpy as np

from engine.kinematics import Chain
from engine.signals import FloatArray
from engine.skeleton import EYES, FACE, JAW, JOINT, PARENTS

JAW_OPEN_RAD = 0.375
"""Jaw rotation about x that opens the mouth as far as jawOpen 1 (0.3 rad is about 0.8)."""
JAW_SIDE_RAD = 0.25
LOOK_RAD = 0.45
"""Eyeball turn of eyeLook 1, where a motion moves the lids but not the eye joints."""
_TWISTS = (("left_elbow", "left_wrist", 0.5), ("right_elbow", "right_wrist", 0.5),
           ("left_shoulder", "left_shoulder", -0.5), ("right_shoulder", "right_shoulder", -0.5))  # fmt: skip
_BASE = np.array([JOINT[a] for a, _, _ in _TWISTS])
_TURNING = np.array([JOINT[b] for _, b, _ in _TWISTS])
_SHARE = np.array([share for _, _, share in _TWISTS], np.float32)
_ENDS = np.array([JOINT[f"{s}_{n}"] for n in ("wrist", "elbow") for s in ("left", "right")])
_FROM = np.array([JOINT[f"{s}_{n}"] for n in ("elbow", "shoulder") for s in ("left", "right")])
_BLINKS = np.array([FACE["eyeBlinkLeft"], FACE["eyeBlinkRight"]])
_WIDES = np.array([FACE["eyeWideLeft"], FACE["eyeWideRight"]])


class Bones:
    """Joint matrices of one mesh. fold [59, 3, 4] and rest_joints [59, 3] as in `assets.Mesh`."""

    def __init__(self, fold: FloatArray, rest_joints: FloatArray) -> None:
        parents = (*PARENTS, *_BASE)
        offsets = rest_joints.copy()
        offsets[1:] -= rest_joints[list(parents[1:])]
        self._chain = Chain(parents, offsets)
        self._fold = np.concatenate([fold, np.zeros_like(fold[:, :1])], 1)
        self._fold[:, :3, 3] -= rest_joints
        self._fold[:, 3, 3] = 1
        axis = rest_joints[_ENDS] - rest_joints[_FROM]
        self._axis = axis / np.linalg.norm(axis, axis=1, keepdims=True)

    def matrices(self, smplx: FloatArray) -> tuple[FloatArray, FloatArray]:
        """smplx [55, 3] -> matrices [59, 3, 4] from bind pose to posed, and joint positions [59, 3]."""
        twists = self._axis * (_SHARE * _twist(smplx[_TURNING], self._axis))[:, None]
        at = self._chain.transforms(np.concatenate([smplx, twists]))
        return np.ascontiguousarray((at @ self._fold)[:, :3]), at[:, :3, 3]


def _twist(rotvec: FloatArray, axis: FloatArray) -> FloatArray:
    """The turn [n] (radians) of rotations [n, 3] about unit axes [n, 3]: swing-twist decomposition."""
    angle = np.linalg.norm(rotvec, axis=1)
    sine = np.sin(angle / 2) / np.maximum(angle, 1e-8)
    along = (rotvec * axis).sum(1) * sine
    return np.asarray(2 * np.arctan2(along, np.cos(angle / 2)), dtype=np.float32)


def drawn(smplx: FloatArray, expression: FloatArray, rest: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What is drawn of a pose: the jaw becomes face units (a turning jaw bone would tear the mouth's
    corners),
    eyes follow eyeLook* where the pose leaves them still, and a blink undoes the resting width of the lids.

    Returns a pose [55, 3] without jaw rotation and units [52], which may be a little below 0."""
    pose, units = smplx.copy(), np.clip(expression, 0, 1)
    jaw = pose[JAW]
    units[FACE["jawOpen"]] = min(1.0, max(units[FACE["jawOpen"]], jaw[0] / JAW_OPEN_RAD))
    side = "jawLeft" if jaw[1] > 0 else "jawRight"
    units[FACE[side]] = min(1.0, max(units[FACE[side]], abs(jaw[1]) / JAW_SIDE_RAD))
    pose[JAW] = 0
    if not pose[EYES].any():
        look = {
            name: units[FACE[f"eyeLook{name}"]]
            for name in (
                "DownLeft",
                "DownRight",
                "UpLeft",
                "UpRight",
                "InLeft",
                "InRight",
                "OutLeft",
                "OutRight",
            )
        }
        pose[EYES.start] = (look["DownLeft"] - look["UpLeft"], look["OutLeft"] - look["InLeft"], 0)
        pose[EYES.start + 1] = (look["DownRight"] - look["UpRight"], look["InRight"] - look["OutRight"], 0)
        pose[EYES] *= LOOK_RAD
    units[_WIDES] -= rest[_WIDES] * units[_BLINKS]
    return pose, units
