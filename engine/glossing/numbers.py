"""Numbers as words of a spoken language.

Enters: digits as written. Leaves: words. Does not know signs.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from decimal import Decimal
from typing import Final

from num2words import num2words

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


def plain_digits(text: str) -> str:
    """Digits of any script as 0-9; other characters as they are; a minus as `-`."""
    return "".join(
        str(unicodedata.decimal(c)) if unicodedata.category(c) == "Nd" else "-" if c in "-‐‑−" else c
        for c in text
    )


@functools.lru_cache(1024)
def number_words(text: str, spoken: str) -> tuple[str, ...]:
    """`25` -> (`twenty`, `five`); longer than 12 digits, or with a leading 0, digit by digit; () when
    unknown.
    """
    text = plain_digits(text)
    words: list[str] = []
    for value in _values(text, spoken):
        words += _say(value, spoken)
    return tuple(words)


def _values(text: str, spoken: str) -> list[str]:
    """One number, or the numbers of a date, an address, a version."""
    decimal, thousands = (".", ",") if spoken in _POINT_IS_DECIMAL else (",", ".")
    if re.fullmatch(rf"-?\d{{1,3}}(\{thousands}\d{{3}})+(\{decimal}\d+)?", text):
        text = text.replace(thousands, "")
    if re.fullmatch(rf"-?\d+\{decimal}\d+", text):
        return [text.replace(decimal, ".")]
    return re.findall(r"-?\d+", text)


def _say(value: str, spoken: str) -> list[str]:
    digits = value.lstrip("-")
    if spoken in _DIGITS:
        return [_DIGITS[spoken][int(c)] for c in digits if c.isdigit()]
    whole = digits.split(".")[0]
    try:
        if "." not in value and (len(whole) > _MAX_DIGITS or (len(whole) > 1 and whole[0] == "0")):
            return [word for c in digits for word in _split(num2words(int(c), lang=spoken))]
        if len(value) > 2 * _MAX_DIGITS:
            value = value[: 2 * _MAX_DIGITS]
        if spoken in ("en", "de") and "." not in value and int(value) in _YEARS:
            return _split(num2words(int(value), lang=spoken, to="year"))
        number = Decimal(value) if "." in value else int(value)
        return _split(num2words(number, lang=spoken))
    except (NotImplementedError, ArithmeticError, ValueError, TypeError, IndexError, KeyError):
        return []


def _split(words: object) -> list[str]:
    return [word for word in _BETWEEN.split(str(words)) if word]
