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
    out = torch.zeros(canvases * size * size, 3, device=device)
    if len(strokes.canvas):
        lines = _lines(strokes)
        capsule, pixel_x, pixel_y = _pairs(strokes, size)
        gap, depth, _ = _at(lines, capsule, pixel_x, pixel_y)
        [seen] = (gap > 0).nonzero(as_tuple=True)
        capsule, depth = capsule[seen], depth[seen]
        place = (strokes.canvas[capsule] * size + pixel_y[seen]) * size + pixel_x[seen]
        solid = (gap[seen] >= 0.5) * 64.0  # a soft edge never hides what is solid behind it
        key = (((depth + 8.0).clamp(0, 63) + solid) * _DEPTH_STEPS).round().long() << _INDEX_BITS | capsule
        best = torch.full((canvases * size * size,), -1, dtype=torch.int64, device=device)
        best.scatter_reduce_(0, place, key, "amax")
        [where] = (best >= 0).nonzero(as_tuple=True)
        winner = best[where] & ((1 << _INDEX_BITS) - 1)
        gap, depth, normal = _at(lines, winner, where % size, where // size % size)
        colour = _shaded(strokes.colour[winner], strokes.shade[winner], normal, depth)
        out[where] = colour * gap.clamp(0, 1)[:, None]
    return out.reshape(canvases, size, size, 3).permute(0, 3, 1, 2).contiguous()


def _lines(strokes: Strokes) -> Tensor:
    """[11, M]: of each capsule's axis, where it begins and how it goes on: x, y, radius, depth, metres a
    pixel; and one over its squared length. A row for each, so that a pixel's work is on rows."""
    start, end = strokes.ends.unbind(1)
    along = end - start
    length = (along * along).sum(-1).clamp(min=1e-8)
    begins = [start.T, *(part[None, :, 0] for part in (strokes.radii, strokes.depth, strokes.metres))]
    goes = [along.T, *((p[:, 1] - p[:, 0])[None] for p in (strokes.radii, strokes.depth, strokes.metres))]
    return torch.cat([*begins, *goes, 1 / length[None]])


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


def _at(
    lines: Tensor, capsule: Tensor, x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Of pixel centres and a capsule each: coverage before clamping, depth of the surface, its normal."""
    rows = lines.index_select(1, capsule)
    start_x, start_y, radius, depth, metres, along_x, along_y, wider, nearer, finer, once = rows
    from_x, from_y = x + 0.5 - start_x, y + 0.5 - start_y
    share = ((from_x * along_x + from_y * along_y) * once).clamp_(0, 1)
    away_x, away_y = from_x - along_x * share, from_y - along_y * share
    distance = (away_x * away_x + away_y * away_y).clamp_(min=1e-12).sqrt_()
    radius = radius + wider * share
    slant = (distance / radius.clamp(min=1e-6)).clamp_(max=1)
    rise = (1 - slant * slant).clamp_(min=0).sqrt_()
    sideways = slant / distance
    surface = depth + nearer * share + rise * radius * (metres + finer * share)
    return radius - distance + 0.5, surface, (away_x * sideways, away_y * sideways, rise)


def _shaded(colour: Tensor, shade: Tensor, normal: tuple[Tensor, Tensor, Tensor], depth: Tensor) -> Tensor:
    across, down, rise = normal
    lit = colour * (0.35 + 0.65 * rise)[:, None]
    near = ((depth - _FARTHEST_M) / (_NEAREST_M - _FARTHEST_M)).clamp(0, 1)
    turned = torch.stack([across * 0.5 + 0.5, down * 0.5 + 0.5, near], -1)
    kind = shade[:, None]
    return torch.where(kind == FLAT, colour, torch.where(kind == LIT, lit, turned))
