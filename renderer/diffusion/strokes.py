"""Capsules to pixels: many thick, shaded, depth-sorted strokes on many small canvases at once.

Enters: capsules in pixel coordinates. Leaves: RGB canvases. Does not know bodies or motion.

Only the pixels in each capsule's box are looked at: every (capsule, pixel) pair in reach is listed, the
nearest wins by one integer maximum (depth above, capsule number below, so that equal depths are settled the
same way on every device), and each pixel is shaded once, by its winner. The edge is smoothed over one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FLAT, LIT, NORMAL = range(3)
"""How a capsule is coloured: its colour; its colour, darker where it turns away; its normal and depth."""
_INDEX_BITS = 24
_DEPTH_STEPS = 1 << 16
_NEAREST_M, _FARTHEST_M = 1.5, -1.0
"""The depths (metres towards the camera) that the blue of NORMAL spans."""


@dataclass(frozen=True)
class Strokes:
    """M capsules. canvas [M] int64; ends [M, 2, 2] pixels; radii [M, 2] pixels; depth [M, 2], larger is
    nearer the camera; metres [M, 2] a pixel is there (what a round capsule bulges by); colour [M, 3] 0..1;
    shade [M] int64, one of FLAT, LIT, NORMAL."""

    canvas: Tensor
    ends: Tensor
    radii: Tensor
    depth: Tensor
    metres: Tensor
    colour: Tensor
    shade: Tensor


def draw(strokes: Strokes, canvases: int, size: int) -> Tensor:
    """RGB [canvases, 3, size, size], 0..1 on black. What lies outside is cut off."""
    device = strokes.ends.device
    if not len(strokes.canvas):
        return torch.zeros(canvases, 3, size, size, device=device)
    capsule, pixel_x, pixel_y = _pairs(strokes, size)
    gap, _, depth = _at(strokes, capsule, pixel_x, pixel_y)
    seen = gap > 0
    capsule, depth = capsule[seen], depth[seen]
    place = (strokes.canvas[capsule] * size + pixel_y[seen]) * size + pixel_x[seen]
    solid = (gap[seen] >= 0.5) * 64.0  # a soft edge never hides what is solid behind it
    key = (((depth + 8.0).clamp(0, 63) + solid) * _DEPTH_STEPS).round().long() << _INDEX_BITS | capsule
    best = torch.full((canvases * size * size,), -1, dtype=torch.int64, device=device)
    best.scatter_reduce_(0, place, key, "amax")
    drawn = best >= 0
    winner = best.clamp(min=0) & ((1 << _INDEX_BITS) - 1)
    where = torch.arange(canvases * size * size, device=device)
    x, y = where % size, where // size % size
    gap, normal, depth = _at(strokes, winner, x, y)
    colour = _shaded(strokes.colour[winner], strokes.shade[winner], normal, depth)
    colour = colour * (gap.clamp(0, 1) * drawn)[:, None]
    return colour.reshape(canvases, size, size, 3).permute(0, 3, 1, 2).contiguous()


def _pairs(strokes: Strokes, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Capsule number, x and y of every pixel in every capsule's box."""
    reach = strokes.radii.amax(1, keepdim=True) + 1
    low = (strokes.ends.amin(1) - reach).floor().clamp(0, size).long()
    high = (strokes.ends.amax(1) + reach).ceil().clamp(0, size).long()
    extent = (high - low).clamp(min=0)
    count = extent[:, 0] * extent[:, 1]
    capsule = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    first = count.cumsum(0) - count
    within = torch.arange(len(capsule), device=count.device) - first[capsule]
    wide = extent[capsule, 0].clamp(min=1)
    return capsule, low[capsule, 0] + within % wide, low[capsule, 1] + within // wide


def _at(strokes: Strokes, capsule: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of pixel centres and a capsule each: coverage before clamping, normal [n, 3], depth of the surface."""
    point = torch.stack([x, y], -1).to(strokes.ends.dtype) + 0.5
    start, end = strokes.ends[capsule].unbind(1)
    along = end - start
    length = (along * along).sum(-1).clamp(min=1e-8)
    share = (((point - start) * along).sum(-1) / length).clamp(0, 1)
    away = point - start - along * share[:, None]
    distance = (away * away).sum(-1).clamp(min=1e-12).sqrt()
    radius = _between(strokes.radii[capsule], share)
    slant = (distance / radius.clamp(min=1e-6)).clamp(max=1)
    rise = (1 - slant * slant).clamp(min=0).sqrt()
    sideways = away / distance[:, None] * slant[:, None]
    normal = torch.cat([sideways, rise[:, None]], -1)
    metres = _between(strokes.metres[capsule], share)
    depth = _between(strokes.depth[capsule], share) + rise * radius * metres
    return radius - distance + 0.5, normal, depth


def _between(ends: Tensor, share: Tensor) -> Tensor:
    """ends [n, 2], share [n] of the way from the first to the second."""
    return torch.lerp(ends[:, 0], ends[:, 1], share)


def _shaded(colour: Tensor, shade: Tensor, normal: Tensor, depth: Tensor) -> Tensor:
    lit = colour * (0.35 + 0.65 * normal[:, 2:])
    near = ((depth - _FARTHEST_M) / (_NEAREST_M - _FARTHEST_M)).clamp(0, 1)
    turned = torch.cat([normal[:, :2] * 0.5 + 0.5, near[:, None]], -1)
    kind = shade[:, None]
    return torch.where(kind == FLAT, colour, torch.where(kind == LIT, lit, turned))
