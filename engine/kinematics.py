"""Forward kinematics of one pose: every joint's place in a handful of array operations.

Enters: a tree of joints, and one local rotation per joint. Leaves: their transforms. Does not know which
joints they are. Walking down the tree takes as many steps as it is deep, each a dozen calls of numpy; here
every joint doubles the stretch of ancestors that it has taken in (pointer jumping, Hillis and Steele 1986),
so that a chain of sixteen takes four products.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.rotations import matrix_from_rotvec
from engine.signals import FloatArray


class Chain:
    """A tree of n joints. parents: before their children, -1 for roots; offsets [n, 3]: metres from the
    parent in its own frame (a root: from the origin)."""

    def __init__(self, parents: Sequence[int], offsets: FloatArray) -> None:
        count = len(parents)
        above = np.array([count if p < 0 else p for p in parents] + [count])
        self._jumps: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        while (above != count).any():
            self._jumps.append(above)
            above = above[above]
        self._still = np.zeros((count + 1, 4, 4), np.float32)
        self._still[:] = np.eye(4)
        self._still[:-1, :3, 3] = offsets

    def transforms(self, rotvec: FloatArray) -> FloatArray:
        """Local axis-angle [n, 3] -> global transforms [n, 4, 4], joint frame to world."""
        out = self._still.copy()
        out[:-1, :3, :3] = matrix_from_rotvec(rotvec)
        for above in self._jumps:
            out = out[above] @ out
        transforms: FloatArray = out[:-1]
        return transforms
