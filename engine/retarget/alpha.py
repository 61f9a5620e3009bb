"""How deep is z: the factor between a recording's depth unit and its pixels.

Enters: recordings of one source. Leaves: alpha, pixels per unit of z.
Does not know bodies.

pose-format stores x * width and y * height but raw z, and the width MediaPipe ran on is often not the
width in the header (measured: about 650 for the ASL alphabet, 560-800 for other alphabets, 1550 for the Swiss
lexicon). Bones are rigid: the right alpha is the one under which their lengths vary least.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from engine.retarget.geometry import Array
from engine.retarget.recording import Recording
from engine.skeleton import HAND_BONES, SIDES

DEFAULT_ALPHA = 650.0
"""Where no hand was ever seen, and the centre of the prior for short recordings."""

_GRID = np.geomspace(150.0, 4000.0, 64)
_MAX_FRAMES = 4000
_BONES = np.array(HAND_BONES)


def estimate_alpha(recordings: Iterable[Recording]) -> float:
    """Pixels per unit of z, pooled over recordings of one source (one camera, one export).

    Minimises the mean over 20 hand bones of median|L - med L| / med L, L normalised by the hand's RMS bone
    length, plus a weak prior that matters only below some tens of frames. No hand at all: `DEFAULT_ALPHA`.
    """
    hands = [recording.hands[side][recording.hand_seen(side)] for recording in recordings for side in SIDES]
    pooled: Array = np.concatenate([np.zeros((0, 21, 3)), *hands])
    if len(pooled) == 0:
        return DEFAULT_ALPHA
    pooled = pooled[:: 1 + len(pooled) // _MAX_FRAMES]
    bones = pooled[:, _BONES[:, 1]] - pooled[:, _BONES[:, 0]]  # [N, 20, 3]
    flat, deep = (bones[..., :2] ** 2).sum(-1), bones[..., 2] ** 2
    cost = np.empty(len(_GRID))
    for i, alpha in enumerate(_GRID):
        length = np.sqrt(flat + alpha**2 * deep)
        length /= np.sqrt((length**2).sum(1, keepdims=True)) + 1e-9
        middle = np.median(length, 0)
        cost[i] = (np.median(np.abs(length - middle), 0) / (middle + 1e-9)).mean()
    prior = (np.log(_GRID / DEFAULT_ALPHA) / np.log(2)) ** 2 * 0.02 * 30 / (30 + len(pooled))
    return float(_GRID[int(np.argmin(cost + prior))])
