"""Captions as feeds bring them (repeated, rolled up, revised, guessed) become words to sign, each once.

Enters: `TimedText`, and the time. Leaves: `Commit`s, pieces of text never taken back; and `Change`s, whatever
the feed finally says that differs from what was signed. Does not know formats, glosses or signing. No I/O.

- A word of a partial result is committed when `agreement` different hypotheses in a row begin with it
  (local agreement), when the result becomes final, when a newer cue begins, or when nothing more is heard
  for `patience_ns`. The last word of a partial result may still grow, and waits, unless white space follows.
- A later version of a cue changes only words not committed yet. What it says differently of committed ones is
  a `Change`. `hold_ns` keeps words back that long after their cue's arrival, so that revisions find them.
- Words a new caption carries over from the one before (roll-up) are not committed again, nor are words that
  a recogniser moved from the end of one cue to the start of the next.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict, deque
from dataclasses import dataclass

from stream.captions.alignment import Difference, align
from stream.captions.changes import Change, Changes
from stream.captions.cue_state import CueState, continues
from stream.captions.rollup import carried_over, display_of
from stream.captions.timed_text import NS_PER_S, TimedText
from stream.captions.words import Word, words_of


@dataclass(frozen=True, slots=True)
class ReviserConfig:
    """agreement: hypotheses that must agree. hold_ns, patience_ns: see the module. The rest bounds memory."""

    agreement: int = 2
    hold_ns: int = 0
    patience_ns: int = 2 * NS_PER_S
    remembered_cues: int = 256
    remembered_words: int = 20_000
    open_cues: int = 128

    def __post_init__(self) -> None:
        for name in ("agreement", "remembered_cues", "remembered_words", "open_cues", "patience_ns"):
            if getattr(self, name) < 1:
                raise ValueError(f"ReviserConfig.{name}: got {getattr(self, name)}, expected at least 1")
        if self.hold_ns < 0:
            raise ValueError(f"ReviserConfig.hold_ns: got {self.hold_ns}, expected 0 or more")


@dataclass(frozen=True, slots=True)
class Commit:
    """Words to sign now, of cue `seq`. The texts of a cue follow each other until `final` (may come alone).

    Fits `Signer.say(Caption(text=..., final=...))`: a piece that is not final ends in a space. heard_ns,
    heard_until_ns: when its first and its last word first came. whole: all of what its cue had to say.
    """

    text: str
    seq: int
    final: bool
    language: str = ""
    start_ns: int | None = None
    end_ns: int | None = None
    pts_ns: int = 0
    heard_ns: int = 0
    heard_until_ns: int = 0
    whole: bool = False


class Reviser:
    """See the module. One for each feed (or each speaker, where two are recognised at once)."""

    def __init__(self, config: ReviserConfig | None = None) -> None:
        self.config = config or ReviserConfig()
        self._changes = Changes()
        self._cues: OrderedDict[int, CueState] = OrderedDict()
        self._open: list[CueState] = []
        self._newest: CueState | None = None
        self._begun = 0
        self._committed = 0
        self._forgotten_seq = 0
        self._orphans: list[Word] = []
        self._orphans_of = 0
        self._orphans_at = 0

    def feed(self, item: TimedText) -> list[Commit]:
        """Take a piece of the feed; return what is now to be signed, in order."""
        words = words_of(item.text, item.language)
        cue = self._cues.get(item.cue)
        if cue is None and item.cue <= self._forgotten_seq:
            self._changes.add(item.cue, [Difference(0, "", item.text)], "forgotten")
        elif cue is None:
            if words:
                self._begin(item, words)
        elif (item.text, item.final) != (cue.item.text, cue.item.final):
            self._revise(cue, item, words)
        return self.due(item.pts_ns)

    def due(self, now_ns: int) -> list[Commit]:
        """What became certain by the passing of time (also part of `feed`)."""
        commits: list[Commit] = []
        while self._open:
            cue = self._open[0]
            crowded = len(self._open) > self.config.open_cues
            if now_ns < cue.arrived_ns + self.config.hold_ns and not crowded:
                break
            patient = now_ns < cue.changed_ns + self.config.patience_ns
            count = cue.agreed(self.config.agreement) if patient or cue.closed else len(cue.tail)
            done = cue.closed and count == len(cue.tail)
            commits += self._commit(cue, count, done, now_ns)
            if not done:
                break
            self._open.pop(0)
        return commits

    def next_due_ns(self) -> int | None:
        """When `due` should be asked again if nothing comes; None if there is nothing to wait for."""
        waiting = next((cue for cue in self._open if cue.tail or cue.closed), None)
        if waiting is None:
            return None
        held_ns = waiting.arrived_ns + self.config.hold_ns
        return held_ns if waiting.closed else max(held_ns, waiting.changed_ns + self.config.patience_ns)

    def finish(self) -> list[Commit]:
        """The feed has ended: everything still waiting is to be signed."""
        commits: list[Commit] = []
        for cue in self._open:
            cue.closed = True
            commits += self._commit(cue, len(cue.tail), True, cue.item.pts_ns)
        self._open.clear()
        self._report_orphans()
        return commits

    def take_changes(self) -> list[Change]:
        """What differs from what was signed, since the last call: the omission log's entries."""
        return self._changes.take()

    def _begin(self, item: TimedText, words: list[Word]) -> None:
        before = self._newest
        display = display_of(item)
        carried: list[Word] = []
        if before is not None:
            before.closed = True
            carried = carried_over(before.item, before.display, item, display)
        if not carried and self._orphans and continues(self._orphans, words, item.final):
            carried, self._orphans = self._orphans, []
        self._report_orphans()
        past: deque[list[Word]] = deque(maxlen=self.config.agreement)
        self._begun += 1
        cue = CueState(item, self._begun, past, item.pts_ns, item.pts_ns, base=list(carried))
        self._newest = self._cues[cue.seq] = cue
        insort(self._open, cue, key=_order)
        self._revise(cue, item, words)
        self._forget()

    def _revise(self, cue: CueState, item: TimedText, words: list[Word]) -> None:
        if cue.closed and not item.final:
            return  # a guess about what is over: only its final version can still matter
        begin, differences = align(cue.base, words)
        cue.item, cue.changed_ns, cue.tail = item, item.pts_ns, words[begin:]
        cue.display = display_of(item)
        cue.hear(len(words), item.pts_ns)
        cue.past.append(words)
        if not item.final:
            return
        cue.closed = True
        cue.past.clear()
        self._report(cue, differences)
        if cue.tail and self._committed > cue.order:
            missed = Difference(len(cue.base), "", " ".join(word.surface for word in cue.tail))
            self._changes.add(cue.seq, [missed], "late")
            cue.base, cue.tail = cue.base + cue.tail, []
        elif cue.tail and cue not in self._open:
            insort(self._open, cue, key=_order)

    def _commit(self, cue: CueState, count: int, done: bool, now_ns: int) -> list[Commit]:
        words, cue.tail = cue.tail[:count], cue.tail[count:]
        heard_ns = cue.heard_ns(len(cue.base))
        cue.base += words
        if words:
            self._committed = cue.order
        if not words and not (done and cue.begun):
            return []
        whole = done and not cue.begun
        cue.begun = not done
        text = " ".join(word.surface for word in words) + (" " if words and not done else "")
        item = cue.item
        return [
            Commit(
                text,
                cue.seq,
                done,
                item.language,
                item.start_ns,
                item.end_ns,
                now_ns,
                heard_ns,
                cue.heard_ns(len(cue.base) - 1),
                whole,
            )
        ]

    def _report(self, cue: CueState, differences: list[Difference]) -> None:
        """Log what the final version changed; but words cut off its end may yet begin the next cue."""
        if self._orphans_of == cue.seq:
            self._orphans = []
        end = len(cue.base)
        if cue is self._newest:
            while differences and differences[-1].at == end - 1 and not differences[-1].now:
                end -= 1
                differences = differences[:-1]
        if end < len(cue.base):
            self._orphans, self._orphans_of, self._orphans_at = cue.base[end:], cue.seq, end
        self._changes.add(cue.seq, differences, "changed")

    def _report_orphans(self) -> None:
        lost = [Difference(self._orphans_at + i, word.surface, "") for i, word in enumerate(self._orphans)]
        self._changes.add(self._orphans_of, lost, "withdrawn")
        self._orphans = []

    def _forget(self) -> None:
        total = sum(len(cue.base) for cue in self._cues.values())
        while len(self._cues) > self.config.remembered_cues or total > self.config.remembered_words:
            settled = (c for c in self._cues.values() if c is not self._newest and c not in self._open)
            oldest = next(settled, None)
            if oldest is None:
                return
            total -= len(oldest.base)
            self._forgotten_seq = max(self._forgotten_seq, oldest.seq)
            del self._cues[oldest.seq]


def _order(cue: CueState) -> int:
    return cue.order
