"""Where hands meet the body: on the face they keep the place they touch, and they never sink in.

Enters: hand points, the face's landmarks, a wrist's target. Leaves: a better target.
Does not know joint angles.
"""

from __future__ import annotations

import numpy as np

from engine.body import Body
from engine.retarget.face import load_basis
from engine.retarget.geometry import Array, Mask, smooth
from engine.skeleton import POINT_NAMES

_TOUCHING = (4, 8, 12, 16, 20, 3, 7, 11, 6, 10)
"""Hand landmarks that touch faces: tips first."""
_CORNERS = (33, 263)
_NEAR_SHOULDERS = 0.16
_SKIN_M = 0.014
# Centre and radii, metres, of what a hand may not enter: the head and the chest of our body.
_SOLID = (((0.0, 0.27, 0.09), (0.085, 0.125, 0.105)), ((0.0, -0.13, 0.03), (0.17, 0.22, 0.12)))


def own_face(body: Body) -> Array:
    """Our face mesh [468, 3], metres, in rest axes: the measured face scaled and put onto the body's eyes."""
    neutral = load_basis().neutral
    right, left = (body.rest_points[POINT_NAMES.index(n)] for n in ("right_eye", "left_eye"))
    # Points sit on the eyeballs' middles, corners outside: the outer corners are 1.45 eye distances apart.
    scale = 1.45 * float(np.linalg.norm(left - right))
    middle = (neutral[_CORNERS[0]] + neutral[_CORNERS[1]]) / 2
    return np.asarray((neutral - middle) * scale + (right + left).astype(np.float64) / 2)


def touch_face(
    body: Body, hand_px: Array, face_px: Array, shoulders_px: float, points: Array, seen: Mask
) -> tuple[Array, Array]:
    """Wrist target that keeps the nearest pair of hand and face landmarks, and its weight.

    hand_px [T, 21, 3], face_px [T, 468, 3] as stored; points [T, 21, 3] metres relative to the wrist joint.
    -> target [T, 3] metres, weight [T] 0..1 (0 away from the face).
    """
    frames = len(hand_px)
    nothing = np.zeros((frames, 3)), np.zeros(frames)
    use = np.flatnonzero(np.isfinite(face_px[..., :2]).all(2).mean(0) > 0.9)
    if not np.isin(_CORNERS, use).all():
        return nothing
    width = np.nanmedian(np.linalg.norm(face_px[:, _CORNERS[0], :2] - face_px[:, _CORNERS[1], :2], axis=1))
    if not width > 2.0:
        return nothing
    face = np.nan_to_num(face_px[:, use, :2], nan=-1e6)
    mesh = own_face(body)
    own_width = float(np.linalg.norm(mesh[_CORNERS[0]] - mesh[_CORNERS[1]]))
    tips = list(_TOUCHING)
    gap = np.linalg.norm(hand_px[:, tips, None, :2] - face[:, None], axis=3).reshape(frames, -1)
    nearest = gap.argmin(1)
    near = gap.min(1) / shoulders_px
    finger, place = np.array(tips)[nearest // len(use)], nearest % len(use)
    weight = smooth(np.exp(-((near / _NEAR_SHOULDERS) ** 2)) * seen, 1.5)
    now = np.arange(frames)
    apart = (hand_px[now, finger, :2] - face[now, place]) * np.array([1.0, -1.0]) / width * own_width
    spot = mesh[use[place]]
    target = spot + np.c_[apart, np.full(frames, _SKIN_M)] - points[now, finger]
    known = np.abs(target).max(1) < 2.0
    target[~known] = 0.0
    return smooth(target, 1.0), weight * known


def keep_out(target: Array, points: Array) -> Array:
    """Push a wrist target [T, 3] to the camera until no hand point [T, 21, 3] is inside head or chest."""
    target = target.copy()
    for centre, radii in _SOLID:
        radius = np.array(radii) + 0.012
        at = (target[:, None] + points - np.array(centre)) / radius
        flat = at[..., 0] ** 2 + at[..., 1] ** 2
        front = np.sqrt(np.clip(1 - flat, 0, None))
        inside = np.where(flat < 1, (front - at[..., 2]) * radius[2], 0.0).clip(0, 0.35).max(1)
        target[:, 2] += 1.05 * smooth(inside, 1.0)
    return target
