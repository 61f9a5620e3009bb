"""How much is taken: of one kiosk, and of all kiosks of the server together.

Enters: moments and counts. Leaves: yes or no. Does not know commands.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from stream.kiosk.config import KioskLimits


class Bucket:
    """A token bucket: `a_second` on average, `burst` at once."""

    def __init__(self, a_second: float, burst: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._a_second, self._burst, self._now_s = a_second, burst, now_s
        self._left, self._at_s = burst, now_s()

    def take(self) -> float:
        """0 when one more is fine; otherwise the seconds until it would be, and nothing is taken."""
        now_s = self._now_s()
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._a_second)
        self._at_s = now_s
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._a_second


class Admission:
    """What all kiosks of a server share. texts: that wait, of all kiosks."""

    def __init__(self, limits: KioskLimits) -> None:
        self.limits = limits
        self.texts = 0
        self.commands = Bucket(limits.shared_commands_a_s, 2 * limits.shared_commands_a_s)

    @property
    def full(self) -> bool:
        return self.texts >= self.limits.shared_playlist
