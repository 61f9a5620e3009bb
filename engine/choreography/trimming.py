"""Where in a recording the sign is: which hands sign, and when they are up.

Enters: wrists and fingertips of a recording, metres. Leaves: hands, frames, speeds. Does not know rotations.

Recorded signers rest low, raise their hands, sign, and let them fall; some recordings begin or end halfway.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.signals import FloatArray

Flags = npt.NDArray[np.bool_]

_SEEN = 0.5
_RECORDED_REST_M = -0.43
"""How high recorded signers rest their wrists, in our body's frame (measured)."""
_LIFTED_M = 0.12
"""A hand that never leaves its resting place by this much does not sign."""
_RAISED = 0.45
"""Raised: above this share of the way from rest to the sign's height."""
_UNDER_WAY = 0.25
"""A rise is under way above this share of its height."""
_LIVELY = 0.35
"""A hand moves while it is faster than this share of its usual speed (upper quartile)."""
_SETTLED = 0.4
"""The rise is over when the hand climbs slower than this share of its fastest."""
_LETTER_PATH_M = 0.12
"""A letter whose fingertips travel farther than this while raised is a moving letter (J, Z)."""


def used_hands(confidence: FloatArray, wrists: FloatArray) -> Flags:
    """Which hands sign [2]: seen, and lifted from rest."""
    seen = confidence > _SEEN
    return np.array(
        [
            seen[:, i].sum() >= 2
            and np.percentile(wrists[seen[:, i], i, 1], 90) > _RECORDED_REST_M + _LIFTED_M
            for i in range(2)
        ]
    )


def hand_speed(wrists: FloatArray, tips: FloatArray, used: Flags, fps: float) -> FloatArray:
    """Mean speed of wrists and fingertips that sign [T], m/s, over three frames."""
    if not used.any() or len(wrists) < 2:
        return np.zeros(len(wrists), np.float32)
    points = np.concatenate([wrists[:, used, None], tips[:, used]], 2).reshape(len(wrists), -1, 3)
    speed = np.linalg.norm(np.gradient(points, axis=0), axis=-1).mean(1) * fps
    return np.asarray(speed, dtype=np.float32)


def find_raised(height: FloatArray, fps: float) -> tuple[int, int]:
    """First and last frame between the rise and the fall of the hand; the whole clip if it never moves.

    height [T]: of the higher signing wrist, metres.
    """
    if len(height) < 3:
        return 0, len(height) - 1
    top = float(np.percentile(height, 90))
    raised = np.flatnonzero(height > _RECORDED_REST_M + _RAISED * max(top - _RECORDED_REST_M, 1e-3))
    if not len(raised):
        return 0, len(height) - 1
    first, last = int(raised[0]), int(raised[-1])
    climb = np.gradient(height) * fps
    patience = round(0.24 * fps)
    fastest = max(float(climb[: first + patience + 1].max()), 0.3)
    while first < min(int(raised[0]) + patience, last - 2) and climb[first] > _SETTLED * fastest:
        first += 1
    steepest = max(float(-climb[max(0, last - patience) :].min()), 0.3)
    while last > max(int(raised[-1]) - patience, first + 2) and -climb[last] > _SETTLED * steepest:
        last -= 1
    return first, last


def find_climb(height: FloatArray, first: int) -> int:
    """Where the rise that ends at `first` is well under way: its slow start is not worth waiting for."""
    if first == 0 or height[first] <= _RECORDED_REST_M:
        return first
    low = _RECORDED_REST_M + _UNDER_WAY * (float(height[first]) - _RECORDED_REST_M)
    below = np.flatnonzero(height[:first] < low)
    return int(below[-1]) + 1 if len(below) else 0


def travels(
    tips: FloatArray,
    used: Flags,
    first: int,
    last: int,
) -> bool:
    """Whether a letter moves while raised: the path of its farthest-going fingertip, tremor left out."""
    if not used.any() or last - first < 4:
        return False
    inner = tips[first + 1 : last, used].reshape(last - first - 1, -1, 3)
    smooth = (inner[:-2] + inner[1:-1] + inner[2:]) / 3 if len(inner) > 4 else inner
    step = np.linalg.norm(np.diff(smooth, axis=0), axis=-1)
    return bool(np.where(step > 0.006, step, 0).sum(0).max() > _LETTER_PATH_M)


def lively(speed: FloatArray, first: int, last: int, margin: int) -> tuple[int, int]:
    """The part of first..last from the first movement to the last, with `margin` frames of standing around
    it.
    """
    core = speed[first : last + 1]
    moves = core > _LIVELY * np.percentile(core, 75)
    still = np.flatnonzero(~moves)
    if moves[0] and len(still) and not moves[still[0] : still[0] + margin + 1].any():
        moves[: still[0]] = False  # still settling from the rise
    if moves[-1] and len(still) and not moves[max(still[-1] - margin, 0) : still[-1] + 1].any():
        moves[still[-1] + 1 :] = False  # already falling
    if not moves.any():
        return first, last
    busy = first + np.flatnonzero(moves)
    return max(first, int(busy[0]) - margin), min(last, int(busy[-1]) + margin)


def stillest(speed: FloatArray, first: int, last: int, frames: int) -> tuple[int, int]:
    """The stretch of `frames` frames within first..last where the hand moves least, not at the ends."""
    frames = min(frames, last - first + 1)
    sums = np.convolve(speed[first : last + 1], np.ones(frames) / frames, mode="valid")
    centre = np.abs(np.linspace(-1, 1, len(sums))) if len(sums) > 1 else np.zeros(1)
    start = first + int(np.argmin(sums + 0.02 * centre))
    return start, start + frames - 1
