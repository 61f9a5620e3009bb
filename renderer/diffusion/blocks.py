"""The denoiser's parts: residual blocks told the noise level, and attention with a cache for the reference.

Enters and leaves: feature maps [B, C, h, w]. Does not know pictures, poses or schedules.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from renderer.diffusion.gate import zeroed


class Residual(nn.Module):
    """Norm, convolution, norm scaled and shifted by what it is told, convolution that begins at zero."""

    def __init__(self, inner: int, width: int, told: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(8, inner), nn.SiLU(), nn.Conv2d(inner, width, 3, padding=1))
        self.norm = nn.GroupNorm(8, width, affine=False)
        self.tell = nn.Linear(told, 2 * width)
        self.second = zeroed(nn.Conv2d(width, width, 3, padding=1))
        self.skip = nn.Conv2d(inner, width, 1) if inner != width else nn.Identity()

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.tell(told)[..., None, None].chunk(2, 1)
        h = self.norm(self.first(x)) * (1 + scale) + shift
        out: Tensor = self.skip(x) + self.second(functional.silu(h))
        return out


class Attention(nn.Module):
    """Places look at each other and at the reference, whose keys and values are made once (`remember`)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, width)
        self.ask = nn.Conv2d(width, width, 1)
        self.here = nn.Conv2d(width, 2 * width, 1)
        self.there = nn.Conv2d(width, 2 * width, 1)
        self.out = zeroed(nn.Conv2d(width, width, 1))

    def remember(self, reference: Tensor) -> Tensor:
        """Keys and values [2, B, heads, places, C / heads] of the reference's features."""
        return torch.stack([self._split(part) for part in self.there(reference).chunk(2, 1)])

    def forward(self, x: Tensor, remembered: Tensor) -> Tensor:
        h = self.norm(x)
        asked = self._split(self.ask(h))
        key, value = (self._split(part) for part in self.here(h).chunk(2, 1))
        key, value = torch.cat([key, remembered[0]], 2), torch.cat([value, remembered[1]], 2)
        told = functional.scaled_dot_product_attention(asked, key, value)
        out: Tensor = self.out(told.transpose(2, 3).reshape(x.shape))
        return x + out

    def _split(self, x: Tensor) -> Tensor:
        rows, width = x.shape[:2]
        return x.reshape(rows, self.heads, width // self.heads, -1).transpose(2, 3)


class NoiseLevel(nn.Module):
    """sigma [B] in 0..1 to a vector [B, told]: waves of its angle (alpha = cos, sigma = sin), two layers."""

    def __init__(self, told: int, waves: int = 32) -> None:
        super().__init__()
        self.rates: Tensor
        self.register_buffer("rates", torch.exp(torch.linspace(0, math.log(1000.0), waves)), persistent=False)
        self.layers = nn.Sequential(nn.Linear(2 * waves, told), nn.SiLU(), nn.Linear(told, told))

    def forward(self, sigma: Tensor) -> Tensor:
        angle = torch.asin(sigma.clamp(0, 1)) * (2 / math.pi)
        phase = angle[:, None] * self.rates
        out: Tensor = self.layers(torch.cat([phase.sin(), phase.cos()], 1))
        return out
