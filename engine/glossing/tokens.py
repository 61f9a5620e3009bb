"""Text in pieces to words with their places, each as soon as it is certain.

Enters: pieces of text. Leaves: `Token`s. Does not know languages, signs or letters.

Text is cut into chunks at white space and at punctuation that can't be inside a word, then a chunk into
words, numbers and symbols. A chunk is certain when the character behind it is there; how it is cut
depends on nothing but its own characters, so that any cutting of the text into pieces gives the same
tokens.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

MAX_CHUNK = 256
"""Characters without a separator that are waited for; longer ones are cut here, so that memory is
bounded.
"""

_SOFT: Final = {
    ".": ".", ",": ",", "'": "'", "’": "'", "ʼ": "'", "-": "-", "‐": "-", "‑": "-", "−": "-",
    ":": ":", "/": ":", "_": ":", "\\": ":", "#": ":", "*": ":",
    "@": "S", "%": "S", "&": "S", "§": "S", "\u0640": "M", "·": "P",
}  # fmt: skip
_CHUNK: Final = re.compile(rf"(?:N,|[^ !,]){{1,{MAX_CHUNK}}}")
_TOKEN: Final = re.compile(
    r"(?P<number>(?:(?<![NLM])-)?N+(?:[.,]N+)*)"
    r"|(?P<word>L[LM]*(?:'L[LM]*)*)"
    r"|(?P<symbol>S[SM]*)"
    r"|(?P<glue>[':-]M*|M+)"
    r"|(?P<stop>[^NLSM])"
)
_GLUED: Final = re.compile(r"[NLM][.:S@][NLM]")


class _Kinds(dict[str, str]):
    """Character -> L letter, M mark or invisible, N digit, S symbol, space, ! hard punctuation, or
    itself.
    """

    def __missing__(self, character: str) -> str:
        category = unicodedata.category(character)
        if character in _SOFT:
            kind = _SOFT[character]
        elif category[0] == "Z" or category == "Cc":
            kind = " "
        elif category == "Nd":
            kind = "N"
        elif category[0] == "L":
            kind = "L"
        elif category[0] == "M" or category == "Cf":
            kind = "M"
        elif category[0] == "P":
            kind = "!"
        else:
            kind = "S"
        self[character] = kind
        return kind


_KIND: Final = _Kinds()
Kind = Literal["word", "number", "symbol"]
_TOKEN_KINDS: Final[dict[str, Kind]] = {"word": "word", "number": "number", "symbol": "symbol"}


@dataclass(frozen=True, slots=True)
class Token:
    """text with its characters start..end of the caption. first: a pause (punctuation or the beginning)
    is before it. glued: part of an address or the like (`www.the.org`), where no word is a word of the
    sentence."""

    text: str
    start: int
    end: int
    kind: Kind
    first: bool = False
    glued: bool = False


@dataclass(slots=True)
class TokenState:
    """The chunk that is still open, where it begins, and whether a pause was heard since the last token."""

    open: str = ""
    start: int = 0
    paused: bool = True


def push(text: str, state: TokenState, final: bool) -> Iterator[Token]:
    """Tokens that became certain. `state` is complete only when the iterator is exhausted."""
    text = state.open + text
    kinds = "".join(map(_KIND.__getitem__, text))
    at, length = 0, len(text)
    while at < length:
        chunk = _CHUNK.match(kinds, at)
        if chunk is None:
            state.paused |= kinds[at] != " "
            at += 1
            continue
        if chunk.end() == length and not final:
            break
        yield from _cut(text, kinds, at, chunk.end(), state)
        at = chunk.end()
    state.open = text[at:]
    state.start += at


def _cut(text: str, kinds: str, at: int, end: int, state: TokenState) -> Iterator[Token]:
    chunk, offset = kinds[at:end], state.start + at
    glued = _GLUED.search(chunk) is not None
    for match in _TOKEN.finditer(chunk):
        kind = _TOKEN_KINDS.get(match.lastgroup or "")
        if kind is not None:
            here = text[at + match.start() : at + match.end()]
            yield Token(here, offset + match.start(), offset + match.end(), kind, state.paused, glued)
            state.paused = False
        elif match.lastgroup == "stop":
            state.paused = True
