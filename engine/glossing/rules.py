"""Small tables about words: what a signed language leaves out, contractions, symbols that are read as
words.

Enters: words in lower case. Leaves: decisions. Does not know signs.

What is left out is kept small on purpose, and only words the lexicon has no sign for are left out at all;
each one is reported. American Sign Language has no articles. German, Austrian and Swiss German Sign
Language have none either, no copula, and show where something is in space instead of naming it: so
articles, the present of "sein", and the plain locatives in, im, ins, am, zum, zur go. Words that carry
more (mit, ohne, gegen, nicht, war) stay, and so does what only looks like an article: nothing follows it in
its clause (er schläft ein; wer ist das?; vitamin a), or a verb does (das war gut).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from engine.lexicon.letters import straight

_ARTICLES_EN: Final = frozenset(["a", "an", "the"])
_ARTICLES_DE: Final = frozenset(
    ["der", "die", "das", "des", "dem", "den", "ein", "eine", "einen", "einem", "einer", "eines"]
)
_COPULA_DE: Final = frozenset(["bin", "bist", "ist", "sind", "seid"])
_PLACES_DE: Final = frozenset(["in", "im", "ins", "am", "zum", "zur"])

_VERBS_DE: Final = frozenset(
    ["ist", "sind", "war", "waren", "wäre", "wird", "werden", "wurde", "würde", "hat", "haben", "hatte",
     "kann", "muss", "soll", "darf", "will", "heißt", "geht", "kommt", "gibt", "macht", "stimmt", "bedeutet"]
)  # fmt: skip
_PRONOUNS_DE: Final = frozenset(["der", "die", "das"])
_CONJUNCTIONS: Final = frozenset(["and", "or", "und", "oder", "aber", "denn"])

_OMITTED: Final[dict[str, dict[str, frozenset[str]]]] = {
    "ase": {"American Sign Language has no articles": _ARTICLES_EN},
    **{
        code: {
            f"{name} has no articles": _ARTICLES_DE,
            f"{name} has no word for the present of 'sein'": _COPULA_DE,
            f"{name} shows places and directions in space": _PLACES_DE,
        }
        for code, name in (
            ("gsg", "German Sign Language"),
            ("sgg", "Swiss German Sign Language"),
            ("asq", "Austrian Sign Language"),
        )
    },
}
OMISSIONS: Final = {
    code: {word: reason for reason, words in groups.items() for word in words}
    for code, groups in _OMITTED.items()
}
"""Signed language -> word in lower case -> why it is left out."""

_ARTICLES: Final = _ARTICLES_EN | _ARTICLES_DE


def may_be_article(word: str, language: str) -> bool:
    """Whether the next word must be known to tell whether this one is left out."""
    return word.lower() in _ARTICLES and word.lower() in OMISSIONS.get(language, {})


def is_article(word: str, following: str | None, *, first: bool) -> bool:
    """Of a word that may be one. following: the next of its clause; first: it begins the clause."""
    if following is None or following in _CONJUNCTIONS:
        return False
    if word == "A":  # not the letter
        return first and following[0].islower()
    return not (word.lower() in _PRONOUNS_DE and following in _VERBS_DE)


_SYMBOLS: Final[dict[str, dict[str, str]]] = {
    "en": {"&": "and", "%": "percent", "‰": "per thousand", "@": "at", "+": "plus", "=": "equals",
           "×": "times", "€": "euro", "$": "dollar", "£": "pound", "¥": "yen", "¢": "cents",
           "°": "degrees", "§": "section", "½": "half", "¼": "quarter", "¾": "three quarters",
           "²": "squared", "³": "cubed"},
    "de": {"&": "und", "%": "Prozent", "‰": "Promille", "@": "at", "+": "plus", "=": "gleich",
           "×": "mal", "€": "Euro", "$": "Dollar", "£": "Pfund", "¥": "Yen", "¢": "Cent",
           "°": "Grad", "§": "Paragraf", "½": "halb", "¼": "viertel", "¾": "dreiviertel",
           "²": "hoch zwei", "³": "hoch drei"},
    "ar": {"%": "بالمئة", "\u066a": "بالمئة", "€": "يورو", "$": "دولار"},
    "fr": {"&": "et", "%": "pour cent", "@": "arobase", "+": "plus", "=": "égale", "€": "euro"},
    "es": {"&": "y", "%": "por ciento", "@": "arroba", "+": "más", "=": "igual", "€": "euro", "$": "dólar"},
    "it": {"&": "e", "%": "per cento", "@": "chiocciola", "+": "più", "=": "uguale", "€": "euro"},
    "pt": {"&": "e", "%": "por cento", "@": "arroba", "+": "mais", "=": "igual", "€": "euro"},
}  # fmt: skip

_SHORT_EN: Final = {"can't": "can not", "won't": "will not", "shan't": "shall not", "let's": "let us",
                    "i'm": "I am", "cannot": "can not"}  # fmt: skip
BARE_NEGATIONS: Final = {
    full.replace("'", ""): full
    for full in (
        "ain't", "aren't", "can't", "couldn't", "didn't", "doesn't", "don't", "hadn't", "hasn't", "haven't",
        "isn't", "mustn't", "needn't", "shan't", "shouldn't", "wasn't", "weren't", "won't", "wouldn't",
    )
}  # fmt: skip
"""English as recognisers and hurried hands write it: dont. It must neither be spelled where "not" has a sign
nor be taken for a form of "do".
"""
_ENDINGS_EN: Final = {"n't": "not", "'re": "are", "'ve": "have", "'ll": "will"}
_NO_OWNERS: Final = frozenset(
    ["it", "he", "she", "that", "this", "what", "who", "there", "here", "where", "how", "when", "why", "let"]
)
_ELIDING: Final = {"fr", "it"}


def symbol_words(symbol: str, spoken: str) -> list[str]:
    words = _SYMBOLS.get(spoken, {})
    return words.get(symbol, words.get(unicodedata.normalize("NFKC", symbol), "")).split()


def read_symbols(text: str, spoken: str) -> Iterator[tuple[str, int, list[str]]]:
    """Symbols side by side: (text, its place, words) of each that is read as words, and of the stretches
    between them that are not, such as an emoji, with no words.
    """
    at = 0
    for read, group in groupby(text, key=lambda symbol: bool(symbol_words(symbol, spoken))):
        for part in group if read else ["".join(group)]:
            yield part, at, symbol_words(part, spoken)
            at += len(part)


def without_s(word: str, spoken: str) -> str:
    """mother's -> mother, geht's -> geht; empty for other words, and for "it's" and its like, where 's is a
    verb.
    """
    owner, mark, rest = straight(word).lower().rpartition("'s")
    if spoken not in ("en", "de") or not mark or rest or "'" in owner or owner in _NO_OWNERS:
        return ""
    return word[: len(owner)]


def apart(word: str, spoken: str) -> list[str]:
    """A contraction as its words (don't: do, not; l'eau: l, eau); [word] when it is none."""
    plain = straight(word)
    if spoken == "en":
        plain = BARE_NEGATIONS.get(plain.lower(), plain)
        if plain.lower() in _SHORT_EN:
            return _SHORT_EN[plain.lower()].split()
        for ending, full in _ENDINGS_EN.items():
            if plain.lower().endswith(ending) and len(plain) > len(ending):
                return [*apart(plain[: -len(ending)], spoken), full]
    if spoken in _ELIDING and "'" in plain:
        return [part for part in plain.split("'") if part]
    return [word]
