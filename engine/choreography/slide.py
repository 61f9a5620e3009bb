"""The step aside between doubled letters (LL).

Enters: a pose of a right-handed signer. Leaves: the same handshape, a little outward. Does not know time.
"""

from __future__ import annotations

import numpy as np

from engine.body import Body
from engine.rotations import matrix_from_quaternion, quaternion_from_matrix, rotvec_from_quaternion
from engine.signals import FloatArray
from engine.skeleton import JOINT

_COLLAR, _SHOULDER, _ELBOW, _WRIST = (JOINT[f"right_{n}"] for n in ("collar", "shoulder", "elbow", "wrist"))
_MOST = np.radians(25.0)


def slide_aside(body: Body, pose: FloatArray, metres: float) -> FloatArray:
    """pose [55, 4] with the right wrist moved outward by turning the upper arm about the vertical through
    the shoulder.

    The hand keeps its orientation in space.
    """
    rotation, position = body.fk(rotvec_from_quaternion(pose))
    reach = position[_WRIST] - position[_SHOULDER]
    forward = max(float(reach[2]), 0.1)
    angle = -float(np.clip(metres / forward, -_MOST, _MOST))
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
    collar, elbow = rotation[_COLLAR], rotation[_ELBOW]
    out = pose.copy()
    local = matrix_from_quaternion(pose[[_SHOULDER, _WRIST]])
    out[_SHOULDER] = quaternion_from_matrix(collar.T @ turn @ collar @ local[0])
    out[_WRIST] = quaternion_from_matrix((turn @ elbow).T @ elbow @ local[1])
    return out
