"""What was said: the caption of the moment and the glosses that belong to it, for viewers to follow.

Enters: pieces of text, and what the signer made of them. Leaves: `caption` events and the gloss behind an
index. Does not know viewers or time. Bounded: old glosses are forgotten.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict

from engine.glossing import Omitted
from engine.pacing_unit import Fate
from engine.signals import Gloss
from stream import events
from stream.performer import SaidLike

REMEMBERED_GLOSSES = 4096
LONG_CHARS = 600
"""A caption that comes in pieces ends at the first pause between words after so many characters: every piece
tells its whole caption again, and nobody reads longer ones.
"""


class CaptionLog:
    """See the module. `last` is the newest caption event, for later viewers; `open`: it may go on."""

    def __init__(self, max_chars: int, signer: str = "") -> None:
        self.last: events.Message | None = None
        self._life = f"{signer}-{secrets.token_hex(3)}"
        self._max_chars = max_chars
        self.seq = 0
        self.open = False
        self._text = ""
        self._glosses: list[tuple[int, Gloss]] = []
        self._unspellable: list[object] = []
        self._omitted: list[object] = []
        self._known: OrderedDict[int, Gloss] = OrderedDict()

    def add(self, text: str, final: bool) -> int:
        """Take a piece of text; returns its caption's seq, a new one unless the last was left open."""
        if not self.open or self._full(text):
            self.seq += 1
            self._text = ""
            self._glosses, self._unspellable, self._omitted = [], [], []
        self.open = not final
        self._text += text
        return self.seq

    def id_of(self, seq: int) -> str:
        """Names a caption in answers, events and logs; no other of any signer or any run has the same."""
        return f"{self._life}-{seq}"

    def refused(self, seq: int, text: str) -> None:
        """The piece just added will not be signed after all, and may be sent again."""
        if seq == self.seq and text and self._text.endswith(text):
            self._text = self._text.removesuffix(text)
            self.open = bool(self._text)

    def end(self) -> None:
        """The caption is over, whatever was promised: the next text begins another."""
        self.open = False

    def understood(self, seq: int, said: SaidLike) -> events.Message | None:
        """Note what became of a piece; returns the caption's event, None when another caption has begun."""
        self._known.update(said.glosses)
        while len(self._known) > REMEMBERED_GLOSSES:
            self._known.popitem(last=False)
        if seq != self.seq:
            return None
        self._glosses += said.glosses
        self._unspellable += said.unspellable
        self._omitted += said.omitted
        told = events.caption(seq, self._text, self._glosses, self._unspellable, self._omitted)
        self.last = told | {"id": self.id_of(seq)}
        return self.last

    def left_out(self, fate: Fate) -> None:
        """Signs that were promised will not be performed; viewers who come later learn it from `last`."""
        if fate.caption_seq != self.seq:
            return
        self._glosses = [entry for entry in self._glosses if not fate.first <= entry[0] <= fate.last]
        if fate.kind != "abbreviated":
            self._omitted.append(Omitted(fate.text, fate.start, fate.end, fate.reason))
        if self.last is not None:
            told = events.caption(self.seq, self._text, self._glosses, self._unspellable, self._omitted)
            self.last = told | {"id": self.id_of(self.seq)}

    def gloss(self, index: int) -> Gloss | None:
        """The gloss behind `MotionFrame.gloss`; None for those long gone."""
        return self._known.get(index)

    def _full(self, text: str) -> bool:
        between_words = text.strip() and (self._text[-1:].isspace() or text[:1].isspace())
        return len(self._text) + len(text) > (LONG_CHARS if between_words else self._max_chars)
