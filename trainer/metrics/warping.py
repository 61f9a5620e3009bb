"""Exact dynamic time warping: the cheapest way to walk through two clips side by side (Sakoe and Chiba 1978).

Enters: costs between every frame of one clip and every frame of the other. Leaves: the cost of the cheapest
path, and its length. Does not know motion. Steps are one frame on in either clip or in both, unweighted; no
window.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def warp(costs: npt.NDArray[Any]) -> tuple[Array, Array]:
    """Costs [..., T, U] -> sum of costs along the cheapest path [...], and that path's number of pairs [...].

    Where several steps are equally cheap, both clips go on together. Raises ValueError for an empty clip.
    """
    *rows, first, second = costs.shape
    if not first or not second:
        raise ValueError(f"warping: got clips of {first} and {second} frames, expected at least one in each")
    cost = np.asarray(costs, np.float64).reshape(-1, first, second)
    # One anti-diagonal after the other: cells i + j = d depend on d - 1 and d - 2 only. Row 0 is a wall.
    before, last = (np.full((len(cost), first + 1), np.inf) for _ in range(2))
    before_steps, last_steps = np.zeros_like(before), np.zeros_like(last)
    before[:, 0] = 0.0  # the corner that pair (0, 0) comes from
    for d in range(first + second - 1):
        i = np.arange(max(0, d - second + 1), min(d, first - 1) + 1)
        ways = np.stack([before[:, i], last[:, i], last[:, i + 1]])  # both on; first alone; second alone
        steps = np.stack([before_steps[:, i], last_steps[:, i], last_steps[:, i + 1]])
        best = ways.argmin(0)[None]
        total, total_steps = np.full_like(last, np.inf), np.zeros_like(last_steps)
        total[:, i + 1] = np.take_along_axis(ways, best, 0)[0] + cost[:, i, d - i]
        total_steps[:, i + 1] = np.take_along_axis(steps, best, 0)[0] + 1
        before, last, before_steps, last_steps = last, total, last_steps, total_steps
    return last[:, first].reshape(rows), last_steps[:, first].reshape(rows)
