"""How much is said, compared with the time there is to sign it.

Enters: each word as it comes, with how long it takes and what it is worth. Leaves: the price of a second.
Does not know words.
"""

from __future__ import annotations

from collections import deque

from engine.clock import NS_PER_S
from engine.pacing_plan import price_of_time

_LEAST_S = 8.0
"""Too little to tell whether a speaker is too fast."""
_QUIET_S = 10.0


class Demand:
    """price: bits that a second of signing is worth just now; 0 while there is time for everything."""

    def __init__(self, window_s: float) -> None:
        self.price = 0.0
        self._window_s = window_s
        self._words: deque[tuple[int, float, float, bool]] = deque()

    def add(self, now_ns: int, seconds: float, bits: float, protected: bool) -> None:
        self._words.append((now_ns, seconds, bits, protected))
        while now_ns - self._words[0][0] > self._window_s * NS_PER_S:
            self._words.popleft()
        span_s = min(self._window_s, max(_LEAST_S, (now_ns - self._words[0][0]) / NS_PER_S))
        self.price = price_of_time([word[1:] for word in self._words], span_s)

    def quiet(self, now_ns: int) -> bool:
        """So little was said before the last word that it may take its time: nobody waits for the hands."""
        recent = (s for at_ns, s, *_ in list(self._words)[:-1] if now_ns - at_ns < _QUIET_S * NS_PER_S)
        return self.price == 0 and sum(recent) < _QUIET_S / 2
