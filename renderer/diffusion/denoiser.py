"""The denoiser: a U-Net that turns noise into a picture of a signer in a pose, one step.

Enters: a noisy picture and its sigma; of the pose, the gate's features; of the signer, the reference's; the
picture before; a style. Leaves: the velocity v = alpha * noise - sigma * picture (Salimans and Ho 2022).
Does not know schedules or samplers. Pictures are -1..1.

What does not change is made once: the reference's features and keys (`open`) for a signer, the gate's
features (`pose`) for a frame, however many steps it takes.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from renderer.diffusion.blocks import Attention, NoiseLevel, Residual
from renderer.diffusion.config import DenoiserConfig
from renderer.diffusion.gate import PoseGate, zeroed

STILL, RESIDUAL = 0.05, 0.3
"""How far pictures (-1..1) are from their reference where nothing moved, and where something did."""


class Reference(NamedTuple):
    """A signer, for B rows: features to be added at each level, what attention remembers, the picture."""

    levels: tuple[Tensor, ...]
    remembered: Tensor
    picture: Tensor

    def repeated(self, rows: int) -> Reference:
        """The first row for each of so many."""
        return Reference(
            tuple(level[:1].expand(rows, -1, -1, -1) for level in self.levels),
            self.remembered[:, :1].expand(-1, rows, -1, -1, -1),
            self.picture[:1].expand(rows, -1, -1, -1),
        )


class ReferenceEncoder(nn.Module):
    """A picture of the signer and the maps of its pose to features on every level."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        widths = config.widths
        self.patch = config.patch
        self.first = nn.Conv2d(12 * config.patch**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in itertools.pairwise(widths))
        self.mix = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in widths)
        self.inject = nn.ModuleList(zeroed(nn.Conv2d(w, w, 1)) for w in widths)

    def forward(self, picture: Tensor, maps: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        whole = torch.cat([picture, maps.flatten(1, 2) * 2 - 1], 1)
        level = functional.silu(self.first(functional.pixel_unshuffle(whole, self.patch)))
        out = []
        for number, (mix, inject) in enumerate(zip(self.mix, self.inject, strict=True)):
            if number:
                level = functional.silu(self.down[number - 1](level))
            level = level + functional.silu(mix(level))
            out.append(inject(level))
        return tuple(out), level


class Denoiser(nn.Module):
    """See the module."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        widths, told = config.widths, 4 * config.widths[0]
        self.gate = PoseGate(config)
        self.reference = ReferenceEncoder(config)
        self.level = NoiseLevel(told)
        self.style = nn.Embedding(len(config.styles), told)
        nn.init.normal_(self.style.weight, std=0.5)
        places = config.patch**2
        self.first = nn.Conv2d(6 * places + 1, widths[0], 3, padding=1)
        self.down, self.halve = nn.ModuleList(), nn.ModuleList()
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for number, width in enumerate(widths):
            before = widths[max(0, number - 1)]
            self.halve.append(nn.Conv2d(before, width, 3, 2, 1) if number else nn.Identity())
            self.down.append(nn.ModuleList(Residual(width, width, told) for _ in range(config.blocks)))
        for number in reversed(range(len(widths))):
            width, below = widths[number], widths[min(number + 1, len(widths) - 1)]
            top = number == len(widths) - 1
            self.grow.append(nn.Identity() if top else nn.Conv2d(below, width, 3, padding=1))
            inner = [2 * width, *[width] * (config.blocks - 1)]
            self.up.append(nn.ModuleList(Residual(i, width, told) for i in inner))
        self.middle = Residual(widths[-1], widths[-1], told)
        self.attention = Attention(widths[-1], config.heads)
        self.last = nn.Sequential(
            nn.GroupNorm(8, widths[0]), nn.SiLU(), zeroed(nn.Conv2d(widths[0], 3 * places, 3, padding=1))
        )

    def open(self, picture: Tensor, maps: Tensor) -> Reference:
        """The signers of pictures [B, 3, S, S] (-1..1) in the pose of maps [B, 3, 3, S, S]."""
        levels, deepest = self.reference(picture, maps)
        return Reference(levels, self.attention.remember(deepest), picture)

    def pose(self, maps: Tensor) -> tuple[Tensor, ...]:
        """maps [B, 3, 3, S, S] -> what `forward` takes of a pose."""
        out: tuple[Tensor, ...] = self.gate(maps)
        return out

    def forward(
        self,
        noisy: Tensor,
        sigma: Tensor,
        previous: Tensor,
        known: Tensor,
        style: Tensor,
        pose: tuple[Tensor, ...],
        reference: Reference,
    ) -> Tensor:
        """noisy, previous [B, 3, S, S]; sigma [B]; known [B]: 1 where there is a previous picture, else 0;
        style [B] int64 -> v [B, 3, S, S]."""
        patch = self.config.patch
        there = known[:, None, None, None]
        seen = functional.pixel_unshuffle(torch.cat([noisy, previous * there], 1), patch)
        flag = there.to(seen.dtype).expand(-1, 1, *seen.shape[2:])
        told = functional.silu(self.level(sigma.float()).to(noisy.dtype) + self.style(style))
        x = self.first(torch.cat([seen, flag], 1))
        kept = []
        for number, (halve, blocks) in enumerate(zip(self.halve, self.down, strict=True)):
            x = halve(x) + pose[number] + reference.levels[number]
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x, told)
            kept.append(x)
        x = self.attention(self.middle(x, told), reference.remembered)
        for number, (grow, blocks) in enumerate(zip(self.grow, self.up, strict=True)):
            if number:
                x = grow(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
            x = torch.cat([x, kept.pop()], 1)
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x, told)
        return preconditioned(functional.pixel_shuffle(self.last(x), patch), noisy, sigma, reference.picture)


def preconditioned(out: Tensor, noisy: Tensor, sigma: Tensor, reference: Tensor) -> Tensor:
    """v, from what the network adds to the best guess there is without it.

    Were pictures the reference plus noise of variance s^2 in every place, the first two terms would be the
    mean of v, and the last one its spread times the network's output (after Karras et al. 2022, for v and a
    mean that is not 0). Most places do not move, so the mean takes s = STILL: with more, noise that is not
    yet learned away shines through after several steps (benchmarks/LOG.md). The network's share takes s =
    RESIDUAL, for those that do. An untrained network so draws its reference.
    """
    sigma = sigma[:, None, None, None].float()
    alpha_2 = (1 - sigma * sigma).clamp(min=0)
    still, moved = (alpha_2 * s * s + sigma * sigma for s in (STILL, RESIDUAL))
    kept, known = sigma * alpha_2.sqrt() * (1 - STILL**2) / still, sigma / still
    share = RESIDUAL / moved.sqrt()
    dtype = noisy.dtype
    return kept.to(dtype) * noisy - known.to(dtype) * reference + share.to(dtype) * out
