"""The signer at rest: hands folded low before the body, a light smile.

Enters: nothing. Leaves: one SMPL-X pose and one expression, for a right-handed signer (the right hand lies
over the left). Does not know motion. The arms were solved for wrists at (-.078, -.352, .225)
and (.088, -.378, .170) m: low, and still inside the picture.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from engine.rotations import quaternion_from_rotvec
from engine.signals import FloatArray
from engine.skeleton import FACE, FACE_UNITS, JOINT, SIDES

SMILE = 0.28
"""A neutral face looks stern."""

_ARMS = {
    "right_shoulder": (0.732, 1.131, 0.841),
    "right_elbow": (-0.115, 1.095, 0.198),
    "right_wrist": (0.085, 0.137, 0.136),
    "left_shoulder": (0.896, -1.151, -0.846),
    "left_elbow": (-0.113, -1.066, -0.199),
    "left_wrist": (0.130, -0.228, -0.005),
}
_CURL_DEGREES = {
    "index": (18, 24, 14),
    "middle": (24, 29, 17),
    "ring": (29, 32, 19),
    "pinky": (32, 33, 20),
}
_THUMB_DEGREES = ((0, 20, -10), (0, 10, 0), (0, 15, 0))

ARM_JOINTS = {
    side: np.array(
        [JOINT[f"{side}_{name}"] for name in ("collar", "shoulder", "elbow", "wrist")]
        + [i for name, i in JOINT.items() if name.startswith(side) and name[-1] in "123"]
    )
    for side in SIDES
}
"""Everything from the collar bone to the fingers, 19 joints a side."""


@cache
def rest_pose() -> FloatArray:
    """SMPL-X axis-angle [55, 3]."""
    pose = np.zeros((len(JOINT), 3), np.float32)
    for name, rotvec in _ARMS.items():
        pose[JOINT[name]] = rotvec
    for side in SIDES:
        sign = 1.0 if side == "left" else -1.0
        for finger, degrees in _CURL_DEGREES.items():
            for k, angle in enumerate(degrees, 1):
                pose[JOINT[f"{side}_{finger}{k}"]] = (0, 0, -sign * np.radians(angle))
        for k, degrees3 in enumerate(_THUMB_DEGREES, 1):
            x, y, z = np.radians(degrees3)
            pose[JOINT[f"{side}_thumb{k}"]] = (x, sign * y, sign * z)
    pose.flags.writeable = False
    return pose


@cache
def rest_quaternions() -> FloatArray:
    """The same as unit quaternions [55, 4]."""
    quaternions = quaternion_from_rotvec(rest_pose())
    quaternions.flags.writeable = False
    return quaternions


@cache
def rest_expression() -> FloatArray:
    """Face units [52]."""
    expression = np.zeros(len(FACE_UNITS), np.float32)
    expression[[FACE["mouthSmileLeft"], FACE["mouthSmileRight"]]] = SMILE
    expression[[FACE["cheekSquintLeft"], FACE["cheekSquintRight"]]] = 0.08
    expression[FACE["browInnerUp"]] = 0.07
    expression.flags.writeable = False
    return expression
