"""One cue on its way to being signed: which of its words are committed, and which are certain.

Enters: the versions of a cue, as the reviser puts them in. Leaves: how many words are certain (local
agreement). Does not know other cues, nor when it is asked.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from stream.captions.alignment import align
from stream.captions.rollup import Display
from stream.captions.timed_text import TimedText
from stream.captions.words import Word, shared_borders


@dataclass(slots=True, eq=False)
class CueState:
    """item: the newest version. base: words carried over or committed. tail: the rest of the newest version.

    heard: when each word of it first came. past: the words of the latest versions, the newest one last.
    closed: no longer partial. begun: a caption of it has been begun and not ended. order: its place among
    the cues.
    """

    item: TimedText
    order: int
    past: deque[list[Word]]
    arrived_ns: int
    changed_ns: int
    base: list[Word] = field(default_factory=list)
    tail: list[Word] = field(default_factory=list)
    display: Display = field(default_factory=list)
    heard: list[int] = field(default_factory=list)
    closed: bool = False
    begun: bool = False

    @property
    def seq(self) -> int:
        return self.item.cue

    def hear(self, words: int, at_ns: int) -> None:
        """A version of so many words came."""
        self.heard += [at_ns] * (words - len(self.heard))

    def heard_ns(self, word: int) -> int:
        """When that word first came."""
        if not self.heard:
            return self.arrived_ns
        return self.heard[min(max(word, 0), len(self.heard) - 1)]

    def agreed(self, agreement: int) -> int:
        """How many words of the tail are certain."""
        if self.closed:
            return len(self.tail)
        complete = len(self.tail) - (not self.item.text[-1:].isspace())
        if complete < 1 or len(self.past) < agreement:
            return 0
        certain = set(range(complete + 1))
        for words in list(self.past)[:-1]:  # the last one is the tail's own version
            begin, _ = align(self.base, words)
            certain &= {i for i, _ in shared_borders(self.tail, words[begin:])}
        return max(certain)


def continues(orphans: list[Word], words: list[Word], final: bool) -> bool:
    """Whether a new cue begins with the words the one before gave up (its first may still be growing)."""
    if shared_borders(orphans, words)[-1][0]:
        return True
    return not final and len(words) == 1 and orphans[0].key.startswith(words[0].key)
