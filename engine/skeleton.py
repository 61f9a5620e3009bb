"""Names, index lists and slices of every modality, and mirroring.

Enters: nothing. Leaves: constants, and `mirror_*` for left-handed signing.
Does not know body shapes (that is `engine.body`).

Axes of the body: x to the signer's left, y up, z to the camera; metres; rest pose is the SMPL-X T-pose.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.signals import FloatArray

SIDES: Final = ("left", "right")
FINGERS: Final = ("thumb", "index", "middle", "ring", "pinky")
MANO_FINGERS: Final = ("index", "middle", "pinky", "ring", "thumb")
"""The finger order of MANO and of SMPL-X joints 25..54."""


def _joint_names() -> tuple[str, ...]:
    names = ["pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
             "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar",
             "right_collar", "head",
             "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
             "jaw", "left_eye", "right_eye"]  # fmt: skip
    for side in SIDES:
        names += [f"{side}_{finger}{k}" for finger in MANO_FINGERS for k in (1, 2, 3)]
    return tuple(names)


def _parents() -> tuple[int, ...]:
    parents = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15]
    for wrist in (20, 21):
        for _ in MANO_FINGERS:
            first = len(parents)
            parents += [wrist, first, first + 1]
    return tuple(parents)


JOINT_NAMES: Final = _joint_names()
"""The 55 SMPL-X joints, in SMPL-X order."""
PARENTS: Final = _parents()
JOINT: Final = {name: i for i, name in enumerate(JOINT_NAMES)}

BODY: Final = slice(0, 22)
JAW: Final = 22
EYES: Final = slice(23, 25)
HAND: Final = {"left": slice(25, 40), "right": slice(40, 55)}
WRIST: Final = {"left": 20, "right": 21}


def _levels() -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], ...]:
    depth = np.zeros(len(PARENTS), np.int64)
    for i, parent in enumerate(PARENTS[1:], 1):
        depth[i] = depth[parent] + 1
    return tuple(np.flatnonzero(depth == d) for d in range(1, int(depth.max()) + 1))


LEVELS: Final = _levels()
"""Joints grouped by depth below the pelvis: forward kinematics walks these."""

POINT_NAMES: Final = ("nose", "right_eye", "left_eye", "right_ear", "left_ear",
                      "left_big_toe", "left_small_toe", "left_heel",
                      "right_big_toe", "right_small_toe", "right_heel",
                      *(f"{side}_{finger}_tip" for side in SIDES for finger in FINGERS))  # fmt: skip
"""The 21 surface points that `smplx` appends to its joints as 55..75."""

# smplx joints (0..54) and points (55..75) of each keypoint; the neck (1) is the shoulders' midpoint.
COCO18: Final = (55, -1, 17, 19, 21, 16, 18, 20, 2, 5, 8, 1, 4, 7, 56, 57, 58, 59)
COCO18_NAMES: Final = ("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
                       "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle",
                       "left_hip", "left_knee", "left_ankle",
                       "right_eye", "left_eye", "right_ear", "left_ear")  # fmt: skip
HAND21: Final = {
    "left": (20, 37, 38, 39, 66, 25, 26, 27, 67, 28, 29, 30, 68, 34, 35, 36, 69, 31, 32, 33, 70),
    "right": (21, 52, 53, 54, 71, 40, 41, 42, 72, 43, 44, 45, 73, 49, 50, 51, 74, 46, 47, 48, 75),
}
POSE_BODY: Final = slice(0, 18)
POSE_HAND: Final = {"left": slice(18, 39), "right": slice(39, 60)}
HAND_BONES: Final = tuple((0 if k == 0 else f * 4 + k, f * 4 + k + 1) for f in range(5) for k in range(4))
"""The 20 bones of a 21-point hand."""

FACE_UNITS: Final = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft",
    "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight",
    "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft",
    "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""The 52 ARKit-named face units, in the order of `MotionFrame.expression`."""
FACE: Final = {name: i for i, name in enumerate(FACE_UNITS)}


def _swap(name: str) -> str:
    if name.startswith("left_"):
        return "right_" + name[5:]
    if name.startswith("right_"):
        return "left_" + name[6:]
    if name.endswith("Left"):
        return name[:-4] + "Right"
    if name.endswith("Right"):
        return name[:-5] + "Left"
    return name


MIRROR_JOINTS: Final = np.array([JOINT[_swap(n)] for n in JOINT_NAMES])
MIRROR_FACE: Final = np.array([FACE[_swap(n)] for n in FACE_UNITS])
MIRROR_POSE: Final = np.concatenate(
    [[COCO18_NAMES.index(_swap(n)) for n in COCO18_NAMES], np.arange(39, 60), np.arange(18, 39)]
)
_FLIP_ROTATION: Final = np.array([1, -1, -1], np.float32)
_FLIP_X: Final = np.array([-1, 1], np.float32)


def mirror_smplx(smplx: FloatArray) -> FloatArray:
    """[..., 55, 3] reflected in the sagittal plane (left becomes right)."""
    return np.ascontiguousarray(smplx[..., MIRROR_JOINTS, :] * _FLIP_ROTATION)


def mirror_hands(hands: FloatArray) -> FloatArray:
    """[..., 2, 16, 3] reflected."""
    return np.ascontiguousarray(hands[..., ::-1, :, :] * _FLIP_ROTATION)


def mirror_pose(pose: FloatArray) -> FloatArray:
    """[..., 60, 2] reflected."""
    return np.ascontiguousarray(pose[..., MIRROR_POSE, :] * _FLIP_X)


def mirror_expression(expression: FloatArray) -> FloatArray:
    """[..., 52] reflected."""
    return np.ascontiguousarray(expression[..., MIRROR_FACE])
