"""Transitions: whatever the plan does, the motion that leaves is continuous.

Enters: a target pose each frame, and notice when the target jumps. Leaves: the pose to show. Does not know
signs.

When the target jumps, the difference between what was shown and what is wanted is remembered, with its
speed, and dies away along the quintic that ends with no speed and no acceleration (the minimum-jerk profile
of Flash and Hogan 1985; as "inertialization", Bollo, GDC 2018). The target goes on moving underneath, so a
transition may start at any frame, also in the midst of another. Rotations are rotation vectors in the
parent's frame.

Frames that nobody looks at are owed: only the last two are ever worked out, and only when a transition or
somebody who looks asks for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from engine.rotations import multiply, quaternion_from_rotvec, rotvec_from_quaternion
from engine.signals import FloatArray

PEAK = 1.875
"""The peak speed of a minimum-jerk movement, over its mean speed."""
Target = Callable[[], tuple[FloatArray, FloatArray]]
"""Gives the pose and expression that a frame is to show, now or later."""
_CONJUGATE = np.array([1, -1, -1, -1], np.float32)
_FACE_S = 0.2
"""A face changes faster than arms do."""


class Inertia:
    """One signer's continuity. `pose` [55, 4] and `expression` [52] are what was last shown."""

    def __init__(self, pose: FloatArray, expression: FloatArray, fps: float) -> None:
        self._dt = 1.0 / fps
        self._pose, self._before = pose.copy(), pose.copy()
        self._expression = expression.copy()
        self._owed: deque[tuple[Target, float]] = deque(maxlen=2)
        self._offset = self._rate = np.zeros((len(pose), 3), np.float32)
        self._face = np.zeros_like(expression)
        self._elapsed_s = self.length_s = 0.0
        self._bend = np.float32(6)

    @property
    def share(self) -> float:
        """How much of the transition is over, 0..1."""
        return 1.0 if self.length_s <= 0 else min(self._elapsed_s / self.length_s, 1.0)

    @property
    def pose(self) -> FloatArray:
        self._settle()
        return self._pose

    @property
    def expression(self) -> FloatArray:
        self._settle()
        return self._expression

    def jump(self, pose: FloatArray, expression: FloatArray, length_s: float, *, eager: bool = False) -> None:
        """The target is now this one: bring what was last shown over to it within `length_s` seconds.

        eager: set off with acceleration 6 d / t^2 at once (from stillness, where waiting would be seen).
        """
        self._settle()
        self._bend = np.float32(3 if eager else 6)
        inverse = pose * _CONJUGATE
        self._offset = rotvec_from_quaternion(multiply(self._pose, inverse))
        turned = rotvec_from_quaternion(multiply(self._pose, self._before * _CONJUGATE))
        self._rate = turned / np.float32(self._dt)
        self._face = self._expression - expression
        self._elapsed_s, self.length_s = 0.0, length_s

    def step(self, pose: FloatArray, expression: FloatArray) -> tuple[FloatArray, FloatArray]:
        """One frame on: the target's pose and expression, plus what is left of the difference."""
        self._settle()
        self._elapsed_s += self._dt
        return self._show(pose, expression, self._elapsed_s)

    def skip(self, target: Target) -> None:
        """One frame on, unseen: all that follows is as after `step(*target())`."""
        self._elapsed_s += self._dt
        self._owed.append((target, self._elapsed_s))

    def _settle(self) -> None:
        while self._owed:
            target, elapsed_s = self._owed.popleft()
            self._show(*target(), elapsed_s)

    def _show(
        self, pose: FloatArray, expression: FloatArray, elapsed_s: float
    ) -> tuple[FloatArray, FloatArray]:
        self._before = self._pose
        if elapsed_s < self.length_s:
            d, t = self.length_s, elapsed_s
            u = t / d
            from_offset = (1 - u) ** 3 * (1 + 3 * u + self._bend * u * u)
            from_rate = t * (1 + u * u * (-6 + u * (8 - 3 * u)))
            left = self._offset * np.float32(from_offset) + self._rate * np.float32(from_rate)
            pose = multiply(quaternion_from_rotvec(left), pose)
            face_u = min(t / min(d, _FACE_S), 1.0)
            expression = expression + self._face * np.float32(
                1 + face_u**3 * (-10 + face_u * (15 - 6 * face_u))
            )
        self._pose, self._expression = pose, expression
        return pose, expression
