"""Clips to glosses: a sign, or a word letter by letter; what has no letter is reported.

Enters: clips and words with their places. Leaves: glosses, appended to a `Glossed`. Does not know
sentences.
"""

from __future__ import annotations

from engine.glossing.glosser import Glossed, Unspellable
from engine.lexicon import Lexicon
from engine.lexicon.languages import language_info
from engine.lexicon.letters import APOSTROPHES, raised
from engine.signals import Gloss


class Speller:
    """Writes glosses of one language into `out`."""

    def __init__(self, lexicon: Lexicon, language: str, out: Glossed) -> None:
        self._lexicon, self.language, self._out = lexicon, language, out

    def sign(self, clip: str, start: int, end: int) -> None:
        entry = self._lexicon.entry(clip)
        label = raised(entry.gloss, entry.spoken)
        self._out.glosses.append(Gloss(label, clip, entry.language, start=start, end=end))

    def letter(self, clip: str, start: int, end: int, *, word_end: bool) -> None:
        entry = self._lexicon.entry(clip)
        label = raised(entry.words[0], entry.spoken)
        self._out.glosses.append(
            Gloss(label, clip, entry.language, spelled=True, word_end=word_end, start=start, end=end)
        )

    def spell(self, word: str, start: int, end: int | None = None) -> None:
        """A word beginning at `start`. end: given when the word is not in the text but stands for
        start..end.
        """
        letters = [s for s in self._lexicon.letters(word, self.language) if word[s.start] not in APOSTROPHES]
        last = max((i for i, s in enumerate(letters) if s.clip), default=-1)
        missing: list[tuple[int, int]] = []
        for i, letter in enumerate(letters):
            place = (start + letter.start, start + letter.end) if end is None else (start, end)
            if letter.clip:
                self.letter(letter.clip, *place, word_end=i == last)
            elif missing and missing[-1][1] == letter.start:
                missing[-1] = (missing[-1][0], letter.end)
            else:
                missing.append((letter.start, letter.end))
        for begin, stop in missing:
            place = (start + begin, start + stop) if end is None else (start, end)
            self.give_up(word[begin:stop], *place, self._why())

    def give_up(self, text: str, start: int, end: int, reason: str) -> None:
        self._out.unspellable.append(Unspellable(text, start, end, reason))

    def _why(self) -> str:
        name = language_info(self.language).name
        if not self._lexicon.alphabet(self.language):
            return f"no sign for it, and no alphabet of {name} to spell it"
        return f"the alphabet of {name} has no such letter"
