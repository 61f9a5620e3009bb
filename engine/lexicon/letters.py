"""From the characters of a word to the letters of an alphabet, one by one, with their places.

Enters: a word, and which letters an alphabet has. Leaves: `Spelled` letters and the characters that have
none. Does not know recordings.

A character is looked for as it is, then by its documented decomposition (`_variants`): compatibility forms
(ﬁ, fullwidth), conventional replacements (ß SS, Æ AE; German Ä AE; Turkish and Lithuanian W V, X KS, Q
K), and at last without its accents (É E). Letters of several characters (SCH, Dž, LL, ال) win over
shorter ones.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_EVERYWHERE: Final = {
    "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ħ": "h", "ı": "i",
    "ŋ": "ng", "ĸ": "k", "ŧ": "t", "ς": "σ", "ة": "ه", "ٱ": "ا", "ی": "ي", "ک": "ك", "ґ": "г",
}  # fmt: skip
_BY_SPOKEN: Final[dict[str, dict[str, str]]] = {
    "de": {"ä": "ae", "ö": "oe", "ü": "ue"},
    "lt": {"q": "k", "w": "v", "x": "ks"},
    "tr": {"q": "k", "w": "v", "x": "ks"},
    "uk": {"ё": "е", "ы": "и", "э": "е"},
}
APOSTROPHES: Final = "'’ʼ‘‛＇`´"
"""However it was typed, between two letters it is an apostrophe: don't, don´t."""
_STRAIGHT: Final = str.maketrans(dict.fromkeys(APOSTROPHES, "'"))

_INVISIBLE: Final = {"\u00ad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u0640"}
"""Soft hyphen, zero-width characters and the Arabic stretch: no letters, and never missed."""


@dataclass(frozen=True, slots=True)
class Spelled:
    """clip of one letter, None where the alphabet has none for it; the characters of the word it stands
    for.
    """

    clip: str | None
    start: int
    end: int


def fold(text: str, spoken: str) -> str:
    """Composed, lower case: the form in which words and letters are compared. Turkish I and İ stay apart."""
    text = unicodedata.normalize("NFC", text)
    if spoken in ("tr", "az"):
        text = text.replace("İ", "i").replace("I", "ı")
    return unicodedata.normalize("NFC", text.lower().replace("i\u0307", "i"))


def straight(text: str) -> str:
    """Every apostrophe as the one on the keyboard."""
    return text.translate(_STRAIGHT)


def raised(text: str, spoken: str) -> str:
    """Upper case as it is shown in a gloss: ß becomes ẞ, Turkish i becomes İ."""
    if spoken in ("tr", "az"):
        text = text.replace("i", "İ")
    return text.replace("ß", "ẞ").upper()


def clusters(word: str) -> Iterator[tuple[str, int, int]]:
    """Characters with the marks on them: (text, start, end)."""
    start = 0
    for i in range(1, len(word) + 1):
        if i == len(word) or not unicodedata.category(word[i]).startswith("M"):
            yield word[start:i], start, i
            start = i


def spell(word: str, alphabet: Mapping[str, str], spoken: str) -> list[Spelled]:
    """Letters of a word, in order. alphabet: folded letter -> clip. What is invisible is passed over."""
    parts = [
        (fold(text, spoken), start, end)
        for text, start, end in clusters(word)
        if text not in _INVISIBLE and unicodedata.category(text[0]) not in ("Cc", "Cf")
    ]
    longest = max(map(len, alphabet), default=0)
    letters: list[Spelled] = []
    i = 0
    while i < len(parts):
        size, clips = _longest(parts, i, alphabet, longest, spoken)
        start, end = parts[i][1], parts[i + size - 1][2]
        letters += [Spelled(clip, start, end) for clip in clips]
        i += size
    return letters


def _longest(
    parts: list[tuple[str, int, int]], i: int, alphabet: Mapping[str, str], longest: int, spoken: str
) -> tuple[int, list[str | None]]:
    for size in range(min(longest, len(parts) - i), 1, -1):
        several = "".join(text for text, _, _ in parts[i : i + size])
        if several in alphabet and not (several == "ال" and i > 0):  # the Arabic article begins a word
            return size, [alphabet[several]]
    text = parts[i][0]
    if text == "ئ" and "ئـ" in alphabet and i + 1 < len(parts):
        return 1, [alphabet["ئـ"]]
    for variant in _variants(text, spoken):
        if variant in alphabet:
            return 1, [alphabet[variant]]
        if variant and all(character in alphabet for character in variant):
            return 1, [alphabet[character] for character in variant]
    return 1, [None]


def _variants(text: str, spoken: str) -> Iterator[str]:
    yield text
    plain = fold(unicodedata.normalize("NFKC", text), spoken)
    yield plain
    table = {**_EVERYWHERE, **_BY_SPOKEN.get(spoken, {})}
    yield "".join(table.get(character, character) for character in plain)
    bare = "".join(
        c for c in unicodedata.normalize("NFD", plain) if not unicodedata.category(c).startswith("M")
    )
    yield bare
    yield "".join(table.get(character, character) for character in bare)
