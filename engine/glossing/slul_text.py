"""Text as the learned glosser reads it: lower-case words with their places, numbers written out.

Enters: running text, or its tokens one by one. Leaves: words with character offsets, cut into segments a
model can read at once. Does not know the model; what it does not know is told by a function.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.glossing.numbers import number_words
from engine.glossing.rules import read_symbols
from engine.glossing.tokens import Token, TokenState, push

LONGEST = 40
"""Words a segment may hold; the corpus's longest sentence has 53, its mean 15."""

_STOPS = frozenset(".!?…;\n。！？")
_MONTHS = frozenset(
    ["januar", "jänner", "februar", "märz", "april", "mai", "juni", "juli", "august", "september", "oktober",
     "november", "dezember"]
)  # fmt: skip
_ABBREVIATIONS = frozenset(["dr", "prof", "nr", "ca", "bzw", "evtl", "st"])
_LINK = ("", "s", "es", "n", "en", "er", "e")
_ENDINGS = (*_LINK, "em", "ern", "t", "te", "ten", "st", "ste", "sten", "ig", "ige", "iger", "iges")


@dataclass(frozen=True, slots=True)
class Word:
    """A word in lower case, the characters of the text it comes from, whether it had a capital."""

    text: str
    start: int
    end: int
    capital: bool = False


def words_of(token: Token, spoken: str) -> list[Word]:
    """The words a token is read as: numbers and symbols as the spoken language says them."""
    if token.kind == "symbol":
        return [
            Word(word.lower(), token.start + at, token.start + at + len(symbol))
            for symbol, at, words in read_symbols(token.text, spoken)
            for word in words
        ]
    place = (token.start, token.end)
    if token.kind == "number":
        return [Word(word.lower(), *place) for word in number_words(token.text, spoken) or (token.text,)]
    text = unicodedata.normalize("NFC", token.text)
    return [Word(text.lower(), *place, capital=text[0].isupper())]


def ends_sentence(before: Token | None, between: str, after: Token) -> bool:
    """Whether what stands between two words ends a sentence; a comma does not, nor do the points of `3. Mai`,
    `z. B.` and `Dr. Maier`.
    """
    if before is not None and between.strip() == ".":
        if before.kind == "number" and (after.text.islower() or after.text.lower() in _MONTHS):
            return False
        if before.kind == "word" and (len(before.text) == 1 or before.text.lower() in _ABBREVIATIONS):
            return False
    return not _STOPS.isdisjoint(between)


def read_text(text: str, spoken: str) -> list[list[Word]]:
    """Sentences of a text, each a list of words. Punctuation ends sentences and is dropped."""
    sentences: list[list[Word]] = [[]]
    last: Token | None = None
    for token in push(text, TokenState(), final=True):
        between = text[last.end if last else 0 : token.start]
        if token.first and sentences[-1] and ends_sentence(last, between, token):
            sentences.append([])
        sentences[-1] += words_of(token, spoken)
        last = token
    return [sentence for sentence in sentences if sentence]


def segments(sentence: Sequence[Word], name: Callable[[Word], bool], seats: int) -> list[list[Word]]:
    """Cut a sentence so that no part has more than LONGEST words or `seats` different names."""
    parts: list[list[Word]] = []
    names: set[str] = set()
    for word in sentence:
        if name(word):
            names.add(word.text)
        if not parts or len(parts[-1]) >= LONGEST or len(names) > seats:
            parts.append([])
            names = {word.text} if name(word) else set()
        parts[-1].append(word)
    return parts


def understood(word: str, known: frozenset[str]) -> bool:
    """Whether a word can be read from known ones: known itself, an inflection of one, or a compound of two.

    Subwords carry such words; any other unknown word is a name, or might as well be one.
    """
    if word in known:
        return True
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if (
            len(stem) >= 3
            and (not ending or stem != word)
            and any(stem + other in known for other in _ENDINGS)
        ):
            return True
    for at in range(3, len(word) - 2):
        head, tail = word[:at], word[at:]
        if _part(head, known, _LINK) and _part(tail, known, _ENDINGS):
            return True
    return False


def _part(part: str, known: frozenset[str], endings: Sequence[str]) -> bool:
    return any(part.removesuffix(e) in known and len(part.removesuffix(e)) >= 3 for e in endings)
