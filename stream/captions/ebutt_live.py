"""EBU-TT Live documents become cues, and later documents of a sequence revise earlier ones.

Enters: documents of any number of sequences. Leaves: cues. Does not know sockets.

After EBU Tech 3370: a document names its sequence and its number in it; at any time the active document is
the one with the highest number whose active time covers it; a document without times is active from its
arrival; one without content clears the screen. So captions that begin within the time of a document with a
higher number are never shown: that document's captions are revisions of them, in order. A document that
begins later than another ends it, and brings new text (roll-up is recognised later, by the reviser). Numbers
already seen are resent documents and change nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from stream.captions.limits import DEFAULT_LIMITS, Limits
from stream.captions.timed_text import CaptionError, Cue
from stream.captions.ttml import cues_of
from stream.captions.xml_guard import read_xml

EBU_PARAMETER = "{urn:ebu:tt:parameters}"
SEQUENCES = 16
RECENT_CUES = 32
RECENT_NUMBERS = 256


@dataclass(frozen=True, slots=True)
class _Shown:
    """A caption that later documents may replace."""

    key: str
    start_ns: int
    number: int


class EbuttLive:
    """Takes the documents of a feed; keeps what is needed to relate them. `ignored` counts resent ones."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS, language: str = "") -> None:
        self.ignored = 0
        self._limits = limits
        self._language = language
        self._sequences: OrderedDict[str, Sequence] = OrderedDict()

    def take(self, document: bytes, arrived_ns: int) -> list[Cue]:
        """The cues that this document adds or revises. Raises CaptionError when it is not EBU-TT Live."""
        root = read_xml(document, self._limits)
        name, number = (
            root.get(f"{EBU_PARAMETER}sequenceIdentifier"),
            root.get(f"{EBU_PARAMETER}sequenceNumber"),
        )
        if not name or number is None or not number.strip().isdecimal() or len(number) > 18:
            raise CaptionError(
                f"not an EBU-TT Live document: got sequenceIdentifier {str(name)[:60]!r} and sequenceNumber "
                f"{str(number)[:30]!r}, expected a name and a whole number; use file: for plain TTML"
            )
        sequence = self._sequences.setdefault(name, Sequence(name))
        self._sequences.move_to_end(name)
        if len(self._sequences) > SEQUENCES:
            self._sequences.popitem(last=False)
        if not sequence.is_new(int(number)):
            self.ignored += 1
            return []
        timed = any(
            element.get(side) is not None for element in root.iter() for side in ("begin", "end", "dur")
        )
        cues = cues_of(root, self._language)
        return sequence.take(int(number), cues, arrived_ns if not timed else None)


class Sequence:
    """One sequence of documents."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._numbers: OrderedDict[int, None] = OrderedDict()
        self._highest = -1
        self._shown: list[_Shown] = []

    def is_new(self, number: int) -> bool:
        """False for a number seen before, or one so old that it may have been."""
        if number in self._numbers or number < self._highest - RECENT_NUMBERS:
            return False
        self._numbers[number] = None
        if len(self._numbers) > RECENT_NUMBERS:
            self._numbers.popitem(last=False)
        return True

    def take(self, number: int, cues: list[Cue], arrived_ns: int | None) -> list[Cue]:
        """Relate the cues of document `number` to those of earlier documents."""
        if arrived_ns is not None:
            cues = [replace(cue, start_ns=arrived_ns, end_ns=None) for cue in cues]
        self._highest = max(self._highest, number)
        covering = [shown.start_ns for shown in self._shown if shown.number > number]
        if covering:  # overtaken on its way: only what the later documents leave uncovered is still shown
            cues = [cue for cue in cues if (cue.start_ns or 0) < min(covering)]
        if not cues:
            return []
        begin_ns = min(cue.start_ns or 0 for cue in cues)
        ends = [cue.end_ns for cue in cues]
        end_ns = max(end for end in ends if end is not None) if None not in ends else None
        replaced = [
            shown
            for shown in self._shown
            if shown.number < number
            and begin_ns <= shown.start_ns
            and (end_ns is None or shown.start_ns < end_ns)
        ]
        kept = [shown for shown in self._shown if shown not in replaced]
        found: list[Cue] = []
        for i, cue in enumerate(cues):
            key = replaced[i].key if i < len(replaced) else f"{self.name}#{number}/{i}"
            found.append(replace(cue, key=key))
            kept.append(_Shown(key, cue.start_ns or 0, number))
        found += [Cue("", shown.key, shown.start_ns) for shown in replaced[len(cues) :]]
        self._shown = kept[-RECENT_CUES:]
        return found
