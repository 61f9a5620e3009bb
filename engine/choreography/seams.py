"""Seams: where one clip is left and the next is entered, and how long the way between takes.

Enters: two clips. Leaves: a pair of frames, and seconds. Does not know queues or time.

The seam is the pair of frames at minimum confidence-weighted distance (rotation geodesics of both arms, and
the wrists' positions; the face does not count) within min(0.3 s, 30 %) of either clip (ALGORITHMS.md,
section 2).
"""

from __future__ import annotations

import numpy as np

from engine.choreography.clip import Clip
from engine.choreography.config import Timing
from engine.choreography.inertia import PEAK
from engine.choreography.rest import ARM_JOINTS
from engine.signals import FloatArray
from engine.skeleton import SIDES

_PER_METRE = 6.0
"""How many radians of one joint a metre of the wrist is worth."""
_PER_CUT_FRAME = 0.02
"""Cutting a frame from a clip costs a little: of equal seams, the one that keeps more."""
_WEIGHTS = np.array([0.5, 1.0, 1.0, 1.0] + [0.12] * 15, np.float32)
"""Collar, shoulder, elbow, wrist, then fifteen finger joints."""


def find_seam(a: Clip, b: Clip, now: int) -> tuple[int, int]:
    """Frames (i, j) to leave `a` and enter `b`, i >= now. Both clips keep their cores between the windows."""
    i0 = max(min(now, a.leave), a.leave - a.exit)
    leave, enter = np.arange(i0, a.leave + 1), np.arange(b.enter, b.enter + b.entry + 1)
    cost = _PER_CUT_FRAME * ((a.leave - leave)[:, None] + (enter - b.enter)[None]).astype(np.float32)
    for k, side in enumerate(SIDES):
        joints = ARM_JOINTS[side]
        qa, qb = a.quaternions[leave][:, joints], b.quaternions[enter][:, joints]
        dot = np.abs(np.einsum("ijq,kjq->ikj", qa, qb)).clip(0, 1)
        away = 2 * np.arccos(dot) @ _WEIGHTS
        away += _PER_METRE * np.linalg.norm(a.wrists[leave, k][:, None] - b.wrists[enter, k][None], axis=-1)
        cost += away * np.sqrt(a.confidence[leave, k][:, None] * b.confidence[enter, k][None])
    i, j = np.unravel_index(int(cost.argmin()), cost.shape)
    return int(leave[i]), int(enter[j])


def transition_s(
    pose: FloatArray,
    wrists: FloatArray,
    goal: FloatArray,
    goal_wrists: FloatArray,
    least_s: float,
    timing: Timing,
    haste: float = 1.0,
) -> float:
    """Seconds from pose to goal ([55, 4], wrists [2, 3]) so that wrists and joints keep to `haste` times
    their peak speeds.
    """
    metres = float(np.linalg.norm(wrists - goal_wrists, axis=-1).max())
    dot = np.abs(np.einsum("jq,jq->j", pose, goal)).clip(0, 1)
    radians = float(2 * np.arccos(dot.min()))
    wrist_s = metres / (timing.wrist_speed_m_s * haste)
    return max(least_s, PEAK * wrist_s, PEAK * radians / (timing.turn_speed_rad_s * haste))
