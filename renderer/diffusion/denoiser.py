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
from renderer.diffusion.guess import behind, palette

STILL, RESIDUAL = 0.05, 0.3
"""How far pictures (-1..1) are from their reference where nothing moved, and where something did."""
COLOURS = 6
"""Of the reference, to paint with."""
SAID = COLOURS + 6
"""What the network says of each pixel: see `preconditioned`."""
KEPT_AT_FIRST = 4.0
"""Of the softmax: how far an untrained network prefers its reference to the place behind and the colours."""


class Reference(NamedTuple):
    """A signer, for B rows: features to be added at each level; what attention remembers; the look as one
    vector [B, told]; colours to paint with [B, COLOURS, 3]; the place behind and the picture [B, 3, S, S]."""

    levels: tuple[Tensor, ...]
    remembered: Tensor
    look: Tensor
    palette: Tensor
    behind: Tensor
    picture: Tensor

    def repeated(self, rows: int) -> Reference:
        """The first row for each of so many."""
        return Reference(
            tuple(level[:1].expand(rows, -1, -1, -1) for level in self.levels),
            self.remembered[:, :1].expand(-1, rows, -1, -1, -1),
            self.look[:1].expand(rows, -1),
            self.palette[:1].expand(rows, -1, -1),
            *(part[:1].expand(rows, -1, -1, -1) for part in (self.behind, self.picture)),
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
        self.choose = nn.Conv2d(widths[0], COLOURS, 1)

    def forward(self, picture: Tensor, maps: Tensor) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        whole = torch.cat([picture, maps.flatten(1, 2) * 2 - 1], 1)
        level = functional.silu(self.first(functional.pixel_unshuffle(whole, self.patch)))
        out, chosen = [], level
        for number, (mix, inject) in enumerate(zip(self.mix, self.inject, strict=True)):
            if number:
                level = functional.silu(self.down[number - 1](level))
            level = level + functional.silu(mix(level))
            chosen = chosen if number else self.choose(level)
            out.append(inject(level))
        return tuple(out), level, palette(picture, chosen)


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
        self.look = nn.Sequential(nn.Linear(2 * widths[-1], told), nn.SiLU(), nn.Linear(told, told))
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
        said = zeroed(nn.Conv2d(widths[0], SAID * places, 3, padding=1))
        self.last = nn.Sequential(nn.GroupNorm(8, widths[0]), nn.SiLU(), said)
        # whatever is the patch, edges are where the maps have them
        self.outline = nn.Conv2d(9, config.edges[0], 2 + config.fineness, config.fineness, 1)
        self.meet = nn.Conv2d(SAID, config.edges[0], 3, padding=1)
        edges: list[nn.Module] = [nn.SiLU()]
        for one, other in itertools.pairwise(config.edges):
            edges += [nn.Conv2d(one, other, 3, padding=1), nn.SiLU()]
        self.edges = nn.Sequential(*edges, zeroed(nn.Conv2d(config.edges[-1], SAID, 3, padding=1)))

    def open(self, picture: Tensor, maps: Tensor) -> Reference:
        """The signers of pictures [B, 3, S, S] (-1..1) in the pose of maps [B, 3, 3, M, M]."""
        coarse = functional.avg_pool2d(maps.flatten(1, 2), self.config.fineness)
        maps = coarse.reshape(*maps.shape[:3], *coarse.shape[2:])
        levels, deepest, colours = self.reference(picture, maps)
        look = self.look(torch.cat([deepest.mean((2, 3)), deepest.amax((2, 3))], 1))
        remembered = self.attention.remember(deepest)
        return Reference(levels, remembered, look, colours, behind(picture, maps), picture)

    def pose(self, maps: Tensor) -> tuple[Tensor, ...]:
        """maps [B, 3, 3, M, M] -> what `forward` takes of a pose: for each level, and for the edges."""
        maps = maps.flatten(1, 2) * 2 - 1
        return (*self.gate(maps), self.outline(maps))

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
        level = self.level(sigma.float()).to(noisy.dtype)
        told = functional.silu(level + self.style(style) + reference.look)
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
        out = functional.pixel_shuffle(self.last(x), patch)
        out = out + self.edges(self.meet(out) + pose[-1])
        return preconditioned(out, noisy, sigma, reference)


def preconditioned(out: Tensor, noisy: Tensor, sigma: Tensor, reference: Reference) -> Tensor:
    """v, from what the network says (SAID channels) about the best guess there is without it.

    The guess is painted: each place is of the reference, of the place behind (where an arm rested), or of the
    reference's colours (where one is now), in shares that the network says. Were pictures that guess plus
    noise of variance s^2, the first two terms would be the mean of v, and the last one its spread times the
    network's residual (after Karras et al. 2022, for v and a mean that is not 0). s is said for each place,
    between STILL and RESIDUAL: how far the noisy picture knows better. A fixed one either keeps noise where
    nothing moves or forgets what earlier steps found (benchmarks/LOG.md). An untrained network so draws its
    reference, somewhat paler.
    """
    sigma = sigma[:, None, None, None].float()
    residual, unsure, keep, others = torch.split(out.float(), [3, 1, 1, COLOURS + 1], 1)
    weight = torch.cat([keep + KEPT_AT_FIRST, others], 1).softmax(1)
    painted = torch.einsum("bkhw,bkc->bchw", weight[:, 2:], reference.palette.float())
    guess = weight[:, :1] * reference.picture + weight[:, 1:2] * reference.behind + painted
    spread_2 = STILL**2 * (RESIDUAL / STILL) ** (2 * torch.sigmoid(unsure - 2))
    alpha_2 = (1 - sigma * sigma).clamp(min=0)
    placed, moved = (alpha_2 * s_2 + sigma * sigma for s_2 in (spread_2, RESIDUAL**2))
    v = (sigma * alpha_2.sqrt() * (1 - spread_2) * noisy - sigma * guess) / placed
    whole: Tensor = v + RESIDUAL / moved.sqrt() * residual
    return whole.to(noisy.dtype)
