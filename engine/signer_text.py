"""The text half of a signer: captions, whole or in pieces, to numbered glosses with times.

Enters: `Caption`s. Leaves: `Said`, and `Unit`s for whoever keeps account of words. Does not know motion, nor
when anything is signed.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from engine.lexicon.languages import language_info
from engine.pacing_unit import Unit, units_of
from engine.signals import Caption, Gloss

_TEXT_KEPT = 2000
"""Characters of an open caption that are remembered before its latest piece, for words that are told."""


class Understood(Protocol):
    """What a glosser makes of a piece of text."""

    @property
    def glosses(self) -> Sequence[Gloss]: ...

    @property
    def unspellable(self) -> Sequence[Any]: ...

    @property
    def omitted(self) -> Sequence[Any]: ...


class GlosserLike(Protocol):
    """What is needed of `engine.glossing`. `open` raises ValueError for a language it does not know."""

    def open(self, language: str) -> Any: ...

    def push(self, text: str, state: Any, final: bool) -> Understood: ...


class TextTooLong(ValueError):
    """One text that becomes more signs than are ever taken at once; waiting does not help."""


@dataclass(frozen=True, slots=True)
class Said:
    """What became of a caption. glosses: with the running index that `MotionFrame.gloss` will carry.
    unspellable: what has neither sign nor letters; omitted: what the glosser left out on purpose.
    interrupted: the text was dropped before it was understood."""

    glosses: tuple[tuple[int, Gloss], ...] = ()
    unspellable: tuple[Any, ...] = ()
    omitted: tuple[Any, ...] = ()
    interrupted: bool = False

    def __add__(self, other: Said) -> Said:
        return Said(
            self.glosses + other.glosses,
            self.unspellable + other.unspellable,
            self.omitted + other.omitted,
            self.interrupted or other.interrupted,
        )


@dataclass(slots=True)
class OpenCaption:
    """A caption whose text may go on. text: its end, from character `begins` on. pieces: (first character,
    characters, caption) of the latest of them, for the time of each word."""

    seq: int
    language: str
    state: Any
    text: str = ""
    begins: int = 0
    pieces: deque[tuple[int, int, Caption]] = field(default_factory=lambda: deque(maxlen=64))

    @property
    def length(self) -> int:
        return self.begins + len(self.text)

    def add(self, caption: Caption) -> None:
        self.pieces.append((self.length, len(caption.text), caption))
        cut = max(0, len(self.text) - _TEXT_KEPT)
        self.text, self.begins = self.text[cut:] + caption.text, self.begins + cut

    def said_ns(self, at: int) -> int:
        """When the word that begins with that character was said."""
        for first, length, caption in reversed(self.pieces):
            if first <= at or first == self.pieces[0][0]:
                end_ns = caption.pts_ns if caption.end_ns is None else max(caption.end_ns, caption.pts_ns)
                share = min(max((at - first) / max(length, 1), 0.0), 1.0)
                return caption.pts_ns + round(share * (end_ns - caption.pts_ns))
        return 0

    @property
    def delay_ns(self) -> int | None:
        return self.pieces[-1][2].delay_ns if self.pieces else None


class TextHalf:
    """One signer's captions. promise: told of every word before anybody signs it.

    next_index: of the next gloss; forgotten: glosses below it are given up unless they were performed.
    """

    def __init__(
        self,
        glosser: GlosserLike,
        promise: Callable[[Sequence[Unit]], None],
        *,
        max_glosses: int,
        remembered: int,
    ) -> None:
        self._glosser, self._promise = glosser, promise
        self._max_glosses, self._remembered = max_glosses, remembered
        self._caption: OpenCaption | None = None
        self._glosses: OrderedDict[int, Gloss] = OrderedDict()
        self.next_index = 0
        self.forgotten = 0

    def gloss(self, index: int) -> Gloss | None:
        return self._glosses.get(index)

    def understand(self, caption: Caption, language: str) -> Said:
        """See `Signer.say`. When it raises, the caption before this one is as it was."""
        here = self._caption
        goes_on = here is not None and (here.seq, here.language) == (caption.seq, language)
        if here is None or not goes_on:
            here = OpenCaption(caption.seq, language, self._glosser.open(language))
        here.add(caption)
        try:
            understood = self._push(here, caption.text, caption.final)
        except TextTooLong:
            self._caption = None if goes_on else self._caption
            raise
        said = Said() if goes_on else self.finish()
        said = said + self._numbered(here, understood)
        self._caption = None if caption.final else here
        return said

    def finish(self) -> Said:
        """The end of a caption in pieces: its last word."""
        here, self._caption = self._caption, None
        return self._numbered(here, self._push(here, "", True)) if here is not None else Said()

    def forget(self) -> None:
        """What was understood is given up, and a half-heard caption with it."""
        self._caption = None
        self.forgotten = self.next_index

    def _push(self, here: OpenCaption, text: str, final: bool) -> Understood:
        understood = self._glosser.push(text, here.state, final)
        if len(understood.glosses) > self._max_glosses:
            raise TextTooLong(
                f"say: {len(text)} characters become {len(understood.glosses)} signs, at most "
                f"{self._max_glosses} are signed at once"
            )
        return understood

    def _numbered(self, here: OpenCaption, understood: Understood) -> Said:
        numbered = []
        said_ns, ended = 0, True
        for index, gloss in enumerate(understood.glosses, self.next_index):
            said_ns = here.said_ns(gloss.start) if ended else said_ns
            ended = gloss.word_end
            gloss = replace(gloss, caption_seq=here.seq, pts_ns=said_ns)
            numbered.append((index, gloss))
            self._glosses[index] = gloss
        if numbered:
            spoken = language_info(here.language).spoken
            self._promise(units_of(numbered, here.text, here.begins, delay_ns=here.delay_ns, spoken=spoken))
        self.next_index += len(numbered)
        while len(self._glosses) > self._remembered:
            self._glosses.popitem(last=False)
        return Said(tuple(numbered), tuple(understood.unspellable), tuple(understood.omitted))
