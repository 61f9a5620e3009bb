"""Positions: a learned bias per bucket of distances, as in T5, and sinusoids.

Enters: positions of queries and keys. Leaves: a bias [H, Tq, Tk] to add to attention scores;
a table [T, D] to add to embeddings.
Does not know what attends to what.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

GAIN = 8.0
"""The learned numbers act this many times as strongly: with the small steps of Adam they would else take
thousands of steps to reach the size at which attention turns local."""


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Sines and cosines [T, width] of positions [T] (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(torch.arange(0, width, 2, device=positions.device) * (-math.log(10_000) / width))
    angles = positions[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


class RelativeBias(nn.Module):
    """Learned bias per head and bucketed distance (Raffel et al. 2020, section 2.1).

    Half of the buckets hold exact small distances, the other half grow logarithmically up to
    `furthest`; whatever lies beyond shares the last bucket, so that any length can be read.
    `both_ways=False` is for causal attention: the future shares bucket 0.
    """

    def __init__(self, heads: int, *, both_ways: bool, buckets: int = 32, furthest: int = 128) -> None:
        super().__init__()
        if buckets % 4 or buckets < 8 or furthest <= buckets // 2:
            raise ValueError(
                f"RelativeBias: got buckets={buckets}, furthest={furthest}; expected a multiple of 4 that is "
                ">= 8, and furthest above half of it"
            )
        self.both_ways = both_ways
        self.buckets = buckets
        self.furthest = furthest
        self.weight = nn.Parameter(torch.zeros(buckets, heads))

    def bucket(self, distance: Tensor) -> Tensor:
        """Bucket of each distance (key position minus query position); same shape, int64."""
        buckets = self.buckets
        offset = torch.zeros_like(distance)
        if self.both_ways:
            buckets //= 2
            offset = (distance > 0).long() * buckets
            distance = distance.abs()
        else:
            distance = (-distance).clamp(min=0)
        exact = buckets // 2
        scale = (buckets - exact) / math.log(self.furthest / exact)
        far = exact + (torch.log(distance.clamp(min=1).float() / exact) * scale).long()
        return offset + torch.where(distance < exact, distance, far.clamp(max=buckets - 1))

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Bias [H, Tq, Tk] for query positions [Tq] and key positions [Tk]."""
        distance = keys[None, :] - queries[:, None]  # [Tq, Tk]
        bias: Tensor = GAIN * self.weight[self.bucket(distance)].permute(2, 0, 1)
        return bias
