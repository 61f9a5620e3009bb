"""Steps of a few rows by hand: which rows of a memory take part, where each is, and products with weights.

Enters: numbers of rows, and each one's place in its ring; states and weights. Leaves: what numpy is indexed
with, plain slices where that can be (a view is cheaper than a copy); products. Does not know what rows hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch

from engine.signals import FloatArray


def places(numbers: Sequence[int]) -> slice | list[int]:
    """The same places, at least one, in the same order."""
    if all(b - a == 1 for a, b in pairwise(numbers)):
        return slice(numbers[0], numbers[0] + len(numbers))
    return list(numbers)


def meeting(rows: list[int], at: list[int]) -> tuple[slice, int] | tuple[list[int], list[int]]:
    """Rows, and of each the place `at`: a slice and one place where rows lie side by side and are in step."""
    side_by_side = places(rows)
    if isinstance(side_by_side, slice) and at.count(at[0]) == len(at):
        return side_by_side, at[0]
    return rows, at


def product(x: FloatArray, weights: FloatArray) -> FloatArray:
    """x [..., R, K] times weights [..., K, N]. One row is numpy's: a product with a vector reads the weights
    once. For two and more its library packs the weights first, which costs more than the product; torch's
    does not."""
    if x.shape[-2] == 1:
        return x @ weights
    made: FloatArray = torch.matmul(torch.from_numpy(x), torch.from_numpy(weights)).numpy()
    return made
