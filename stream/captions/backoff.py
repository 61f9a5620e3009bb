"""Trying again: waits that double up to a bound, with chance in them, and start small again after success.

Enters: nothing. Leaves: seconds. Does not know what is tried.
"""

from __future__ import annotations

import asyncio
import random


class Backoff:
    """`await wait()` after each failure, `reset()` after each success."""

    def __init__(self, longest_s: float, first_s: float = 0.2) -> None:
        if first_s <= 0 or longest_s <= 0:
            raise ValueError(f"Backoff: got {first_s} and {longest_s} s, expected both above 0")
        self.failures = 0
        self._first_s = min(first_s, longest_s)
        self._longest_s = longest_s

    def next_s(self) -> float:
        """The next wait: between half and the whole of the present bound, so that clients come apart."""
        bound_s = min(self._longest_s, self._first_s * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return float(bound_s * random.uniform(0.5, 1.0))

    async def wait(self) -> None:
        await asyncio.sleep(self.next_s())

    def reset(self) -> None:
        self.failures = 0
