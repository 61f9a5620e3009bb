"""What pushes a hand's points apart and pulls them together.

Enters: the signer's lifted hand, a rule, our hand's points. Leaves: gradients by those points, and how badly
the thumb lies. Does not know angles' kinematics nor time.

Lengths are palm lengths. The palm's normal is -y: smaller y is further out of the palm, towards its viewer.
"""

from __future__ import annotations

import numpy as np

from engine.retarget.geometry import Array
from engine.retarget.letters import LetterRule

_TIPS = np.array([8, 12, 16, 20])
_NEAR_THUMB = np.array([8, 12, 16, 20, 6, 10, 14])
_THUMB_STAYS = np.array([1.0, 2.0, 4.0])[:, None] / 0.07**2
_THUMB_RADIUS = 0.105
_FINGER_RADIUS = np.array([0.095, 0.09, 0.082])
_FOLDED = np.radians(45.0)


def _samples() -> tuple[Array, Array]:
    """Mixing weights of points along the thumb [6, 21] and along the fingers' bones, 9 each [36, 21]."""
    thumb, fingers = np.zeros((6, 21)), np.zeros((36, 21))
    for row, (bone, share) in enumerate(((2, 0.3), (2, 0.7), (3, 0.0), (3, 0.35), (3, 0.7), (3, 1.0))):
        thumb[row, bone], thumb[row, bone + 1] = 1 - share, share
    for finger in range(4):
        for bone in range(3):
            for k, share in enumerate((0.17, 0.5, 0.83)):
                start = 5 + 4 * finger + bone
                fingers[9 * finger + 3 * bone + k, start : start + 2] = 1 - share, share
    return thumb, fingers


_ALONG_THUMB, _ALONG_FINGERS = _samples()
_OUTER = _ALONG_FINGERS.reshape(4, 9, 21)[:, 3:].reshape(24, 21)
"""The samples beyond the first bones, which knuckles hold apart anyway."""
_REACH = np.tile(np.repeat(_THUMB_RADIUS + _FINGER_RADIUS, 3), 4)[:, None]


