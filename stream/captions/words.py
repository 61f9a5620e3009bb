"""Words of captions, and when two spellings of them are the same to a viewer.

Enters: text. Leaves: `Word`s, each with the key it is compared by, and where two runs of words agree.
Does not know which are signed.

A key leaves out case, punctuation and accents' encodings, and writes whole numbers in words where the
language is known (num2words), so that "20" and "Twenty," have one key. Where words are split does not count
either: runs are compared letter by letter and agree at the borders they share ("heute abend", "heuteabend").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_DIGITS = re.compile(r"\d{1,9}")
_GROUPED = re.compile(r"\d{1,3}(?:[.,'\u2019]\d{3}){1,2}")


@dataclass(frozen=True, slots=True)
class Word:
    """surface: as written, punctuation included. key: as compared; never empty."""

    key: str
    surface: str


@lru_cache(maxsize=8192)
def key_of(token: str, language: str = "") -> str:
    """The key of one token; empty for pure punctuation."""
    folded = unicodedata.normalize("NFKC", token).casefold()
    core = folded.strip("".join(c for c in folded if not c.isalnum()))
    if _DIGITS.fullmatch(core) or _GROUPED.fullmatch(core):
        return _number(re.sub(r"\D", "", core), language)
    return "".join(c for c in folded if c.isalnum() or unicodedata.category(c)[0] == "M") or _symbols(token)


def _symbols(token: str) -> str:
    """Emoji, currency signs and % mean something; dots, dashes and notes between words do not."""
    if "♪" in token:
        return ""
    return "".join(c for c in token if unicodedata.category(c) in ("Sc", "So") or c in "%+=&@")


def _number(digits: str, language: str) -> str:
    try:
        from num2words import num2words

        said = str(num2words(int(digits), lang=language.split("-")[0])) if language else digits
    except (NotImplementedError, OverflowError, ValueError):
        return digits
    return "".join(c for c in said.casefold() if c.isalnum())


def words_of(text: str, language: str = "") -> list[Word]:
    """Split at white space. Punctuation on its own stays with the word before it (or is left out)."""
    found: list[Word] = []
    for token in text.split():
        key = key_of(token[:200], language)
        if key:
            found.append(Word(key, token))
        elif found:
            found[-1] = Word(found[-1].key, f"{found[-1].surface} {token}")
    return found


def shared_borders(left: Sequence[Word], right: Sequence[Word]) -> list[tuple[int, int]]:
    """How far two runs say the same: every (i, j) with left[:i] and right[:j] letter for letter equal.

    Begins with (0, 0); the last one is the end of what they share.
    """
    borders = [(0, 0)]
    i = j = 0
    ahead = ""  # what one side has said and the other has not yet
    left_ahead = True
    while True:
        if not ahead:
            if i == len(left) or j == len(right):
                return borders
            a, b = left[i].key, right[j].key
            i, j = i + 1, j + 1
        elif left_ahead:
            if j == len(right):
                return borders
            a, b = ahead, right[j].key
            j += 1
        else:
            if i == len(left):
                return borders
            a, b = left[i].key, ahead
            i += 1
        if a == b:
            ahead = ""
            borders.append((i, j))
        elif a.startswith(b):
            ahead, left_ahead = a[len(b) :], True
        elif b.startswith(a):
            ahead, left_ahead = b[len(a) :], False
        else:
            return borders
