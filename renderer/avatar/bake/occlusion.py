# mypy: disable-error-code="no-any-return, type-arg"
"""Ambient occlusion per vertex, from point-sampled depth maps seen from many directions. Pure numpy,
deterministic.

Enters: a mesh. Leaves: openness [V] in 0..1 (1: sees the whole hemisphere).
"""

from __future__ import annotations

import numpy as np

from renderer.avatar.bake.geometry import neighbour_mean
from renderer.avatar.bake.makehuman import Array, Indices

_CELL_M = 0.0045
_BIAS_M = 0.006


def openness(points: Array, normal: Array, faces: Indices, directions: int = 96, smoothing: int = 2) -> Array:
    """points and normal [V, 3] metres, faces [F, 3]."""
    samples = _samples(points, faces)
    seen, total = np.zeros(len(points)), np.zeros(len(points))
    lifted = points + normal * 0.004
    for d in _sphere(directions):
        across = np.cross(d, [0, 1, 0] if abs(d[1]) < 0.9 else [1, 0, 0])
        across /= np.linalg.norm(across)
        plane = np.stack([across, np.cross(d, across)], 1)
        low = (samples @ plane).min(0) - 2 * _CELL_M
        cells = np.floor((samples @ plane - low) / _CELL_M).astype(int)
        width = cells[:, 1].max() + 4
        key = cells[:, 0] * width + cells[:, 1]
        depth = np.full((cells[:, 0].max() + 4) * width, -np.inf)
        np.maximum.at(depth, key, samples @ d)
        own = np.clip(np.floor((lifted @ plane - low) / _CELL_M).astype(int), 0, None)
        nearest = depth[np.minimum(own[:, 0] * width + own[:, 1], len(depth) - 1)]
        weight = np.maximum(normal @ d, 0)
        seen += weight * (lifted @ d > nearest - _BIAS_M)
        total += weight
    out = seen / np.maximum(total, 1e-6)
    mean = neighbour_mean(faces, len(points))
    for _ in range(smoothing):
        out = 0.5 * out + 0.5 * (mean @ out)
    return np.clip(out, 0, 1)


def _samples(points: Array, faces: Indices) -> Array:
    """Points spread evenly enough over the surface that no cell of the depth maps stays empty."""
    a, b, c = (points[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    count = np.maximum(1, np.ceil(2.2 * area / _CELL_M**2)).astype(int)
    which = np.repeat(np.arange(len(faces)), count)
    rng = np.random.default_rng(0)
    u, v = np.sqrt(rng.random(len(which)))[:, None], rng.random(len(which))[:, None]
    return (1 - u) * a[which] + u * (1 - v) * b[which] + u * v * c[which]


def _sphere(count: int) -> Array:
    i = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * i / count), np.pi * (1 + 5**0.5) * i
    return np.stack([np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)], 1)
