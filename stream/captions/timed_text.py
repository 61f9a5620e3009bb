"""What every caption input delivers: text with its time, and which earlier text it replaces.

Enters: cues as parsers find them. Leaves: `TimedText`, numbered. Does not know formats, networks or signing.

Times are nanoseconds. `start_ns` and `end_ns` lie on the feed's own media axis (a file's or a programme's
time, or the time of day); `pts_ns` is the moment of arrival on the machine's monotonic clock.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Protocol

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
_ASS_OVERRIDE = re.compile(r"\{\\[^{}]{0,200}\}")


class CaptionError(ValueError):
    """A caption input that cannot be used; the message says what came, what was expected, and what to do."""


@dataclass(frozen=True, slots=True)
class Cue:
    """What a parser finds. key: what names this cue in its feed; a later cue of the same key replaces it.

    An empty key means that nothing can ever replace it. final: False while more of it, or another version
    of it, is still expected (a recogniser's partial result, a line being typed).
    """

    text: str
    key: str = ""
    start_ns: int | None = None
    end_ns: int | None = None
    language: str = ""
    final: bool = True


@dataclass(frozen=True, slots=True)
class TimedText:
    """A piece of a feed. Lines are separated by `\\n`, and free of markup.

    seq: running number of this piece. revises: `seq` of the first piece of the same cue, if there was one.
    language: the spoken language as the feed labels it (BCP 47), or "".
    """

    text: str
    seq: int = 0
    revises: int | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    pts_ns: int = 0
    language: str = ""
    final: bool = True

    @property
    def cue(self) -> int:
        """The number of the cue this piece is a version of."""
        return self.seq if self.revises is None else self.revises


class CaptionSource(Protocol):
    """The one interface of every input: iterate it once, close it when done (also in the middle)."""

    def __aiter__(self) -> AsyncIterator[TimedText]: ...

    async def aclose(self) -> None: ...


class Numbering:
    """Numbers cues, and finds which earlier one each replaces. Remembers the latest `remembered` keys.

    A cue that says what it said before (a retry, an overlapping segment, a file written anew) gets no number.
    """

    def __init__(self, remembered: int = 8192) -> None:
        if remembered < 1:
            raise ValueError(f"Numbering.remembered: got {remembered}, expected at least 1")
        self._remembered = remembered
        self._seq = 0
        self._known: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def number(self, cue: Cue, pts_ns: int) -> TimedText | None:
        """The cue as a numbered piece that arrived at `pts_ns`; None for a mere repetition."""
        revises = None
        if cue.key:
            version = hash((cue.text, cue.final))
            first, before = self._known.get(cue.key, (0, 0))
            if first and before == version:
                return None
            revises = first or None
            self._known[cue.key] = (first or self._seq + 1, version)
            self._known.move_to_end(cue.key)
            if len(self._known) > self._remembered:
                self._known.popitem(last=False)
        self._seq += 1
        return TimedText(
            text=cue.text,
            seq=self._seq,
            revises=revises,
            start_ns=cue.start_ns,
            end_ns=cue.end_ns,
            pts_ns=pts_ns,
            language=cue.language,
            final=cue.final,
        )


def plain_lines(text: str, markup: bool = True) -> str:
    """Text as it is to be read: no tags, entities or control characters, single spaces, no empty lines.

    A trailing space is kept when the text ends in white space: it says that the last word is complete.
    """
    if markup:
        text = html.unescape(_ASS_OVERRIDE.sub("", _TAG.sub("", text)))
    text = text.encode("utf-8", "replace").decode("utf-8")  # half characters
    text = "".join(c if c == "\n" or not _is_control(c) else " " for c in text.replace("\r\n", "\n"))
    lines = [" ".join(line.split()) for line in text.split("\n")]
    joined = "\n".join(line for line in lines if line)
    return f"{joined} " if joined and text[-1:].isspace() else joined


def pieces(cue: Cue, max_chars: int) -> list[Cue]:
    """The cue, in several where longer than `max_chars`; all but the last are final. Nothing is lost."""
    found: list[Cue] = []
    text = cue.text
    while len(text) > max_chars:
        space = max(text.rfind(" ", 1, max_chars), text.rfind("\n", 1, max_chars))
        cut = space + 1 if space > 0 else max_chars
        found.append(replace(cue, text=text[:cut], key=cue.key and f"{cue.key}/{len(found)}", final=True))
        text = text[cut:]
    key = f"{cue.key}/{len(found)}" if found and cue.key else cue.key
    return [*found, replace(cue, text=text, key=key)]


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") and character not in "\u200c\u200d"
