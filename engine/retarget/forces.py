"""What pushes a hand's points apart and pulls them together.

Enters: the signer's lifted hand, a rule, our hand's points. Leaves: gradients by those points, and how badly
the thumb lies. Does not know angles' kinematics nor time.

Lengths are palm lengths. n is the palm's normal: larger n . p is further out of the palm, towards its viewer.
"""

from __future__ import annotations

import numpy as np

from engine.retarget.geometry import Array
from engine.retarget.letters import LetterRule

_TIPS = np.array([8, 12, 16, 20])
_NEAR_THUMB = np.array([8, 12, 16, 20, 6, 10, 14])
_NORMAL = np.array([0.0, -1.0, 0.0])
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
_REACH = np.tile(np.repeat(_THUMB_RADIUS + _FINGER_RADIUS, 3), 4)


class Forces:
    """Sums the gradients of all contact terms by the points of one hand, [T, 21, 3]."""

    def __init__(self, lifted: Array, points: Array, base: Array, rule: LetterRule) -> None:
        self.rule, self.seen = rule, points
        self.fold = 1.0 * (lifted[:, [2, 6, 10, 14]] > _FOLDED)  # [T, 4]
        self.under = np.isin(np.arange(4), rule.under) * 1.0
        self.thumb_goal = points[:, 2:5] + 0.6 * (base[1] - points[:, 5:6])
        self.near = points[:, 4:5] - points[:, _NEAR_THUMB]
        self.nearness = np.exp(-((np.linalg.norm(self.near, axis=2) / 0.22) ** 2))
        straight = 1.0 * (lifted[:, [2, 6, 10, 14]] < np.radians(50.0))
        self.straight = straight[:, :3] * straight[:, 1:]
        self.beside = points[:, _TIPS[:3], 2] - points[:, _TIPS[1:], 2]
        self.together = self.straight * np.exp(-((self.beside / 0.32) ** 2))
        curl = 1 / (1 + np.exp(-(lifted[:, [2, 6, 10, 14]] - np.radians(72.0)) / np.radians(6.0)))
        self.closed = curl / (1 + np.exp(-(0.98 + points[:, _TIPS, 0]) / 0.05))
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
        out[:, 2:5] += np.array([1.0, 2.0, 4.0])[:, None] * (p[:, 2:5] - self.thumb_goal) / 0.07**2
        off = 1.2 * self.nearness[..., None] * (p[:, 4:5] - p[:, _NEAR_THUMB] - self.near) / 0.05**2
        out[:, 4] += off.sum(1)
        out[:, _NEAR_THUMB] -= off

    def _palm(self, p: Array, out: Array) -> None:
        """Thumb and fingertips stay out of the palm; closed fingers lie on it."""
        along = _ALONG_THUMB[2:] @ p
        inside = 1 / (1 + np.exp(-(1.10 + along[..., 0]) / 0.04))
        push = -800 * inside * np.maximum(0.235 - along @ _NORMAL, 0)
        out += (_ALONG_THUMB[2:].T @ push[..., None]) * _NORMAL
        height = p[:, _TIPS] @ _NORMAL
        inside = 1 / (1 + np.exp(-(1.05 + p[:, _TIPS, 0]) / 0.04))
        lift = -400 * inside * np.maximum(0.20 - height, 0)
        lift += 2 * self.closed * np.maximum(height - 0.24, 0) / 0.08**2
        out[:, _TIPS] += lift[..., None] * _NORMAL

    def _capsules(self, p: Array, out: Array) -> None:
        """The thumb against the fingers: outside them, and on the right side of folded ones."""
        gap = [
            (p[..., c] @ _ALONG_THUMB.T)[:, :, None] - (p[..., c] @ _ALONG_FINGERS.T)[:, None]
            for c in range(3)
        ]  # x, y, z of [T, 6, 36]; y points into the palm, so -y is height
        flat = gap[0] ** 2 + gap[2] ** 2
        distance = np.sqrt(flat + gap[1] ** 2 + 1e-8)
        outside = -120 * np.maximum(_REACH - distance, 0) / distance
        if self.rule.thumb == "free":
            push = [outside * g for g in gap]
        else:
            over = self.rule.thumb == "over"
            need = np.sqrt(np.maximum(_REACH**2 - flat, 0) + 1e-6)
            short = np.maximum(need + (gap[1] if over else -gap[1]), 0)
            share = np.repeat(self.fold if over else self.under + 0 * self.fold, 9, axis=1)[:, None]
            ordered = (120.0 if over else 77.0) * share * short
            outside = (1 - share) * outside
            aside = outside - ordered * (need > 2e-3) / need
            push = [aside * gap[0], outside * gap[1] + (ordered if over else -ordered), aside * gap[2]]
        for c, force in enumerate(push):
            out[..., c] += force.sum(2) @ _ALONG_THUMB - force.sum(1) @ _ALONG_FINGERS

    def violation(self, p: Array) -> Array:
        """How deep [T] the thumb lies in a finger, or behind one it should lie before; palm lengths."""
        gap = [
            (p[..., c] @ _ALONG_THUMB.T)[:, :, None] - (p[..., c] @ _ALONG_FINGERS.T)[:, None]
            for c in range(3)
        ]
        flat = gap[0] ** 2 + gap[2] ** 2
        inside = _REACH - np.sqrt(flat + gap[1] ** 2)
        behind = np.sqrt(np.maximum(_REACH**2 - flat, 0)) + gap[1]
        folded = np.repeat(self.fold, 9, axis=1)[:, None] > 0
        return np.asarray(np.where(folded & (flat < _REACH**2), behind, inside).max((1, 2)).clip(0))

    def _neighbours(self, p: Array, out: Array) -> None:
        """Neighbouring fingers keep apart; straight ones that touched still touch, and keep their order."""
        outer = [(p[..., c] @ _OUTER.T).reshape(len(p), 4, 6) for c in range(3)]
        gap = [o[:, :3, :, None] - o[:, 1:, None] for o in outer]  # [T, 3, 6, 6]
        distance = np.sqrt(gap[0] ** 2 + gap[1] ** 2 + gap[2] ** 2 + 1e-8)
        apart = -80 * np.maximum(0.15 - distance, 0) / distance
        for c in range(3):
            force, felt = apart * gap[c], np.zeros((len(p), 4, 6))
            felt[:, :3] += force.sum(3)
            felt[:, 1:] -= force.sum(2)
            out[..., c] += felt.reshape(len(p), 24) @ _OUTER
        apart = p[:, _TIPS[:3], 2] - p[:, _TIPS[1:], 2]
        pull = 1.4 * self.together * (apart - np.maximum(self.beside, 0.155)) / 0.02**2
        pull -= self.straight * np.maximum(0.13 - apart, 0) / 0.04**2
        if self.rule.crossed:
            pull[:] = 0.0
            pull[:, 0] = 2 * self.straight[:, 0] * np.maximum(0.13 + apart[:, 0], 0) / 0.03**2
            height = (p[:, 8] - p[:, 12]) @ _NORMAL
            sign = np.where(height < 0, -1.0, 1.0)
            rise = -2 * self.straight[:, 0] * np.maximum(0.14 - np.abs(height), 0) / 0.04**2 * sign
            out[:, 8] += rise[:, None] * _NORMAL
            out[:, 12] -= rise[:, None] * _NORMAL
        out[:, _TIPS[:3], 2] += pull
        out[:, _TIPS[1:], 2] -= pull

    def _letter(self, p: Array, out: Array) -> None:
        for i, j, wanted in self.rule.pairs:
            was = np.linalg.norm(self.seen[:, i] - self.seen[:, j], axis=1)
            weight = 1 / (1 + np.exp(-(0.45 - was) / 0.06))
            gap = p[:, i] - p[:, j]
            distance = np.sqrt((gap**2).sum(1) + 1e-8)
            pull = (2 * weight * (distance - wanted) / distance / 0.03**2)[:, None] * gap
            out[:, i] += pull
            out[:, j] -= pull
        if self.rule.thumb == "under" and self.rule.loose:
            over = _TIPS[list(self.rule.under)]  # fingers hang over the thumb, down to the palm
            out[:, over] += (2 * np.maximum(p[:, over] @ _NORMAL - 0.45, 0) / 0.10**2)[..., None] * _NORMAL
            out[:, over, 0] -= 2 * np.maximum(-p[:, over, 0] - 0.98, 0) / 0.10**2
        if self.rule.tips_on_thumb:
            gap = (p[:, 3:4] + p[:, 4:5]) / 2 - p[:, _TIPS[:3]]
            distance = np.sqrt((gap**2).sum(-1) + 1e-8)
            pull = (40 * np.maximum(distance - 0.26, 0) / distance)[..., None] * gap
            out[:, 3:5] += pull.sum(1, keepdims=True) / 2
            out[:, _TIPS[:3]] -= pull
