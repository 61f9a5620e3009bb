"""How the arms would have to turn for the body to be where the keypoints and the hands say it is.

Enters: a body's rotations and points, and the other two modalities. Leaves: steps for shoulders, elbows and
wrists, in 6D. Does not know networks or time, nor whose word counts: that is learned.

A pose is places, a body is angles: an error of a shoulder is carried down to the fingertips, so a generated
body is often further from the truth than generated keypoints are, and drawing the keypoints to it would spoil
them. The way from keypoints to angles is one damped least-squares step for each arm (Wampler 1986; Nakamura
and Hanafusa 1986): turns w of shoulder and elbow that carry elbow and wrist, as the camera sees them, to
where the keypoints are:  w = J' (J J' + damping)^-1 d, J from d(point) = w x (point - joint). The wrist turns
back by as much, so that the hand keeps its direction; the step to the direction of the MANO hand is a second
one.

Written once for numpy and torch (`lib` is one of the two modules): elementwise and matrix products only, no
solver that would make a GPU wait.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.signals import FloatArray
from engine.skeleton import JOINT

STEPS = 48
"""Turn [shoulder, elbow, wrist back][left, right][6], then wrist to the MANO hand's direction [2][6]."""
TURNED = slice(312 + 6 * JOINT["left_shoulder"], 312 + 6 * (JOINT["right_wrist"] + 1))
"""The channels of a frame that the first 36 are for; the last 12 of these take the other 12, too."""
DAMPING: FloatArray = (0.02 * np.eye(2)).astype(np.float32)
"""Square shoulder widths a radian: an arm that points at the camera must not be thrown about."""


def arm_steps(
    lib: Any, local: Any, turned: Any, points: Any, pose: Any, axes: Any, damping: Any = DAMPING
) -> Any:
    """Local and global rotations [..., 87, 3, 3] and points [..., 100, 3] of `Geometry`, the pose [..., 60,
    2] -> [..., 48], see `STEPS`. axes [3]: what turns picture axes into the body's."""
    at = lib.stack([points[..., 5:8, :], points[..., 2:5, :]], -3) * axes  # [..., side, joint, 3]
    seen = lib.stack([pose[..., 5:8, :], pose[..., 2:5, :]], -3) * axes[:2]
    off = seen - at[..., :2]
    hand = (pose[..., 18:40:21, :] - points[..., 18:40:21, :2]) * axes[:2]  # the wrist again, of the hand
    elbow, wrist = off[..., 1, :, None], (off[..., 2, :, None] + hand[..., None]) / 2
    # Minus the Jacobians: of the elbow by the shoulder, of the wrist by the shoulder, by the elbow.
    by = _skew(lib, at[..., 1:, :] - at[..., :1, :])[..., :2, :]
    es, ws = by[..., 0, :, :], by[..., 1, :, :]
    we = _skew(lib, at[..., 2, :] - at[..., 1, :])[..., :2, :]
    # Two by two blocks, by Schur's complement.
    a, b = _inverse(lib, es @ _flip(es) + damping), es @ _flip(ws)
    across = _flip(b) @ a
    second = _inverse(lib, ws @ _flip(ws) + we @ _flip(we) + damping - across @ b) @ (wrist - across @ elbow)
    first = a @ (elbow - b @ second)
    shoulder, bend = -(_flip(es) @ first + _flip(ws) @ second), -(_flip(we) @ second)  # [..., 2, 3, 1]
    turns = lib.stack([shoulder, bend, -shoulder - bend], -4)  # [..., 3, 2, 3, 1], as the world sees them
    above = lib.stack([turned[..., 13:15, :, :], turned[..., 16:18, :, :], turned[..., 18:20, :, :]], -4)
    own = local[..., 16:22, :, :].reshape((*turns.shape[:-4], 3, 2, 3, 3))
    step = _skew(lib, (_flip(above) @ turns)[..., 0]) @ own[..., :2]  # [..., 3, 2, 3, 2]
    aim = _flip(turned[..., 18:20, :, :]) @ turned[..., 55:72:16, :, :] - local[..., 20:22, :, :]
    lead = pose.shape[:-2]
    parts = [_flip(step).reshape((*lead, 36)), _flip(aim[..., :2]).reshape((*lead, 12))]
    return lib.concatenate(parts, -1)


def _flip(matrices: Any) -> Any:
    return matrices.swapaxes(-1, -2)


def _skew(lib: Any, x: Any) -> Any:
    """[..., 3] -> the matrices [..., 3, 3] that take the cross product with it."""
    a, b, c = x[..., 0], x[..., 1], x[..., 2]
    zero = lib.zeros_like(a)
    return lib.stack([zero, -c, b, c, zero, -a, -b, a, zero], -1).reshape((*x.shape, 3))


def _inverse(lib: Any, m: Any) -> Any:
    """Of [..., 2, 2]."""
    a, b, c, d = m[..., 0, 0], m[..., 0, 1], m[..., 1, 0], m[..., 1, 1]
    adjugate = lib.stack([d, -b, -c, a], -1).reshape(m.shape)
    return adjugate / (a * d - b * c)[..., None, None]
