"""Numbers as words of a spoken language.

Enters: digits as written. Leaves: words. Does not know signs.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Final

from num2words import num2words

from engine.glossing.rules import symbol_words
from engine.glossing.tokens import Token

_DIGITS: Final = {
    "hr": ["nula", "jedan", "dva", "tri", "četiri", "pet", "šest", "sedam", "osam", "devet"],
    "et": ["null", "üks", "kaks", "kolm", "neli", "viis", "kuus", "seitse", "kaheksa", "üheksa"],
    "el": ["μηδέν", "ένα", "δύο", "τρία", "τέσσερα", "πέντε", "έξι", "επτά", "οκτώ", "εννέα"],
}
"""For languages num2words does not know: numbers are read digit by digit."""

_POINT_IS_DECIMAL: Final = {"en", "ar"}
_MAX_DIGITS: Final = 12
_YEARS: Final = range(1100, 2000)
_BETWEEN: Final = re.compile(r"[\s,\-‐]+")
_WRITTEN: Final = str.maketrans("‐‑‒–−－﹣٫٬．，", "-------.,.,")
"""Signs within numbers as other scripts and typographers write them."""
_SPACES: Final = re.compile(r"[\u00a0\u2007\u2009\u202f]")
"""Spaces that do not part words: between the digits of one number they part its thousands."""

_MINUS_AND_POINT: Final = {
    "ar": ("سالب", "فاصلة"), "cs": ("minus", "celá"), "de": ("minus", "Komma"), "el": ("μείον", "κόμμα"),
    "en": ("minus", "point"), "es": ("menos", "coma"), "et": ("miinus", "koma"), "fr": ("moins", "virgule"),
    "hr": ("minus", "zarez"), "it": ("meno", "virgola"), "lt": ("minus", "kablelis"),
    "pt": ("menos", "vírgula"), "sk": ("mínus", "celá"), "sv": ("minus", "komma"), "tr": ("eksi", "virgül"),
    "uk": ("мінус", "кома"),
}  # fmt: skip
"""Said by us: num2words loses the minus of -0.5, the 0 of 2.50, in Italian all that follows the point, and
knows no negative numbers in Czech and Slovak.
"""

_AND: Final = {"en": "and", "de": "und"}
_FRACTIONS: Final = ("½", "¼", "¾")
_ORDINAL: Final = re.compile(r"(\d+(?:,\d{3})*)(?:st|nd|rd|th)", re.IGNORECASE)


def plain_digits(text: str) -> str:
    """Digits of any script as 0-9, minus, point and comma as `-.,`; other characters as they are."""
    digits = (str(unicodedata.decimal(c)) if unicodedata.category(c) == "Nd" else c for c in text)
    return "".join(digits).translate(_WRITTEN)


def whole_numbers(tokens: Iterable[Token], spoken: str) -> Iterator[Token]:
    """A number and what is right behind it as one: 21`st`, 1`½`. Both come with the same piece of text."""
    last: Token | None = None
    for token in tokens:
        if last is not None and last.kind == "number" and _belongs(last, token, spoken):
            last = replace(last, text=last.text + token.text, end=token.end)
            continue
        if last is not None:
            yield last
        last = token
    if last is not None:
        yield last


def _belongs(number: Token, token: Token, spoken: str) -> bool:
    if number.end != token.start or not number.text[-1].isdecimal() or token.chunk != number.chunk:
        return False
    if spoken == "en" and token.text.lower() in ("st", "nd", "rd", "th"):
        return "." not in number.text
    return token.text in _FRACTIONS and spoken in _AND


@functools.lru_cache(1024)
def number_words(text: str, spoken: str) -> tuple[str, ...]:
    """`25` -> (`twenty`, `five`); () when unknown.

    Digit by digit: what is behind the decimal point, and a number longer than 12 digits or with a leading 0.
    """
    text = _SPACES.sub("", plain_digits(text))
    if ordinal := _ORDINAL.fullmatch(text):
        return _ordinal(ordinal[1].replace(",", ""), spoken)
    if text.endswith(_FRACTIONS) and spoken in _AND:
        return (*number_words(text[:-1], spoken), _AND[spoken], *symbol_words(text[-1], spoken))
    words: list[str] = []
    for value in _values(text, spoken):
        said = _say(value, spoken)
        if not said:
            return ()
        words += said
    return tuple(words)


def _ordinal(digits: str, spoken: str) -> tuple[str, ...]:
    if len(digits) > _MAX_DIGITS:
        return number_words(digits, spoken)
    return tuple(_split(num2words(int(digits), lang=spoken, to="ordinal")))


def _values(text: str, spoken: str) -> list[str]:
    """One number, or the numbers of a date, an address, a version."""
    decimal, thousands = (".", ",") if spoken in _POINT_IS_DECIMAL else (",", ".")
    if re.fullmatch(rf"-?\d{{1,3}}(\{thousands}\d{{3}})+(\{decimal}\d+)?", text):
        text = text.replace(thousands, "")
    if re.fullmatch(rf"-?\d+\{decimal}\d+", text):
        return [text.replace(decimal, ".")]
    if re.fullmatch(r"-?\.\d+", text):
        return [text]
    return re.findall(r"-?\d+", text)


def _say(value: str, spoken: str) -> list[str]:
    """-12.50 -> minus, twelve, point, five, zero. Empty where a part of it is unknown."""
    negative, (whole, dot, fraction) = value.startswith("-"), value.removeprefix("-").partition(".")
    if spoken not in _MINUS_AND_POINT and (negative or dot):
        return _whole(value, spoken)
    minus, point = _MINUS_AND_POINT.get(spoken, ("", ""))
    parts = [_whole(whole, spoken, year=not negative and not dot)] if whole else []
    parts += [[point]] if dot else []
    parts += [_whole(digit, spoken) for digit in fraction]
    if not all(parts):
        return []
    return [minus] * negative + [word for part in parts for word in part]


def _whole(value: str, spoken: str, *, year: bool = False) -> list[str]:
    if spoken in _DIGITS:
        return [_DIGITS[spoken][int(c)] for c in value]
    try:
        if value.isdigit() and (len(value) > _MAX_DIGITS or (len(value) > 1 and value[0] == "0")):
            return [word for c in value for word in _split(num2words(int(c), lang=spoken))]
        if year and spoken in ("en", "de") and int(value) in _YEARS:
            return _split(num2words(int(value), lang=spoken, to="year"))
        return _split(num2words(Decimal(value) if "." in value else int(value), lang=spoken))
    except (NotImplementedError, ArithmeticError, ValueError, TypeError, IndexError, KeyError):
        return []


def _split(words: object) -> list[str]:
    return [word for word in _BETWEEN.split(str(words)) if word]
