"""The camera: what of the signer is in the picture.

Enters: a picture size. Leaves: a projection that keeps the signing space (top of the head to the waist,
elbows out)
inside whatever the aspect: wider pictures show more to the sides, taller ones more above. The waist stays
at the lower border, because the baked body ends below it.
"""

from __future__ import annotations

import numpy as np

from engine.signals import FloatArray

EYE = np.array([0.0, -0.02, 2.3])
_PLANE_Z_M = 0.03
_BOTTOM_M, _TOP_M, _HALF_WIDTH_M = -0.53, 0.49, 0.51
"""What the plane through the signer shows at the least."""
_NEAR, _FAR = 0.5, 4.5


def projection(width: int, height: int) -> FloatArray:
    """[4, 4] world to clip space, with y downwards so that pictures are read back top row first."""
    tall = max(_TOP_M - _BOTTOM_M, 2 * _HALF_WIDTH_M * height / width)
    wide = tall * width / height
    to_near = _NEAR / (EYE[2] - _PLANE_Z_M)
    left, right = -wide / 2 * to_near, wide / 2 * to_near
    low, high = (_BOTTOM_M - EYE[1]) * to_near, (_BOTTOM_M + tall - EYE[1]) * to_near
    out = np.zeros((4, 4))
    out[0, 0], out[0, 2] = 2 * _NEAR / (right - left), (right + left) / (right - left)
    out[1, 1], out[1, 2] = 2 * _NEAR / (high - low), (high + low) / (high - low)
    out[2, 2], out[2, 3] = -(_FAR + _NEAR) / (_FAR - _NEAR), -2 * _FAR * _NEAR / (_FAR - _NEAR)
    out[3, 2] = -1
    view = np.eye(4)
    view[:3, 3] = -EYE
    return np.asarray(np.diag([1.0, -1, 1, 1]) @ out @ view, dtype=np.float32)


def to_pixels(points: FloatArray, width: int, height: int) -> FloatArray:
    """Where points [..., 3] (metres) fall in the picture: [..., 2] pixels, x right, y down."""
    matrix = projection(width, height)
    clip = points @ matrix[:, :3].T + matrix[:, 3]
    return np.asarray((clip[..., :2] / clip[..., 3:] + 1) / 2 * np.array([width, height]), dtype=np.float32)
