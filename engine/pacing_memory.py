"""What was said and spelled within the last minute: for initials, and for phrases that come again.

Enters: words as they come and as they are spelled, with times. Leaves: how many letters of a word are enough,
and whether a phrase was just heard. Does not know queues. Bounded by time and by number.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence

from engine.clock import NS_PER_S

MOST = 512
_PHRASE = 3


class Memory:
    """remembered_s: how long a spelling, or a phrase, counts as just seen."""

    def __init__(self, remembered_s: float = 60.0) -> None:
        self._window_ns = round(remembered_s * NS_PER_S)
        self._spelled: OrderedDict[str, tuple[int, tuple[str, ...]]] = OrderedDict()
        self._heard: deque[str] = deque(maxlen=_PHRASE)
        self._phrases: OrderedDict[tuple[str, ...], int] = OrderedDict()

    def clear(self) -> None:
        self._spelled.clear()
        self._heard.clear()
        self._phrases.clear()

    def spelled(self, key: str, letters: Sequence[str], now_ns: int) -> None:
        """A word was spelled in full."""
        self._spelled[key] = (now_ns, tuple(letters))
        self._spelled.move_to_end(key)
        self._trim(self._spelled)

    def initials(self, key: str, now_ns: int) -> int:
        """How many letters stand for the word: enough to tell it from all others spelled within the minute.

        0 where it was not spelled in full within it, or where so much would be needed that nothing is won.
        """
        at_ns, letters = self._spelled.get(key, (None, ()))
        if at_ns is None or now_ns - at_ns > self._window_ns:
            return 0
        others = [
            seen
            for other, (ns, seen) in self._spelled.items()
            if other != key and now_ns - ns <= self._window_ns
        ]
        for count in range(1, len(letters) // 2 + 1):
            if not any(seen[:count] == letters[:count] for seen in others):
                return count
        return 0

    def hear(self, key: str, now_ns: int) -> bool:
        """The next word of the text: whether it ends a phrase of three words that came within the minute."""
        self._heard.append(key)
        if len(self._heard) < _PHRASE:
            return False
        phrase = tuple(self._heard)
        before_ns = self._phrases.get(phrase)
        self._phrases[phrase] = now_ns
        self._phrases.move_to_end(phrase)
        self._trim(self._phrases)
        return before_ns is not None and now_ns - before_ns <= self._window_ns

    @staticmethod
    def _trim(kept: OrderedDict) -> None:  # type: ignore[type-arg]
        while len(kept) > MOST:
            kept.popitem(last=False)
