"""The record of what a feed finally said that differs from what was signed: for the omission log.

Enters: differences found by alignment. Leaves: `Change`s, each once, bounded. Does not know who shows them.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass

from stream.captions.alignment import Difference

REASONS = {
    "changed": "the caption was corrected after these words had been signed",
    "withdrawn": "the recogniser withdrew these words after they had been signed",
    "late": "these words were added after later captions had been signed",
    "forgotten": "this revises a caption too old to be remembered",
}


@dataclass(frozen=True, slots=True)
class Change:
    """signed: what was signed; now: what the feed says instead; either may be empty. reason: see REASONS.

    seq: the cue. at: the index of the word among the cue's signed words.
    """

    seq: int
    at: int
    signed: str
    now: str
    reason: str


class Changes:
    """Keeps up to `size` entries until they are taken, and counts those that no longer fitted."""

    def __init__(self, size: int = 4096) -> None:
        self.counts: Counter[str] = Counter()
        self.dropped = 0
        self._size = size
        self._entries: list[Change] = []
        self._seen: OrderedDict[tuple[int, int, str, str], None] = OrderedDict()

    def add(self, seq: int, differences: list[Difference], reason: str) -> None:
        """Note each difference, unless it was noted before (a final version that is sent again)."""
        for difference in differences:
            mark = (seq, difference.at, difference.signed, difference.now)
            if mark in self._seen:
                continue
            self._seen[mark] = None
            if len(self._seen) > self._size:
                self._seen.popitem(last=False)
            self.counts[reason] += 1
            if len(self._entries) < self._size:
                self._entries.append(Change(seq, difference.at, difference.signed, difference.now, reason))
            else:
                self.dropped += 1

    def take(self) -> list[Change]:
        taken, self._entries = self._entries, []
        return taken
