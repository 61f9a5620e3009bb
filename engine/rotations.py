"""Rotations in numpy: axis-angle, matrix, quaternion, 6D; vectorised over leading axes.

Enters and leaves: arrays. Axis-angle is radians; quaternions are (w, x, y, z) with w >= 0; 6D is the first
two columns of the matrix (Zhou et al. 2019, "On the continuity of rotation representations"). Typed for the
product's float32; float64 goes through as well, and stays so.
Does not know skeletons.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.signals import FloatArray

_EPS = 1e-8


def _entries() -> npt.NDArray[np.float64]:
    """[16, 9]: a rotation matrix's entries, less the identity, from the products of a quaternion's."""
    out = np.zeros((4, 4, 3, 3))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        out[1 + j, 1 + j, i, i] = out[1 + k, 1 + k, i, i] = -2
        out[1 + i, 1 + j, i, j] = out[1 + i, 1 + j, j, i] = 2
        out[0, 1 + k, i, j], out[0, 1 + k, j, i] = -2, 2
    return out.reshape(16, 9)


def _shepperd() -> npt.NDArray[np.float64]:
    """[9, 16]: the products of a quaternion's entries times four, less the identity, from a matrix's."""
    out = np.zeros((3, 3, 4, 4))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        out[i, i] = np.diag([1 if n in (0, 1 + i) else -1 for n in range(4)])
        out[k, j, 0, 1 + i] = out[k, j, 1 + i, 0] = 1
        out[j, k, 0, 1 + i] = out[j, k, 1 + i, 0] = -1
        out[i, j, 1 + i, 1 + j] = out[i, j, 1 + j, 1 + i] = 1
        out[j, i, 1 + i, 1 + j] = out[j, i, 1 + j, 1 + i] = 1
    return out.reshape(9, 16)


# Both maps are linear: as one product each they cost a few calls of numpy, not thirty.
_ENTRIES = {kind: _entries().astype(kind) for kind in "fd"}
_SHEPPERD = {kind: _shepperd().astype(kind) for kind in "fd"}


def matrix_from_rotvec(rotvec: FloatArray) -> FloatArray:
    """[..., 3] axis-angle -> [..., 3, 3] (Rodrigues)."""
    matrix: FloatArray = matrix_from_quaternion(quaternion_from_rotvec(rotvec))
    return matrix


def quaternion_from_rotvec(rotvec: FloatArray) -> FloatArray:
    """[..., 3] axis-angle -> [..., 4] unit quaternion (w, x, y, z)."""
    half = np.linalg.norm(rotvec, axis=-1, keepdims=True) * 0.5
    quaternion: FloatArray = np.empty((*rotvec.shape[:-1], 4), rotvec.dtype)
    quaternion[..., :1] = np.cos(half)
    quaternion[..., 1:] = rotvec * (np.sinc(half / np.pi) * 0.5)
    return quaternion


def rotvec_from_quaternion(quaternion: FloatArray) -> FloatArray:
    """[..., 4] (w, x, y, z) -> [..., 3] axis-angle with angle in 0..pi."""
    w, axis = quaternion[..., :1], quaternion[..., 1:]
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    half = np.arctan2(sine, np.abs(w))
    scale = np.copysign(np.where(sine < 1e-6, 2.0, 2.0 * half / np.maximum(sine, _EPS)), w)
    return np.asarray(axis * scale, dtype=quaternion.dtype)


def matrix_from_quaternion(quaternion: FloatArray) -> FloatArray:
    """[..., 4] unit (w, x, y, z) -> [..., 3, 3]."""
    products = quaternion[..., :, None] * quaternion[..., None, :]
    flat = products.reshape(*quaternion.shape[:-1], 16) @ _ENTRIES[quaternion.dtype.char]
    matrix: FloatArray = flat.reshape(*quaternion.shape[:-1], 3, 3)
    matrix += np.eye(3, dtype=quaternion.dtype)
    return matrix


def quaternion_from_matrix(matrix: FloatArray) -> FloatArray:
    """[..., 3, 3] -> [..., 4] (w, x, y, z), w >= 0, by the best-conditioned of four forms (Shepperd 1978)."""
    flat = matrix.reshape(-1, 9) @ _SHEPPERD[matrix.dtype.char]
    rows = flat.reshape(-1, 4, 4) + np.eye(4, dtype=matrix.dtype)  # 4 q_i q, for each i
    q = rows[np.arange(len(rows)), rows.diagonal(0, 1, 2).argmax(-1)]
    q /= np.copysign(np.linalg.norm(q, axis=-1, keepdims=True), q[:, :1])
    quaternion: FloatArray = q.reshape(*matrix.shape[:-2], 4)
    return quaternion


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
