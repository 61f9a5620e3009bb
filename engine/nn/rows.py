"""Which rows of a memory take part, and where each is: plain slices where that can be, for a view is cheaper
than a copy.

Enters: numbers of rows, and each one's place in its ring. Leaves: what numpy is indexed with. Does not know
what the rows hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


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
