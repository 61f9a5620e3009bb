"""What a word is worth to somebody who cannot be shown all of them: bits, and what must not get lost.

Enters: a word and the spoken language it is written in. Leaves: `Worth`. Does not know time, signs or queues.

A word carries as many bits as it is unlikely (Shannon 1948: -log2 p), by the frequencies of `wordfreq` (Speer
2022), which knows some forty languages; in others, and of words it has never seen, by length. Negations and
numbers are protected: a viewer can guess a missing article, but not a missing "not" or "seven".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from engine.glossing.negations import negations
from engine.glossing.rules import apart

_SCALE_BITS: Final = math.log2(10)
_MOST_ZIPF: Final = 9.0
"""The zipf scale: log10 of how often a word comes in a thousand million words."""
_FUNCTION_ZIPF: Final = 6.25
"""What comes more than 1800 times in a million words is grammar ("the", "wird", "mit"), with few
exceptions.
"""
_FUNCTION_SHARE: Final = 0.25
_UNSEEN_ZIPF: Final = 2.0
_SHORT: Final = 3
"""Where frequencies are not known, words of so few letters count as function words."""

_ARTICLES: Final = frozenset(["ein", "eine", "einen", "un", "une", "una", "uno", "um", "uma", "en", "ett"])
"""Words that num2words may give for 1 and that are articles far more often."""
_SPELLED_OUT: Final = (*range(0, 101), *range(200, 1001, 100), 1_000_000, 1_000_000_000)


@dataclass(frozen=True, slots=True)
class Worth:
    """bits: what the word tells. function: grammar rather than content. negation, number: protected."""

    bits: float
    function: bool = False
    negation: bool = False
    number: bool = False


@lru_cache(maxsize=8192)
def worth_of(word: str, spoken: str) -> Worth:
    """spoken: ISO 639-1 code. The first word of a language loads its frequencies: 30 ms, 5 MB."""
    core = word.casefold().strip("".join(c for c in word.casefold() if not c.isalnum()))
    negation = not negations(spoken).isdisjoint((*core.split(), *apart(core, spoken)))
    number = any(c.isnumeric() for c in core) or core in _number_words(spoken)
    zipf = _zipf(core, spoken)
    function = zipf >= _FUNCTION_ZIPF if zipf is not None else len(core) <= _SHORT
    if zipf is None:
        zipf = max(_UNSEEN_ZIPF, 6.0 - 0.5 * len(core))
    bits = (_MOST_ZIPF - max(zipf, _UNSEEN_ZIPF)) * _SCALE_BITS
    content = negation or number
    return Worth(bits * (_FUNCTION_SHARE if function and not content else 1), function and not content,
                 negation, number)  # fmt: skip


@lru_cache(maxsize=32)
def _number_words(spoken: str) -> frozenset[str]:
    from num2words import num2words

    found: set[str] = set()
    for value in _SPELLED_OUT:
        try:
            said = str(num2words(value, lang=spoken))
        except (NotImplementedError, ValueError, TypeError, IndexError, KeyError):
            return frozenset()
        found.update(said.casefold().replace("-", " ").split())
        found.add(said.casefold())
    return frozenset(word for word in found if len(word) > 2) - _ARTICLES - {"and", "und", "et", "og", "och"}


def _zipf(word: str, spoken: str) -> float | None:
    """None where the language's frequencies are not known."""
    frequency, known = _frequencies()
    if spoken not in known:
        return None
    return float(frequency(word, spoken, "small"))


@lru_cache(maxsize=1)
def _frequencies() -> tuple[Any, frozenset[str]]:
    import wordfreq  # 0.2 s: only where something is live

    return wordfreq.zipf_frequency, frozenset(wordfreq.available_languages("small"))
