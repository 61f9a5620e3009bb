"""Rotations in numpy: axis-angle, matrix, quaternion, 6D; vectorised over leading axes.

Enters and leaves: arrays. Axis-angle is radians; quaternions are (w, x, y, z) with w >= 0; 6D is the first
two columns of the matrix (Zhou et al. 2019, "On the continuity of rotation representations").
Does not know skeletons.
"""

from __future__ import annotations

import numpy as np

from engine.signals import FloatArray

_EPS = 1e-8


def matrix_from_rotvec(rotvec: FloatArray) -> FloatArray:
    """[..., 3] axis-angle -> [..., 3, 3] (Rodrigues)."""
    matrix: FloatArray = matrix_from_quaternion(quaternion_from_rotvec(rotvec))
    return matrix


def quaternion_from_rotvec(rotvec: FloatArray) -> FloatArray:
    """[..., 3] axis-angle -> [..., 4] unit quaternion (w, x, y, z)."""
    angle = np.linalg.norm(rotvec, axis=-1, keepdims=True)
    half = angle * 0.5
    scale = np.where(angle < 1e-4, 0.5 - angle * angle / 48.0, np.sin(half) / np.maximum(angle, _EPS))
    quaternion: FloatArray = np.concatenate([np.cos(half), rotvec * scale], axis=-1).astype(rotvec.dtype)
    return quaternion


def rotvec_from_quaternion(quaternion: FloatArray) -> FloatArray:
    """[..., 4] (w, x, y, z) -> [..., 3] axis-angle with angle in 0..pi."""
    q = np.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[..., :1])
    scale = np.where(sine < 1e-6, 2.0, angle / np.maximum(sine, _EPS))
    return np.asarray(q[..., 1:] * scale, dtype=quaternion.dtype)


def matrix_from_quaternion(quaternion: FloatArray) -> FloatArray:
    """[..., 4] unit (w, x, y, z) -> [..., 3, 3]."""
    w, x, y, z = np.moveaxis(quaternion, -1, 0)
    out = np.empty((*quaternion.shape[:-1], 3, 3), quaternion.dtype)
    out[..., 0, 0] = 1 - 2 * (y * y + z * z)
    out[..., 0, 1] = 2 * (x * y - w * z)
    out[..., 0, 2] = 2 * (x * z + w * y)
    out[..., 1, 0] = 2 * (x * y + w * z)
    out[..., 1, 1] = 1 - 2 * (x * x + z * z)
    out[..., 1, 2] = 2 * (y * z - w * x)
    out[..., 2, 0] = 2 * (x * z - w * y)
    out[..., 2, 1] = 2 * (y * z + w * x)
    out[..., 2, 2] = 1 - 2 * (x * x + y * y)
    return out


def quaternion_from_matrix(matrix: FloatArray) -> FloatArray:
    """[..., 3, 3] -> [..., 4] (w, x, y, z), w >= 0, by the best-conditioned of four forms (Shepperd 1978)."""
    m = matrix
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    candidates = np.stack([trace, m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], axis=-1)
    best = candidates.argmax(-1)
    a = m[..., 2, 1] - m[..., 1, 2]
    b = m[..., 0, 2] - m[..., 2, 0]
    c = m[..., 1, 0] - m[..., 0, 1]
    d = m[..., 1, 0] + m[..., 0, 1]
    e = m[..., 0, 2] + m[..., 2, 0]
    f = m[..., 2, 1] + m[..., 1, 2]
    rows = np.stack(
        [
            np.stack([1 + trace, a, b, c], -1),
            np.stack([a, 1 + 2 * m[..., 0, 0] - trace, d, e], -1),
            np.stack([b, d, 1 + 2 * m[..., 1, 1] - trace, f], -1),
            np.stack([c, e, f, 1 + 2 * m[..., 2, 2] - trace], -1),
        ],
        axis=-2,
    )
    q = np.take_along_axis(rows, best[..., None, None], axis=-2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., :1] < 0, -q, q).astype(matrix.dtype)


def rotvec_from_matrix(matrix: FloatArray) -> FloatArray:
    """[..., 3, 3] -> [..., 3] axis-angle."""
    return rotvec_from_quaternion(quaternion_from_matrix(matrix))


def sixd_from_matrix(matrix: FloatArray) -> FloatArray:
    """[..., 3, 3] -> [..., 6]: first column, then second."""
    return np.concatenate([matrix[..., :, 0], matrix[..., :, 1]], axis=-1)


def matrix_from_sixd(sixd: FloatArray) -> FloatArray:
    """[..., 6] -> [..., 3, 3] by Gram-Schmidt; any two independent vectors are accepted."""
    first = sixd[..., :3] / np.maximum(np.linalg.norm(sixd[..., :3], axis=-1, keepdims=True), _EPS)
    second = sixd[..., 3:] - first * (first * sixd[..., 3:]).sum(-1, keepdims=True)
    second = second / np.maximum(np.linalg.norm(second, axis=-1, keepdims=True), _EPS)
    third: FloatArray = np.cross(first, second)
    return np.stack([first, second, third], axis=-1)


def multiply(a: FloatArray, b: FloatArray) -> FloatArray:
    """Hamilton product of quaternions [..., 4]: rotate by `b`, then by `a`."""
    w1, x1, y1, z1 = np.moveaxis(a, -1, 0)
    w2, x2, y2, z2 = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        axis=-1,
    )


def slerp(a: FloatArray, b: FloatArray, t: FloatArray | float) -> FloatArray:
    """Shortest-arc interpolation of quaternions [..., 4]; `t` broadcasts over the leading axes."""
    weight = np.asarray(t, dtype=a.dtype)
    dot = (a * b).sum(-1, keepdims=True)
    b = np.where(dot < 0, -b, b)
    dot = np.clip(np.abs(dot), 0.0, 1.0)
    weight = np.broadcast_to(weight, dot.shape[:-1])[..., None]
    theta = np.arccos(dot)
    sine = np.sin(theta)
    near = sine < 1e-4
    safe = np.where(near, 1.0, sine)
    wa = np.where(near, 1.0 - weight, np.sin((1.0 - weight) * theta) / safe)
    wb = np.where(near, weight, np.sin(weight * theta) / safe)
    out = wa * a + wb * b
    return np.asarray(out / np.linalg.norm(out, axis=-1, keepdims=True), dtype=a.dtype)


def slerp_rotvec(a: FloatArray, b: FloatArray, t: FloatArray | float) -> FloatArray:
    """Shortest-arc interpolation of axis-angle [..., 3]."""
    return rotvec_from_quaternion(slerp(quaternion_from_rotvec(a), quaternion_from_rotvec(b), t))
