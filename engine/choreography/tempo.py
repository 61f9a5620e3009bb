"""The tempo of a recording: long dictionary signs at the speed of running signs.

Enters: how fast the hands move in each frame. Leaves: which (fractional) frames of the recording to show,
one per frame of the result. Does not know rotations but for `resample`.

Time is taken first where the hands dwell, so that movements keep their own speed; only then from all alike,
the moving parts at most `max_squeeze` times.
"""

from __future__ import annotations

import numpy as np

from engine.signals import FloatArray

_DWELL = 0.2
"""A dwelling hand's time may shrink to this share."""


def signing_times(
    speed: FloatArray, fps: float, cap_s: float, max_squeeze: float, *, out_fps: float
) -> FloatArray:
    """Positions [n] in frames of the recording, the first 0 and the last len(speed) - 1.

    speed [T] m/s of the core; cap_s: the longest result at `out_fps` frames a second.
    """
    steps = len(speed) - 1
    if steps < 1:
        return np.zeros(2, np.float32)
    length_s = steps / fps
    cost = np.full(steps, 1 / fps)
    if length_s > cap_s:
        pace = (speed[1:] + speed[:-1]) / 2
        pace = pace / max(float(np.percentile(pace, 75)), 1e-3)
        busy = np.clip(np.convolve(np.pad(pace, 1, mode="edge"), [0.25, 0.5, 0.25], "valid"), _DWELL, 1)
        low, high = 0.0, 1.0
        for _ in range(20):  # the least unevenness that meets the cap
            power = (low + high) / 2
            low, high = (power, high) if (busy**power).sum() / fps > cap_s else (low, power)
        cost = busy**high / fps
        squeeze = min(max(cost.sum() / cap_s, 1.0), max_squeeze)
        cost = cost / squeeze
    clock = np.concatenate([[0.0], np.cumsum(cost)])
    frames = max(2, round(clock[-1] * out_fps) + 1)
    at = np.interp(np.linspace(0, clock[-1], frames), clock, np.arange(steps + 1))
    return np.asarray(at, dtype=np.float32)


def resample(quaternions: FloatArray, at: FloatArray) -> FloatArray:
    """[T, J, 4] at fractional frames `at` [n] -> [n, J, 4]."""
    first = np.clip(at.astype(int), 0, max(len(quaternions) - 2, 0))
    share = (at - first).astype(np.float32)[:, None, None]
    second = np.minimum(first + 1, len(quaternions) - 1)
    mixed = quaternions[first] * (1 - share) + quaternions[second] * share
    mixed /= np.linalg.norm(mixed, axis=-1, keepdims=True)
    return np.ascontiguousarray(mixed, dtype=np.float32)
