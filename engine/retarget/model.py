"""A hand that can be fitted: angles to points, and forces on points back to forces on angles.

Enters: deviations and angles [T, 22]. Leaves: points [T, 21, 3] in palm lengths, rest axes, detected wrist at
the origin; gradients. Does not know landmarks or losses.

Written out by hand instead of by automatic differentiation: a clip is a batch of some twenty frames, where
the overhead of many small tensor operations costs ten times the arithmetic.
"""

from __future__ import annotations

import numpy as np

from engine.retarget.geometry import Array, cross, matrix
from engine.retarget.hand import BASE, CMC, HandRig

_POINTS = np.array([[base + k for k in range(4)] for base in BASE])  # [5, 4] landmarks of each finger


def pull_rotation(vector: Array, torque: Array) -> Array:
    """Gradient by an axis-angle [..., 3] applied on the left, given the torque it feels.

    Transposed left Jacobian of SO(3) to second order: vectors are deviations below a radian.
    """
    once = cross(vector, torque)
    return np.asarray(torque - once / 2 + cross(vector, once) / 6)


def _dot(a: Array, b: Array) -> Array:
    return np.asarray(np.einsum("...i,...i->...", a, b))


class HandModel:
    """Forward kinematics of one hand's proportions, for T frames.

    base [5, 3], lengths [5, 3] in palm lengths. thumb [T, 3, 3]: the CMC rotations from which
    angles[:, 16:19] deviate (axis-angle, applied on the left); the other angles are as in `hand`.
    """

    def __init__(self, rig: HandRig, base: Array, lengths: Array, thumb: Array) -> None:
        self.base, self.lengths, self.axes, self.thumb = base, lengths, rig.axes, thumb

    def points(self, angles: Array) -> Array:
        """[T, 22] -> [T, 21, 3]."""
        frames = len(angles)
        fingers = angles[:, :16].reshape(frames, 4, 4)
        flex = np.concatenate([angles[:, 19:20], fingers[..., 0]], 1)  # [T, 5]
        spread = np.concatenate([angles[:, 20:21], fingers[..., 1]], 1)
        # Curl beyond the saddle joint; later hinges share its axis, so their angles add up. [T, 5, 3]
        curl = np.zeros((frames, 5, 3))
        curl[:, 0, 2] = angles[:, 21]
        curl[:, 1:, 1] = fingers[..., 2]
        curl[:, 1:, 2] = fingers[..., 2] + fingers[..., 3]
        self._root = matrix(angles[:, CMC]) @ self.thumb
        c, s = np.cos(curl), np.sin(curl)
        cs, ss = np.cos(spread), np.sin(spread)
        cf, sf = np.cos(flex), np.sin(flex)
        flat, up, out = cf[..., None], sf[..., None], cs[..., None]
        bones = np.stack([c * out * flat - s * up, c * out * up + s * flat, c * ss[..., None]], -1)
        bones[:, 0, 0] = (1.0, 0.0, 0.0)  # the thumb's saddle is its second joint
        # Behind the bones, the axes about which flexion, spread and the hinges turn, for `pull`.
        zero = np.zeros_like(cf)
        local = np.empty((frames, 5, 6, 3))
        local[:, :, :3] = bones
        local[:, :, 3] = (0.0, 0.0, 1.0)
        local[:, :, 4] = np.stack([sf, -cf, zero], -1)
        local[:, :, 5] = np.stack([-ss * cf, -ss * sf, cs], -1)
        palm = self._to_palm(local)  # all at once: small arrays cost by the call
        bones, self._flex_axis = palm[:, :, :3], palm[:, :, 3]
        self._spread_axis, self._hinge_axis = palm[:, :, 4], palm[:, :, 5]
        chain = np.empty((frames, 5, 4, 3))
        chain[:, :, 0] = self.base
        np.cumsum(bones * self.lengths[..., None], axis=2, out=chain[:, :, 1:])
        chain[:, :, 1:] += self.base[:, None]
        self._chain = chain
        points = np.zeros((frames, 21, 3))
        points[:, 1:] = chain.reshape(frames, 20, 3)
        return points

    def pull(self, angles: Array, force: Array) -> Array:
        """Gradient [T, 22] of a loss, given its gradient `force` [T, 21, 3] by the last `points`."""
        chain, force = self._chain, force[:, 1:].reshape(len(force), 5, 4, 3)
        # What the bones beyond joint k feel about joint k: sums from the tip inwards.
        total = np.cumsum(force[:, :, :0:-1], axis=2)[:, :, ::-1]
        moment = np.cumsum(cross(chain[:, :, :0:-1], force[:, :, :0:-1]), axis=2)[:, :, ::-1]
        torque = moment - cross(chain[:, :, :3], total)  # [T, 5, 3, 3]
        out = np.zeros_like(angles)
        fingers = out[:, :16].reshape(len(out), 4, 4)
        first = torque[:, 1:, 0]
        fingers[..., 0] = _dot(self._flex_axis[:, 1:], first)
        fingers[..., 1] = _dot(self._spread_axis[:, 1:], first)
        fingers[..., 2:] = _dot(self._hinge_axis[:, 1:, None], torque[:, 1:, 1:])
        out[:, :16] = fingers.reshape(len(out), 16)
        out[:, CMC] = pull_rotation(angles[:, CMC], torque[:, 0, 0])
        out[:, 19] = _dot(self._flex_axis[:, 0], torque[:, 0, 1])
        out[:, 20] = _dot(self._spread_axis[:, 0], torque[:, 0, 1])
        out[:, 21] = _dot(self._hinge_axis[:, 0], torque[:, 0, 2])
        return out

    def _to_palm(self, vectors: Array) -> Array:
        """[T, 5, K, 3] from each finger's d, e, h to the palm's axes, the thumb's after its CMC."""
        palm = vectors @ np.swapaxes(self.axes, 1, 2)
        palm[:, 0] = palm[:, 0] @ np.swapaxes(self._root, 1, 2)
        return np.asarray(palm)


class Adam:
    """Gradient steps of even size (Kingma & Ba 2015) on one array, in place."""

    def __init__(self, unknown: Array, rate: float) -> None:
        self.unknown, self.rate, self.step_count = unknown, rate, 0
        self.mean, self.square = np.zeros_like(unknown), np.zeros_like(unknown)

    def step(self, gradient: Array) -> None:
        self.step_count += 1
        self.mean += 0.1 * (gradient - self.mean)
        self.square += 0.001 * (gradient * gradient - self.square)
        mean = self.mean / (1 - 0.9**self.step_count)
        size = np.sqrt(self.square / (1 - 0.999**self.step_count)) + 1e-8
        self.unknown -= self.rate * mean / size
