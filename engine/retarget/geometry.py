"""Small vector, rotation and smoothing helpers in float64, vectorised over leading axes.

Enters and leaves: arrays. Does not know hands, faces or recordings.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from engine.rotations import matrix_from_rotvec

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Index = npt.NDArray[np.int64]

_TINY = 1e-9


def unit(vector: Array) -> Array:
    """[..., 3] scaled to length one; a zero vector stays zero."""
    return np.asarray(vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), _TINY))


def dot(a: Array, b: Array) -> Array:
    return np.asarray((a * b).sum(-1))


def turn(matrix: Array, vector: Array) -> Array:
    """Rotate [..., 3] by [..., 3, 3]."""
    return np.asarray((matrix @ vector[..., None])[..., 0])


def unturn(matrix: Array, vector: Array) -> Array:
    """Rotate [..., 3] by the inverse of [..., 3, 3]."""
    return np.asarray((np.swapaxes(matrix, -1, -2) @ vector[..., None])[..., 0])


def axis_rotation(axis: Array, angle: Array) -> Array:
    """Rotations [..., 3, 3] by `angle` [...] radians about unit `axis` [..., 3] (Rodrigues)."""
    x, y, z = np.moveaxis(np.broadcast_to(axis, (*np.shape(angle), 3)), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*np.shape(angle), 3, 3)
    cosine, sine = np.cos(angle)[..., None, None], np.sin(angle)[..., None, None]
    return np.asarray(np.eye(3) + sine * cross + (1 - cosine) * (cross @ cross))


def minimal_rotation(start: Array, end: Array) -> Array:
    """The smallest rotations [..., 3, 3] taking direction `start` to direction `end` [..., 3]."""
    start, end = unit(np.broadcast_to(start, end.shape)), unit(end)
    axis = np.cross(start, end)
    return axis_rotation(unit(axis), np.arctan2(np.linalg.norm(axis, axis=-1), dot(start, end)))


def frame(first: Array, second: Array) -> Array:
    """Right-handed frames [..., 3, 3] with columns `first`, the rest of `second`, their cross product."""
    x = unit(first)
    y = unit(second - x * dot(x, second)[..., None])
    return np.stack([x, y, np.cross(x, y)], -1)


def kabsch(rest: Array, seen: Array, weights: Array) -> Array:
    """Rotations R [T, 3, 3] minimising the weighted distance between R rest [N, 3] and seen [T, N, 3].

    Both are centred first. Source: Kabsch 1976, with the sign correction of Umeyama 1991.
    """
    share = weights / weights.sum()
    a = rest - share @ rest
    b = seen - np.einsum("n,tni->ti", share, seen)[:, None]
    u, _, vt = np.linalg.svd(np.einsum("n,ni,tnj->tij", share, a, b))
    fix = np.broadcast_to(np.eye(3), (len(seen), 3, 3)).copy()
    fix[:, 2, 2] = np.sign(np.linalg.det(u @ vt))
    return np.asarray(np.swapaxes(vt, 1, 2) @ fix @ np.swapaxes(u, 1, 2))


def rotvec(matrix: Array) -> Array:
    """[..., 3, 3] -> axis-angle [..., 3]."""
    return np.asarray(Rotation.from_matrix(matrix.reshape(-1, 3, 3)).as_rotvec().reshape(matrix.shape[:-1]))


def matrix(rotvec: Array) -> Array:
    """Axis-angle [..., 3] -> [..., 3, 3]."""
    turned: Any = matrix_from_rotvec(cast(Any, rotvec))  # a third of scipy's time on the few frames of a clip
    return np.asarray(turned)


def smooth(track: Array, sigma_frames: float) -> Array:
    """Gaussian smoothing along the first axis; short tracks and sigma 0 pass unchanged."""
    if sigma_frames <= 0 or len(track) < 3:
        return track
    return np.asarray(gaussian_filter1d(track, sigma_frames, axis=0, mode="nearest"))


def smooth_rotation(rotation: Array, sigma_frames: float) -> Array:
    """`smooth` for rotations [T, 3, 3]: quaternions on one hemisphere, averaged, normalised."""
    if sigma_frames <= 0 or len(rotation) < 3:
        return rotation
    quaternion = Rotation.from_matrix(rotation).as_quat()
    flips = np.where((quaternion[1:] * quaternion[:-1]).sum(1) < 0, -1.0, 1.0)
    quaternion[1:] *= np.cumprod(flips)[:, None]
    return np.asarray(Rotation.from_quat(smooth(quaternion, sigma_frames)).as_matrix())


def fill(track: Array, seen: Mask) -> Array:
    """Replace the rows of `track` [T, ...] where `seen` [T] is False by interpolation between seen rows.

    Before the first and after the last seen row its value is held. All unseen: zeros.
    """
    if seen.all():
        return track
    if not seen.any():
        return np.zeros_like(track)
    time = np.arange(len(track), dtype=np.float64)
    flat = track.reshape(len(track), -1)
    columns = [np.interp(time, time[seen], column[seen]) for column in flat.T]
    return np.stack(columns, 1).reshape(track.shape)


def fade(seen: Mask, frames: float) -> Array:
    """Trust [T] in 0..1: 1 where `seen`, falling off smoothly with the distance to the nearest seen frame.

    Half is reached `frames` away; unseen throughout: zeros.
    """
    if not seen.any():
        return np.zeros(len(seen))
    when = np.flatnonzero(seen)
    distance = np.abs(np.arange(len(seen))[:, None] - when[None]).min(1)
    return np.asarray(1.0 / (1.0 + (distance / frames) ** 2))
