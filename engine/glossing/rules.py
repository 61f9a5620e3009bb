"""Small tables about words: what a signed language leaves out, contractions, symbols that are read as
words.

Enters: words in lower case. Leaves: decisions. Does not know signs.

What is left out is kept small on purpose, and only words the lexicon has no sign for are left out at all;
each one is reported. American Sign Language has no articles. German, Austrian and Swiss German Sign
Language have none either, no copula, and show where something is in space instead of naming it: so
articles, the present of "sein", and the plain locatives in, im, ins, am, zum, zur go. Words that carry
more (mit, ohne, gegen, nicht, war) stay.
"""

from __future__ import annotations

from typing import Final

_ARTICLES_EN: Final = frozenset(["a", "an", "the"])
_ARTICLES_DE: Final = frozenset(
    ["der", "die", "das", "des", "dem", "den", "ein", "eine", "einen", "einem", "einer", "eines"]
)
_COPULA_DE: Final = frozenset(["bin", "bist", "ist", "sind", "seid"])
_PLACES_DE: Final = frozenset(["in", "im", "ins", "am", "zum", "zur"])

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

_SYMBOLS: Final[dict[str, dict[str, str]]] = {
    "en": {"&": "and", "%": "percent", "@": "at", "+": "plus", "=": "equals", "€": "euro", "$": "dollar",
           "£": "pound", "°": "degrees", "§": "section", "½": "half"},
    "de": {"&": "und", "%": "Prozent", "@": "at", "+": "plus", "=": "gleich", "€": "Euro", "$": "Dollar",
           "£": "Pfund", "°": "Grad", "§": "Paragraf", "½": "halb"},
    "fr": {"&": "et", "%": "pour cent", "@": "arobase", "+": "plus", "=": "égale", "€": "euro"},
    "es": {"&": "y", "%": "por ciento", "@": "arroba", "+": "más", "=": "igual", "€": "euro", "$": "dólar"},
    "it": {"&": "e", "%": "per cento", "@": "chiocciola", "+": "più", "=": "uguale", "€": "euro"},
    "pt": {"&": "e", "%": "por cento", "@": "arroba", "+": "mais", "=": "igual", "€": "euro"},
}  # fmt: skip

_SHORT_EN: Final = {"can't": "can not", "won't": "will not", "shan't": "shall not", "let's": "let us",
                    "i'm": "I am", "cannot": "can not"}  # fmt: skip
_ENDINGS_EN: Final = {"n't": "not", "'re": "are", "'ve": "have", "'ll": "will"}
_ELIDING: Final = {"fr", "it"}


def symbol_words(symbol: str, spoken: str) -> list[str]:
    return _SYMBOLS.get(spoken, {}).get(symbol, "").split()


def apart(word: str, spoken: str) -> list[str]:
    """A contraction as its words (don't: do, not; l'eau: l, eau); [word] when it is none."""
    plain = word.replace("’", "'").replace("ʼ", "'")
    if spoken == "en":
        if plain.lower() in _SHORT_EN:
            return _SHORT_EN[plain.lower()].split()
        for ending, full in _ENDINGS_EN.items():
            if plain.lower().endswith(ending) and len(plain) > len(ending):
                return [plain[: -len(ending)], full]
    if spoken in _ELIDING and "'" in plain:
        return [part for part in plain.split("'") if part]
    return [word]
