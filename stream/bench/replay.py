"""A caption feed replayed on a manual clock: the parts of a server from captions to motion, without network.

Enters: the pieces of a feed, a signer, a programme delay. Leaves: a `Replayed`: when each sign began and how
late, and what became of every word. Does not know plots.

Each frame: what has arrived by then is revised and committed, timed and said; then the signer makes its
frame. Time is the frames' own: an hour takes as long as its frames take to make.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.clock import NS_PER_S, Clock, ManualClock, frame_pts_ns
from engine.pacing_unit import Fate
from engine.signals import IDLE, Caption
from engine.signer import Said, Signer
from stream.caption_log import CaptionLog
from stream.captions import Change, Commit, Reviser, ReviserConfig, TimedText, Timeline
from stream.captions.words import words_of

_ENDS_S = 30.0
_CHARACTERS = 4000


@dataclass(slots=True)
class Word:
    """A committed word: characters start..end of a caption. remarks: how often it was told as not signed, or
    seen as signed; begun_ns: when its last sign began."""

    key: str
    seq: int
    start: int
    end: int
    committed_ns: int
    fates: list[str] = field(default_factory=list)
    begun_ns: int | None = None


@dataclass(slots=True)
class Replayed:
    """begins: (frame's time, lag, seconds) of each sign. fates: by (kind, reason). tempo: each second."""

    begins: list[tuple[float, float]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    fates: Counter[tuple[str, str]] = field(default_factory=Counter)
    changes: list[Change] = field(default_factory=list)
    tempo: list[float] = field(default_factory=list)
    step_ms: list[float] = field(default_factory=list)
    twice: int = 0

    @property
    def unaccounted(self) -> list[Word]:
        """Words of which nothing was told: to be none."""
        return [word for word in self.words if not word.fates]


class Replay:
    """See the module. progress: told the time replayed so far, in seconds, once a minute."""

    def __init__(
        self,
        signer: Signer,
        *,
        delay_s: float = 0.0,
        language: str = "gsg",
        agreement: int = 2,
        held_share: float = 0.5,
        progress: Callable[[float], None] = lambda _: None,
        clock: Clock | None = None,
    ) -> None:
        self._signer, self._language, self._progress = signer, language, progress
        self._delay_ns = round(delay_s * NS_PER_S)
        hold_ns = round(held_share * self._delay_ns)
        self._reviser = Reviser(ReviserConfig(agreement=agreement, hold_ns=hold_ns))
        self._timeline = Timeline(aligned=bool(self._delay_ns))
        self._log = CaptionLog(_CHARACTERS)
        self._clock = clock or ManualClock()
        self._out = Replayed()
        self._length: Counter[int] = Counter()
        self._at: dict[int, list[Word]] = {}
        self._signed: set[int] = set()

    def run(self, feed: Sequence[TimedText]) -> Replayed:
        """All of the feed, and until the last word is signed."""
        pieces = list(feed)
        end_ns = (pieces[-1].pts_ns if pieces else 0) + round(_ENDS_S * NS_PER_S) + self._delay_ns
        origin_ns, frame, at, shown, finished = self._clock.now_ns(), 0, 0, IDLE, False
        while True:
            pts_ns = frame_pts_ns(0, frame, self._signer.fps)
            self._clock.sleep_until(origin_ns + pts_ns)
            while at < len(pieces) and pieces[at].pts_ns <= pts_ns:
                self._due(pieces[at].pts_ns)
                self._say(self._reviser.feed(pieces[at]))
                at += 1
            self._due(pts_ns)
            if at == len(pieces) and not finished:
                finished = True
                self._say(self._reviser.finish())
                self._note(self._signer.flush(), self._log.seq)
            began_s = time.thread_time()
            motion = self._signer.step(pts_ns)
            self._out.step_ms.append(1000 * (time.thread_time() - began_s))
            if motion.gloss not in (shown, IDLE):
                shown = motion.gloss
                gloss = self._signer.gloss(shown)
                if gloss is not None:
                    self._out.begins.append((pts_ns / NS_PER_S, (pts_ns - gloss.pts_ns) / NS_PER_S))
            self._settle(self._signer.take_fates())
            if frame % 25 == 0:
                self._out.tempo.append(self._signer.tempo)
            if frame % 1500 == 0:
                self._progress(pts_ns / NS_PER_S)
            frame += 1
            if finished and (self._signer.resting or pts_ns > end_ns):
                break
        self._out.changes = self._reviser.take_changes()
        return self._out

    def _due(self, now_ns: int) -> None:
        while (due_ns := self._reviser.next_due_ns()) is not None and due_ns <= now_ns:
            before = self._reviser.next_due_ns()
            self._say(self._reviser.due(due_ns))
            if self._reviser.next_due_ns() == before:
                return

    def _say(self, commits: Sequence[Commit]) -> None:
        for commit in commits:
            seq = self._log.add(commit.text, commit.final)
            pts_ns, end_ns = self._timeline.said(commit)
            at = self._length[seq]
            for word in commit.text.split():
                start = commit.text.index(word, at - self._length[seq]) + self._length[seq]
                at = start + len(word)
                found = words_of(word, commit.language)
                if found:
                    entry = Word(found[0].key, seq, start, at, commit.pts_ns)
                    self._out.words.append(entry)
                    self._at.setdefault(seq, []).append(entry)
            self._length[seq] += len(commit.text)
            said = self._signer.say(
                Caption(
                    commit.text,
                    self._language,
                    seq=seq,
                    pts_ns=pts_ns,
                    final=commit.final,
                    end_ns=end_ns,
                    delay_ns=self._delay_ns,
                )
            )
            self._note(said, seq)

    def _note(self, said: Said, seq: int) -> None:
        for kind, items in (("omitted by grammar", said.omitted), ("no letters", said.unspellable)):
            for item in items:
                self._out.fates[kind, item.reason] += 1
                self._tell(seq, item.start, item.end, kind, None)

    def _settle(self, fates: Sequence[Fate]) -> None:
        for fate in fates:
            self._out.fates[fate.kind, fate.reason] += 1
            if fate.kind == "abbreviated":
                continue  # the rest of it is signed, and told
            indices = set(range(fate.first, fate.last + 1))
            self._out.twice += len(indices & self._signed)
            self._signed |= indices
            begun_ns = fate.at_ns if fate.kind == "signed" else None
            self._tell(fate.caption_seq, fate.start, fate.end, fate.kind, begun_ns)

    def _tell(self, seq: int, start: int, end: int, kind: str, begun_ns: int | None) -> None:
        for word in self._at.get(seq, ()):
            if word.start < end and start < word.end:
                word.fates.append(kind)
                word.begun_ns = begun_ns if begun_ns is not None else word.begun_ns
