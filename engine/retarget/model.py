"""A hand that can be fitted: angles to points, and forces on points back to forces on angles.

Enters: deviations and angles [22, T]. Leaves: points [3, 21, T] in palm lengths, rest axes, detected wrist at
the origin; gradients. Does not know landmarks or losses.

Written out by hand instead of by automatic differentiation: a clip is a batch of some twenty frames, where
the overhead of many small tensor operations costs ten times the arithmetic. For the same reason frames come
last and coordinates first: what numpy does to one coordinate of all points is then one run over memory.
"""

from __future__ import annotations

import numpy as np

from engine.retarget.geometry import Array, matrix
from engine.retarget.hand import CMC, HandRig


def cross(a: Array, b: Array) -> Array:
    """Cross product along the first axis of two arrays [3, ...] of one shape."""
    out = np.empty(a.shape)
    np.subtract(a[1] * b[2], a[2] * b[1], out=out[0])
    np.subtract(a[2] * b[0], a[0] * b[2], out=out[1])
    np.subtract(a[0] * b[1], a[1] * b[0], out=out[2])
    return out


def pull_rotation(vector: Array, torque: Array) -> Array:
    """Gradient by an axis-angle [3, ...] applied on the left, given the torque it feels.

    Transposed left Jacobian of SO(3) to second order: vectors are deviations below a radian.
    """
    once = cross(vector, torque)
    return np.asarray(torque - once / 2 + cross(vector, once) / 6)


class HandModel:
    """Forward kinematics of one hand's proportions, for T frames.

    base [5, 3], lengths [5, 3] in palm lengths. thumb [T, 3, 3]: the CMC rotations from which
    angles[16:19] deviate (axis-angle, applied on the left); the other angles are as in `hand`.
    """

    def __init__(self, rig: HandRig, base: Array, lengths: Array, thumb: Array) -> None:
        frames = len(thumb)
        self._base, self._lengths = base[:, :, None, None], lengths[:, None, :, None]
        self._axes, self._thumb = rig.axes, thumb
        self._turns = np.zeros((4, 5, frames))  # flexion, spread, and the two hinges' curl so far
        # Of each finger its three bones and, behind them, the axes about which flexion, spread and the hinges
        # turn (for `pull`), in the finger's own axes d, e, h; the thumb's saddle is its second joint.
        self._local = np.zeros((5, 3, 6, frames))
        self._local[:, 2, 3] = 1.0
        self._local[0, 0, 0] = 1.0
        self._chain = np.empty((5, 3, 4, frames))
        self._chain[:, :, :1] = self._base
        self._reach = np.empty((6, 5, 3, frames))

    def points(self, angles: Array) -> Array:
        """[22, T] -> [3, 21, T]."""
        frames = angles.shape[1]
        fingers = angles[:16].reshape(4, 4, frames)
        turns = self._turns
        turns[:2, 0] = angles[19:21]
        turns[:2, 1:] = fingers[:, :2].transpose(1, 0, 2)
        turns[2, 1:] = fingers[:, 2]
        turns[3, 0] = angles[21]
        # Curl beyond the saddle joint; later hinges share its axis, so their angles add up.
        np.add(fingers[:, 2], fingers[:, 3], out=turns[3, 1:])
        cosine, sine = np.cos(turns), np.sin(turns)
        (cf, cs), (sf, ss), c, s = cosine[:2], sine[:2], cosine[2:], sine[2:]
        out, up = cs * cf, cs * sf
        local = self._local.transpose(1, 2, 0, 3)  # [3, 6, 5, T]
        local[0, 0, 1:], local[1, 0, 1:], local[2, 0, 1:] = out[1:], up[1:], ss[1:]
        np.subtract(c * out, s * sf, out=local[0, 1:3])
        np.add(c * up, s * cf, out=local[1, 1:3])
        np.multiply(c, ss, out=local[2, 1:3])
        local[0, 4], local[1, 4] = sf, -cf
        local[0, 5], local[1, 5], local[2, 5] = -ss * cf, -ss * sf, cs
        palm = (self._axes @ self._local.reshape(5, 3, 6 * frames)).reshape(5, 3, 6, frames)
        root = matrix(angles[CMC].T) @ self._thumb
        palm[0] = (root @ palm[0].transpose(2, 0, 1)).transpose(1, 2, 0)
        self._palm = palm.transpose(1, 2, 0, 3)  # [3, 6, 5, T]
        chain = self._chain
        np.cumsum(palm[:, :, :3] * self._lengths, axis=2, out=chain[:, :, 1:])
        chain[:, :, 1:] += self._base
        points = np.zeros((3, 21, frames))
        points[:, 1:].reshape(3, 5, 4, frames)[:] = chain.transpose(1, 0, 2, 3)
        return points

    def pull(self, angles: Array, force: Array) -> Array:
        """Gradient [22, T] of a loss, given its gradient `force` [3, 21, T] by the last `points`."""
        frames = angles.shape[1]
        chain = self._chain.transpose(1, 0, 2, 3)
        force = force[:, 1:].reshape(3, 5, 4, frames)[:, :, 1:]
        # What the bones beyond joint k feel about joint k: sums from the tip inwards.
        self._reach[:3], self._reach[3:] = cross(chain[:, :, 1:], force), force
        beyond = np.cumsum(self._reach[:, :, ::-1], axis=2)[:, :, ::-1]
        torque = beyond[:3] - cross(chain[:, :, :3], beyond[3:])  # [3, 5, 3, T]
        axes = self._palm
        out = np.empty((22, frames))
        fingers = out[:16].reshape(4, 4, frames)
        fingers[:, :2] = (axes[:, 3:5, 1:] * torque[:, None, 1:, 0]).sum(0).transpose(1, 0, 2)
        fingers[:, 2:] = (axes[:, 5, 1:, None] * torque[:, 1:, 1:]).sum(0)
        out[CMC] = pull_rotation(angles[CMC], torque[:, 0, 0])
        out[19:21] = (axes[:, 3:5, 0] * torque[:, None, 0, 1]).sum(0)
        out[21] = (axes[:, 5, 0] * torque[:, 0, 2]).sum(0)
        return out


class Adam:
    """Gradient steps of even size (Kingma & Ba 2015) on one array, in place; rate: of all, or of each."""

    def __init__(self, unknown: Array, rate: float | Array) -> None:
        self.unknown, self.rate, self.step_count = unknown, rate, 0
        self.mean, self.square = np.zeros_like(unknown), np.zeros_like(unknown)

    def step(self, gradient: Array) -> None:
        self.step_count += 1
        self.mean += 0.1 * (gradient - self.mean)
        self.square += 0.001 * (gradient * gradient - self.square)
        mean = self.mean / (1 - 0.9**self.step_count)
        size = np.sqrt(self.square / (1 - 0.999**self.step_count)) + 1e-8
        self.unknown -= self.rate * mean / size