class Forces:
    """Sums the gradients of all contact terms by the points of one hand, [3, 21, T].

    lifted [T, 22]: the signer's angles; points [3, 21, T]: where they put the signer's own hand.
    """

    def __init__(self, lifted: Array, points: Array, base: Array, rule: LetterRule) -> None:
        self.rule, self.seen = rule, points
        curls = lifted.T[[2, 6, 10, 14]]  # [4, T], middle joints
        self.fold = np.repeat(1.0 * (curls > _FOLDED), 9, axis=0)  # [36, T]
        self.under = np.repeat(np.isin(np.arange(4), rule.under) * 1.0, 9)[:, None]
        self.thumb_goal = points[:, 2:5] + 0.6 * (base[1][:, None, None] - points[:, 5:6])
        self.near = points[:, 4:5] - points[:, _NEAR_THUMB]
        nearness = np.exp(-((np.linalg.norm(self.near, axis=0) / 0.22) ** 2))
        self.nearness = 1.2 / 0.05**2 * nearness
        straight = 1.0 * (curls < np.radians(50.0))
        self.straight = straight[:3] * straight[1:]
        self.beside = points[2, _TIPS[:3]] - points[2, _TIPS[1:]]
        self.together = self.straight * np.exp(-((self.beside / 0.32) ** 2))
        curl = 1 / (1 + np.exp(-(curls - np.radians(72.0)) / np.radians(6.0)))
        self.closed = curl / (1 + np.exp(-(0.98 + points[0, _TIPS]) / 0.05))
        if rule.pairs and rule.thumb == "free":
            self.closed = self.closed * 0.0

    def __call__(self, p: Array) -> Array:
        out = np.zeros_like(p)
        self._thumb(p, out)
        self._palm(p, out)
        self._capsules(p, out)
        self._neighbours(p, out)
        self._letter(p, out)
        return out

    def _thumb(self, p: Array, out: Array) -> None:
        if not self.rule.keep_thumb:
            return
        out[:, 2:5] += _THUMB_STAYS * (p[:, 2:5] - self.thumb_goal)
        off = self.nearness * (p[:, 4:5] - p[:, _NEAR_THUMB] - self.near)
        out[:, 4] += off.sum(1)
        out[:, _NEAR_THUMB] -= off

    def _palm(self, p: Array, out: Array) -> None:
        """Thumb and fingertips stay out of the palm; closed fingers lie on it. The palm faces -y."""
        along = _ALONG_THUMB[2:] @ p[:2]  # [2, 4, T]
        inside = 1 / (1 + np.exp(-(1.10 + along[0]) / 0.04))
        out[1] += _ALONG_THUMB[2:].T @ (800 * inside * np.maximum(0.235 + along[1], 0))
        height = -p[1, _TIPS]
        inside = 1 / (1 + np.exp(-(1.05 + p[0, _TIPS]) / 0.04))
        out[1, _TIPS] += 400 * inside * np.maximum(0.20 - height, 0)
        out[1, _TIPS] -= self.closed * (2 / 0.08**2) * np.maximum(height - 0.24, 0)

    def _capsules(self, p: Array, out: Array) -> None:
        """The thumb against the fingers: outside them, and on the right side of folded ones."""
        gap, flat = _gaps(p)
        distance = np.sqrt(flat + gap[1] ** 2 + 1e-8)
        outside = np.maximum(_REACH - distance, 0) / distance * -120
        if self.rule.thumb == "free":
            push = outside * gap
        else:
            over = self.rule.thumb == "over"
            need = np.sqrt(np.maximum(_REACH**2 - flat, 0) + 1e-6)
            short = np.maximum(need + (gap[1] if over else -gap[1]), 0)
            share = self.fold if over else self.under
            ordered = (120.0 if over else 77.0) * share * short
            outside *= 1 - share
            aside = outside - ordered * (need > 2e-3) / need
            push = aside * gap
            push[1] = outside * gap[1] + (ordered if over else -ordered)
        out += _ALONG_THUMB.T @ push.sum(2) - _ALONG_FINGERS.T @ push.sum(1)

    def violation(self, p: Array) -> Array:
        """How deep [T] the thumb lies in a finger, or behind one it should lie before; palm lengths."""
        gap, flat = _gaps(p)
        inside = _REACH - np.sqrt(flat + gap[1] ** 2)
        behind = np.sqrt(np.maximum(_REACH**2 - flat, 0)) + gap[1]
        return np.asarray(np.where((self.fold > 0) & (flat < _REACH**2), behind, inside).max((0, 1)).clip(0))

    def _neighbours(self, p: Array, out: Array) -> None:
        """Neighbouring fingers keep apart; straight ones that touched still touch, and keep their order."""
        outer = (_OUTER @ p).reshape(3, 4, 6, -1)
        gap = outer[:, :3, :, None] - outer[:, 1:, None]  # [3, 3, 6, 6, T]
        distance = np.sqrt(np.einsum("i...,i...->...", gap, gap) + 1e-8)
        force = np.maximum(0.15 - distance, 0) / distance * -80 * gap
        felt = np.zeros_like(outer)
        felt[:, :3] += force.sum(3)
        felt[:, 1:] -= force.sum(2)
        out += _OUTER.T @ felt.reshape(3, 24, -1)
        apart = p[2, _TIPS[:3]] - p[2, _TIPS[1:]]
        pull = (1.4 / 0.02**2) * self.together * (apart - np.maximum(self.beside, 0.155))
        pull -= self.straight * np.maximum(0.13 - apart, 0) / 0.04**2
        if self.rule.crossed:
            pull[:] = 0.0
            pull[0] = 2 * self.straight[0] * np.maximum(0.13 + apart[0], 0) / 0.03**2
            height = p[1, 12] - p[1, 8]
            sign = np.where(height < 0, -1.0, 1.0)
            rise = 2 * self.straight[0] * np.maximum(0.14 - np.abs(height), 0) / 0.04**2 * sign
            out[1, 8] += rise
            out[1, 12] -= rise
        out[2, _TIPS[:3]] += pull
        out[2, _TIPS[1:]] -= pull

    def _letter(self, p: Array, out: Array) -> None:
        for i, j, wanted in self.rule.pairs:
            was = np.linalg.norm(self.seen[:, i] - self.seen[:, j], axis=0)
            weight = 1 / (1 + np.exp(-(0.45 - was) / 0.06))
            gap = p[:, i] - p[:, j]
            distance = np.sqrt((gap**2).sum(0) + 1e-8)
            pull = (2 * weight * (distance - wanted) / distance / 0.03**2) * gap
            out[:, i] += pull
            out[:, j] -= pull
        if self.rule.thumb == "under" and self.rule.loose:
            over = _TIPS[list(self.rule.under)]  # fingers hang over the thumb, down to the palm
            out[1, over] -= 2 * np.maximum(-p[1, over] - 0.45, 0) / 0.10**2
            out[0, over] -= 2 * np.maximum(-p[0, over] - 0.98, 0) / 0.10**2
        if self.rule.tips_on_thumb:
            gap = (p[:, 3:4] + p[:, 4:5]) / 2 - p[:, _TIPS[:3]]
            distance = np.sqrt((gap**2).sum(0) + 1e-8)
            pull = (40 * np.maximum(distance - 0.26, 0) / distance) * gap
            out[:, 3:5] += pull.sum(1, keepdims=True) / 2
            out[:, _TIPS[:3]] -= pull


def _gaps(p: Array) -> tuple[Array, Array]:
    """From samples of the fingers to samples of the thumb [3, 6, 36, T] (y points into the palm, so -y is
    height), and the square of their length along the palm [6, 36, T]."""
    gap = (_ALONG_THUMB @ p)[:, :, None] - (_ALONG_FINGERS @ p)[:, None]
    return gap, gap[0] ** 2 + gap[2] ** 2
