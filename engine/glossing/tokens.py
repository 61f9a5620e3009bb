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

from engine.lexicon.letters import APOSTROPHES

MAX_CHUNK = 256
"""Characters without a separator that are waited for; longer ones are cut here, so that memory is
bounded.
"""

_SOFT: Final = {
    ".": ".", ",": ",", **dict.fromkeys(APOSTROPHES, "'"), "-": "-", "‐": "-", "‑": "-", "−": "-",
    "–": "–", "‒": "–", "\u00a0": "_", "\u2007": "_", "\u2009": "_", "\u202f": "_",
    ":": ":", "/": ":", "_": ":", "\\": ":", "#": ":", "*": ":",
    "\u066b": ".", "\u066c": ",",
    "@": "S", "%": "S", "\u066a": "S", "‰": "S", "&": "S", "§": "S", "\u0640": "M", "·": "P", '"': "(",
}  # fmt: skip
_CHUNK: Final = re.compile(rf"–?(?:N[,_]|[^ !(,_–]){{1,{MAX_CHUNK}}}")
_TOKEN: Final = re.compile(
    r"(?P<number>(?:(?<![NLM])[-–])?(?:(?<!N)N{1,3}(?:_N{3}(?!N))+(?:[.,]N+)?|N+(?:[.,]N+)*|(?<![NLM.])\.N+))"
    r"|(?P<word>L[LM]*(?:'L[LM]*)*)"
    r"|(?P<symbol>S[SM]*)"
    r"|(?P<glue>[':_-]M*|M+)"
    r"|(?P<stop>[^NLSM])"
)
_GLUED: Final = re.compile(r"[NLM][.:S@][NLM]")


class _Kinds(dict[str, str]):
    """Character -> L letter, M mark or invisible, N digit, S symbol, space, _ space that may be within a
    number, – dash that may be a minus, ( quote or bracket that may open, ! hard punctuation, or itself.
    """

    def __missing__(self, character: str) -> str:
        category = unicodedata.category(character)
        plain = unicodedata.normalize("NFKC", character) if category[0] == "P" else character
        if plain in _SOFT:
            kind = _SOFT[plain]
        elif category[0] == "Z" or category == "Cc":
            kind = " "
        elif category == "Nd":
            kind = "N"
        elif category[0] == "L":
            kind = "L"
        elif category[0] == "M" or category == "Cf":
            kind = "M"
        elif category in ("Ps", "Pi"):
            kind = "("
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
    sentence. opened: no pause but a quote or bracket that opens. chunk: where what it was cut from begins."""

    text: str
    start: int
    end: int
    kind: Kind
    first: bool = False
    glued: bool = False
    opened: bool = False
    chunk: int = 0


@dataclass(slots=True)
class TokenState:
    """The chunk that is still open, where it begins, and whether a pause was heard since the last token, or
    only a quote or bracket that opens.

    apart: whether what came right before is no part of a word or number: a dash here may be a minus.
    """

    open: str = ""
    start: int = 0
    paused: bool = True
    opened: bool = False
    apart: bool = True


def push(text: str, state: TokenState, final: bool) -> Iterator[Token]:
    """Tokens that became certain. `state` is complete only when the iterator is exhausted."""
    text = state.open + text
    kinds = "".join(map(_KIND.__getitem__, text))
    at, length = 0, len(text)
    while at < length:
        dash = kinds[at] == "–"
        if dash and at + 1 == length and not final:
            break
        minus = dash and state.apart and kinds[at + 1 : at + 2] == "N"
        chunk = _CHUNK.match(kinds, at) if minus or not dash else None
        state.apart = chunk is None
        if chunk is None:
            state.opened |= kinds[at] == "("
            state.paused |= kinds[at] not in " _("
            at += 1
            continue
        if chunk.end() == length and not final:
            state.apart = True
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
            opened = state.opened and not state.paused
            first, start, stop = state.paused or opened, offset + match.start(), offset + match.end()
            yield Token(here, start, stop, kind, first, glued, opened, offset)
            state.paused = state.opened = False
        elif match.lastgroup == "stop":
            state.paused = True
