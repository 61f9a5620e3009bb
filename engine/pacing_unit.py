"""One word on its way to being signed: its glosses, its time, and what became of it.

Enters: numbered glosses and the text they come from. Leaves: `Unit`s and `Fate`s. Does not know queues or
policies.

A unit is what is signed or left out as a whole: a sign, a spelled word, or all the words of one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from engine.pacing_words import Worth, worth_of
from engine.signals import Gloss

Numbered = tuple[int, Gloss]
Kind = Literal["signed", "omitted", "abbreviated", "skipped", "interrupted"]
_NO_WORTH = Worth(0.0)
_ENDS_SENTENCE = frozenset(".!?…。！？")


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of the signs first..last of a caption, characters start..end: `text`, and why.

    Every sign that was promised is in exactly one fate. signed: it was shown. omitted: left out to keep up.
    abbreviated: the letters left out of a word that is signed otherwise. skipped: it could not be performed.
    interrupted: it was dropped. at_ns: the frame at which this was certain.
    """

    kind: Kind
    first: int
    last: int
    text: str
    caption_seq: int
    start: int
    end: int
    reason: str = ""
    at_ns: int = 0


@dataclass(slots=True, eq=False)
class Unit:
    """glosses: those still to be performed. time_ns: the caption's time of it. delay_ns: see `Caption`.

    arrived_ns: the frame at which it was first known here. handed: how many of its glosses are ready, all
    when `ready`; passing: they are signed as they come. seconds: how long each takes. repeated: part of a
    phrase said a moment ago. pair: the negation this word belongs to, if any. lost: it was left out.
    """

    glosses: list[Numbered]
    text: str
    caption_seq: int
    start: int
    end: int
    time_ns: int
    delay_ns: int | None
    spelled: bool
    begins_sentence: bool = False
    worth: Worth = _NO_WORTH
    first: int = 0
    last: int = 0
    arrived_ns: int | None = None
    handed: int = 0
    passing: bool = False
    seconds: list[tuple[float, float]] = field(default_factory=list)
    repeated: bool = False
    pair: Unit | None = None
    lost: bool = False

    @property
    def live(self) -> bool:
        return self.delay_ns is not None

    @property
    def ready(self) -> bool:
        return self.handed >= len(self.glosses)

    @property
    def key(self) -> str:
        return self.text.casefold()

    @property
    def protected(self) -> bool:
        return self.worth.negation or self.worth.number or self.pair is not None

    @property
    def due_ns(self) -> int:
        """Not to be signed before this."""
        return self.time_ns + self.delay_ns if self.delay_ns else 0

    def fate(self, kind: Kind, at_ns: int, reason: str = "") -> Fate:
        return Fate(
            kind, self.first, self.last, self.text, self.caption_seq, self.start, self.end, reason, at_ns
        )


def units_of(
    glosses: Sequence[Numbered], text: str, said_from: int, *, delay_ns: int | None, spoken: str
) -> list[Unit]:
    """Group the numbered glosses of one piece. text: the caption's, from character `said_from` on.

    Words of live captions (with a `delay_ns`) are weighed; `spoken` is their language.
    """
    groups: list[list[Numbered]] = []
    ended = True
    for index, gloss in glosses:
        before = groups[-1][-1][1] if groups else None
        same_place = before is not None and gloss.start < before.end and before.start < gloss.end
        if ended and not same_place:
            groups.append([])
        groups[-1].append((index, gloss))
        ended = gloss.word_end
    return [_unit(group, text, said_from, delay_ns, spoken) for group in groups]


def _unit(group: list[Numbered], text: str, said_from: int, delay_ns: int | None, spoken: str) -> Unit:
    first, last = group[0], group[-1]
    start, end = min(g.start for _, g in group), max(g.end for _, g in group)
    word = text[max(0, start - said_from) : max(0, end - said_from)]
    before = text[: max(0, start - said_from)].rstrip()
    return Unit(
        glosses=list(group),
        text=word or "".join(g.label for _, g in group),
        caption_seq=first[1].caption_seq,
        start=start,
        end=end,
        time_ns=first[1].pts_ns,
        delay_ns=delay_ns,
        spelled=all(g.spelled for _, g in group),
        begins_sentence=not before or before[-1] in _ENDS_SENTENCE,
        worth=worth_of(word, spoken) if delay_ns is not None else _NO_WORTH,
        first=first[0],
        last=last[0],
    )
