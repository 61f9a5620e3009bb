"""Motion as a bad generator makes it: modalities drift, tremble, lag, freeze and miss, each on its own.

Enters: motion vectors [B, T, 694] whose modalities agree, a random generator. Leaves: the same, disturbed.
Does not know models. The same generator state gives the same disturbance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Generator, Tensor

from engine.features import ROTATIONS, SLICES
from engine.nn.correction_geometry import folded, proper
from engine.skeleton import HAND, JOINT

_POSE, _HANDS = SLICES["pose"], SLICES["hands"]
_ARMS = ((5, 6, 7, slice(18, 39)), (2, 3, 4, slice(39, 60)))  # shoulder, elbow, wrist, hand: left, then right


@dataclass(frozen=True)
class DisturbanceConfig:
    """How bad. Distances are shoulder widths, angles radians, both the largest spread; share: chance of each
    kind.

    modality: chance that a modality is disturbed at all. drift_*: slow wandering. jitter_*: white noise.
    lag_frames: at most so many frames late. frozen, lost: a hand stands still, or is somewhere else, for a
    while. offset_*: a wrist beside its place throughout.
    """

    modality: float = 0.7
    share: float = 0.5
    drift_place: float = 0.08
    drift_angle: float = 0.15
    jitter_place: float = 0.02
    jitter_angle: float = 0.06
    lag_frames: int = 3
    frozen: float = 0.2
    lost: float = 0.1
    offset_place: float = 0.10
    offset_angle: float = 0.15

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            most = 1.0 if field.name in ("modality", "share", "frozen", "lost") else math.inf
            if not 0 <= value <= most:
                raise ValueError(f"DisturbanceConfig.{field.name}: got {value}, expected 0..{most}")


def _joint_shares() -> Tensor:
    """How far each SMPL-X joint wanders [55]: fingers most, trunk little, legs not at all."""
    shares = torch.zeros(55)
    for name, share in (("collar", 0.2), ("shoulder", 0.5), ("elbow", 0.7), ("wrist", 1.0)):
        for side in ("left", "right"):
            shares[JOINT[f"{side}_{name}"]] = share
    for name in ("spine1", "spine2", "spine3", "neck", "head"):
        shares[JOINT[name]] = 0.15
    for hand in HAND.values():
        shares[hand] = 1.2
    return shares


_SHARES = _joint_shares()
_HAND_SHARES = torch.cat([torch.ones(1), torch.full((15,), 1.2)])


def turned(sixd: Tensor, rotvec: Tensor) -> Tensor:
    """6D rotations [..., 6], turned by small axis-angle vectors [..., 3] on the right."""
    angle = torch.linalg.vector_norm(rotvec, dim=-1, keepdim=True).clamp(min=1e-8)
    half = angle / 2
    w, xyz = half.cos(), rotvec * (half.sin() / angle)
    x, y, z = xyz.unbind(-1)
    w = w[..., 0]
    columns = [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y),
               2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)]  # fmt: skip
    small = folded(torch.stack(columns, -1), 2, 3).transpose(-1, -2)  # first two columns [..., 3, 2]
    both = proper(sixd) @ small
    return both.transpose(-1, -2).flatten(-2)


class Disturbance:
    """Draws from one generator; see `DisturbanceConfig`."""

    def __init__(self, config: DisturbanceConfig, generator: Generator) -> None:
        self.config, self.generator = config, generator

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def _amount(self, rows: int, largest: float) -> Tensor:
        """[B, 1, 1, 1]: how strong a kind is in each row, 0 where it is absent."""
        on = self._uniform(rows, 1, 1, 1) < self.config.share
        return on * self._uniform(rows, 1, 1, 1) * largest

    def _slow(self, rows: int, frames: int, *shape: int) -> Tensor:
        """Noise of spread 1 that wanders, [B, T, ...]: knots eight frames apart, cosine between them."""
        knots = self._normal(rows, frames // 8 + 3, *shape)
        at = (torch.arange(frames) + self._uniform(1) * 7) / 8
        first = at.floor().long()
        share = ((1 - torch.cos(math.pi * (at - first))) / 2).view(1, -1, *(1,) * len(shape))
        return (1 - share) * knots[:, first] + share * knots[:, first + 1]

    def wander(self, vectors: Tensor, angle: float) -> Tensor:
        """The body's pose moved slowly off the recordings; the other modalities are left alone."""
        rows, frames = vectors.shape[:2]
        noise = self._slow(rows, frames, 55, 3) * _SHARES[:, None] * self._amount(rows, angle)
        out = vectors.clone()
        out[..., ROTATIONS] = turned(folded(vectors[..., ROTATIONS], 55, 6), noise).flatten(-2)
        return out

    def __call__(self, vectors: Tensor) -> Tensor:
        """Vectors [B, T, 694] -> disturbed ones."""
        c, (rows, frames) = self.config, vectors.shape[:2]
        parts = [
            self._pose(vectors),
            self._rotations(vectors[..., _HANDS], 32, _HAND_SHARES.repeat(2)),
            self._rotations(vectors[..., ROTATIONS], 55, _SHARES),
        ]
        disturbed = vectors.clone()
        for where, part in zip((_POSE, _HANDS, ROTATIONS), parts, strict=True):
            late = (self._uniform(rows) < c.share) * (self._uniform(rows) * (c.lag_frames + 1)).long()
            index = (torch.arange(frames)[None] - late[:, None]).clamp(min=0)
            part = part.gather(1, index[..., None].expand_as(part))
            hit = self._uniform(rows, 1, 1) < c.modality
            disturbed[..., where] = torch.where(hit, part, vectors[..., where])
        return disturbed

    def _pose(self, vectors: Tensor) -> Tensor:
        c, (rows, frames) = self.config, vectors.shape[:2]
        pose = folded(vectors[..., _POSE], 60, 2)
        pose = pose + self._normal(rows, frames, 60, 2) * self._amount(rows, c.jitter_place)
        pose = pose + 0.3 * self._slow(rows, frames, 60, 2) * self._amount(rows, c.drift_place)
        for shoulder, elbow, wrist, hand in _ARMS:
            off = self._slow(rows, frames, 1, 2) * self._amount(rows, c.drift_place)
            off = off + self._normal(rows, 1, 1, 2) * self._amount(rows, c.offset_place)
            pose[:, :, shoulder] += 0.1 * off[:, :, 0]
            pose[:, :, elbow] += 0.5 * off[:, :, 0]
            pose[:, :, wrist] += off[:, :, 0]
            shape = self._held(pose[:, :, hand] - pose[:, :, hand][:, :, :1])
            pose[:, :, hand] = shape + pose[:, :, hand][:, :, :1] + off
        return pose.flatten(-2)

    def _rotations(self, sixd: Tensor, joints: int, shares: Tensor) -> Tensor:
        c, (rows, frames) = self.config, sixd.shape[:2]
        noise = self._slow(rows, frames, joints, 3) * self._amount(rows, c.drift_angle)
        noise = noise + self._normal(rows, frames, joints, 3) * self._amount(rows, c.jitter_angle)
        noise = noise + self._normal(rows, 1, joints, 3) * self._amount(rows, c.offset_angle)
        out = turned(folded(sixd, joints, 6), noise * shares[:, None])
        hands = (slice(0, 16), slice(16, 32)) if joints == 32 else tuple(HAND.values())
        for hand in hands:
            out[:, :, hand] = self._held(out[:, :, hand])
        return out.flatten(-2)

    def _held(self, hand: Tensor) -> Tensor:
        """A hand [B, T, N, C] that may stand still for a while, or be another one's (the next row's)."""
        c, (rows, frames) = self.config, hand.shape[:2]
        begin = (self._uniform(rows) * frames).long()
        length = 4 + (self._uniform(rows) * 20).long()
        at = torch.arange(frames)[None]
        during = (at >= begin[:, None]) & (at < (begin + length)[:, None])
        frozen = during & (self._uniform(rows, 1) < c.frozen)
        lost = during & (self._uniform(rows, 1) < c.lost)
        index = torch.where(frozen, begin[:, None], at)[..., None, None].expand_as(hand)
        still = hand.gather(1, index)
        return torch.where(lost[..., None, None], hand.roll(1, 0), still)
