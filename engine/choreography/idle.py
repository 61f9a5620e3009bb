"""Idle life: breathing, blinks, a wandering gaze, the slow shift of weight.

Enters: how calm the signer is (1 at rest, less under signing). Leaves: small rotations to lay over any
pose, and face units. Does not know signs. Seeded: the same seed and the same calls give the same life.

Human figures: 12 to 16 breaths a minute; a blink every 2 to 7 s, 0.1 s to close and 0.15 s to open;
fixations of 0.6 to 2.5 s; a saccade of a few degrees takes 40 ms.
"""

from __future__ import annotations

import math

import numpy as np

from engine.signals import FloatArray
from engine.skeleton import FACE, JOINT

JOINTS = np.array(
    [
        JOINT[n]
        for n in (
            "spine1",
            "spine2",
            "spine3",
            "neck",
            "head",
            "left_collar",
            "right_collar",
            "left_eye",
            "right_eye",
        )
    ]
)
"""The joints that live, in the order of the rotations."""
_BLINK = (0.55, 1.0, 1.0, 0.6, 0.2)
_BLINKS = [FACE["eyeBlinkLeft"], FACE["eyeBlinkRight"]]
_SMILES = [FACE["mouthSmileLeft"], FACE["mouthSmileRight"]]
_REFRACTORY_S = 1.2


class IdleLife:
    """One signer's life, stepped once a frame."""

    def __init__(self, seed: int, fps: float) -> None:
        self._random = np.random.default_rng(seed)
        self._dt = 1.0 / fps
        self._fps = fps
        self._time_s = 0.0
        self._phases = [float(x) for x in self._random.uniform(0, 2 * np.pi, 6)]
        self._breath = self._random.uniform(0, 2 * np.pi)
        self._blink_frame = len(_BLINK) * 10
        self._next_blink_s = self._random.uniform(0.8, 3.0)
        self._last_blink_s = -_REFRACTORY_S
        self._next_gaze_s = self._random.uniform(0.5, 1.5)
        self._gaze = np.zeros(2)
        self._gaze_goal = np.zeros(2)
        self._follow = np.zeros(2)

    def blink(self, after_s: float = 0.0) -> None:
        """Blink now (at the end of a word or sentence), unless the last blink is less than `after_s` ago."""
        if self._time_s - self._last_blink_s >= max(after_s, _REFRACTORY_S):
            self._start_blink()

    def step(self, calm: float) -> tuple[FloatArray, float, float]:
        """Rotation vectors [9, 3] for `JOINTS`, how far the lids are closed 0..1, and a change of the
        smile.
        """
        lids = self.skip(calm)
        t, p = self._time_s, self._phases
        breath = math.sin(self._breath) * (0.65 + 0.35 * calm)
        weight = (math.sin(0.53 * t + p[1]) + 0.6 * math.sin(0.31 * t + p[2])) * calm
        nod = 0.6 * math.sin(0.83 * t + p[3]) + 0.4 * math.sin(1.37 * t + p[4])
        turn = 0.7 * math.sin(0.47 * t + p[5]) + 0.3 * math.sin(1.13 * t + p[0])
        out = np.zeros((len(JOINTS), 3), np.float32)
        out[0, 2] = 0.011 * weight
        out[1] = (-0.006 * breath, 0, -0.004 * weight)
        out[2, 0] = -0.004 * breath
        out[3] = (0.006 * breath, 0.004 * turn * calm, -0.003 * weight)
        drift = 0.3 + 0.7 * calm
        out[4] = (
            0.012 * nod * drift + self._follow[1],
            0.014 * turn * drift + self._follow[0],
            0.005 * turn * drift,
        )
        out[5, 2], out[6, 2] = 0.013 * breath, -0.013 * breath
        out[7] = out[8] = (self._gaze[1] - self._follow[1], self._gaze[0] - self._follow[0], 0)
        return out, lids, float(0.05 * math.sin(0.19 * t + p[2]) * calm)

    def skip(self, calm: float) -> float:
        """One frame on, unseen: what follows is as after `step`. How far the lids are closed, 0..1."""
        self._time_s += self._dt
        turns = 0.23 + 0.02 * math.sin(0.11 * self._time_s + self._phases[0])
        self._breath += 2 * math.pi * self._dt * turns
        self._look(calm)
        return self._lids()

    def _look(self, calm: float) -> None:
        if self._time_s >= self._next_gaze_s:
            self._next_gaze_s = self._time_s + self._random.uniform(0.6, 2.5)
            wide = self._random.random() < 0.2
            reach = math.radians(7.0 if wide else 1.6) * (0.25 + 0.75 * calm if wide else 1.0)
            self._gaze_goal = self._random.uniform(-1, 1, 2) * reach * np.array([1.0, 0.5])
            if wide and abs(self._gaze_goal[0]) > math.radians(4) and self._random.random() < 0.4:
                self.blink()  # people often blink with a larger gaze shift
        self._gaze += (self._gaze_goal - self._gaze) * 0.75
        self._follow += (0.3 * self._gaze_goal - self._follow) * (1 - math.exp(-self._dt / 0.25))

    def _start_blink(self) -> None:
        self._blink_frame = 0
        self._last_blink_s = self._time_s
        again = self._random.random() < 0.1
        self._next_blink_s = self._time_s + (0.4 if again else 1.8 + min(self._random.gamma(2.0, 1.1), 5.0))

    def _lids(self) -> float:
        if self._time_s >= self._next_blink_s:
            self._start_blink()
        at = self._blink_frame * 25.0 / self._fps
        self._blink_frame += 1
        return (
            float(np.interp(at, np.arange(-1, len(_BLINK) + 1), (0, *_BLINK, 0))) if at < len(_BLINK) else 0.0
        )


def lay_over(expression: FloatArray, lids: float, smile: float) -> FloatArray:
    """A new expression [52] with the lids at least so far closed and the smile changed."""
    out = expression.copy()
    out[_BLINKS] = np.maximum(out[_BLINKS], lids)
    out[_SMILES] += smile
    return np.clip(out, 0, 1, out=out)
