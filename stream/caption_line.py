"""One caption feed on its way to a signer: read, revised, handed over in order, each word once.

Enters: a feed and its condition. Leaves: text to the channel, `changed` events, entries in the record of
changes. Does not know formats, HTTP or how signing is done. Owns one task.

Policy: where too much waits to be signed, the feed waits too (its queue is bounded; those who fill it wait or
are told 503). What cannot be signed at all is in the record. A feed that ends or fails ends alone.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from stream import events
from stream.captions import (
    CaptionError,
    Change,
    Commit,
    Condition,
    Feed,
    LiveText,
    Reviser,
    Timeline,
    commits,
    private_log,
    redact,
)
from stream.captions.timed_text import NS_PER_S
from stream.channel import Channel
from stream.errors import Refusal

log = private_log(__name__)

POSTED = "posted"
"""The source whose captions are sent to this server."""
WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class FeedTiming:
    """When a feed's words were said, and how long after that they are to be signed (see `LiveText`)."""

    timeline: Timeline = field(default_factory=Timeline)
    delay_ns: int | None = None


class CaptionLine:
    """See the module. state: "open", "ended" or "failed". refused: commits that were not signed.

    left_out: words that were not signed after all, by what became of them. taken: names of other lines.
    """

    def __init__(
        self,
        source: str,
        feed: Feed,
        condition: Condition,
        reviser: Reviser,
        channel: Channel,
        most_pending: int,
        changes: deque[events.Message],
        timing: FeedTiming | None = None,
        taken: Collection[str] = (),
    ) -> None:
        self.name = label(source, taken)
        self.feed = feed
        self.state = "open"
        self.condition = condition
        self.commits = 0
        self.refused = 0
        self.waits = False
        self.left_out: Counter[str] = Counter()
        self._timing = timing or FeedTiming()
        self._path = source.removeprefix("follow:").removeprefix("file:")
        self._reviser = reviser
        self._channel = channel
        self._most_pending = most_pending
        self._changes = changes
        self._task = asyncio.create_task(self._run(), name=f"captions of {channel.settings.name}")

    @property
    def trouble(self) -> str:
        """What is wrong just now, or "": without folders, users and keys, because anybody may read it."""
        trouble = self.condition.trouble
        return redact(trouble.replace(self._path, self.name) if "/" in self._path else trouble)

    def stats(self) -> events.Message:
        return {
            "feed": self.name,
            "state": self.state,
            "trouble": self.trouble,
            "failures": self.condition.failures,
            "received": self.feed.received,
            "waiting": self.feed.waiting,
            "waits_for_signer": self.waits,
            "commits": self.commits,
            "not_signed": self.refused,
            "left_out": dict(self.left_out),
            "programme_delay_s": (self._timing.delay_ns or 0) / NS_PER_S,
        }

    async def close(self) -> None:
        """No more is read or taken, and the task ends."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.feed.aclose()  # a task that was cancelled before it began has closed nothing

    async def _run(self) -> None:
        def changed(change: Change) -> None:
            self._record(change.reason, change.signed, change.now, cue=change.seq)

        found = commits(self.feed, self._reviser, changed=changed)
        try:
            async for commit in found:
                self.commits += 1
                await self._hand_over(commit, self._timed(commit))
            self.state = "ended"
            log.info("captions of %s from %s have ended", self._channel.settings.name, self.name)
        except CaptionError as error:
            self._failed(str(error))
            log.error("captions of %s: %s", self._channel.settings.name, error)
        except Exception as error:  # the feed's boundary: it ends, the signer and its viewers go on
            self._failed(f"{type(error).__name__}: {error}")
            log.exception("captions of %s from %s failed", self._channel.settings.name, self.name)
        finally:
            await found.aclose()

    def _failed(self, why: str) -> None:
        self.state = "failed"
        self.condition.fails(why)

    def _timed(self, commit: Commit) -> LiveText:
        pts_ns, end_ns = self._timing.timeline.said(commit)
        return LiveText(self.name, commit.seq, pts_ns, end_ns, self._timing.delay_ns)

    async def _hand_over(self, commit: Commit, live: LiveText) -> None:
        """Have a commit signed, however long that must wait; what is too much at once goes in halves."""
        while True:
            await self._room(len(commit.text))
            try:
                said = await self._channel.say(commit.text, commit.final, live=live)
            except Refusal as refusal:
                if refusal.status == 503:
                    self.waits = True
                    await asyncio.sleep(WAIT_S)
                    continue
                await self._refused(commit, live, refusal)
            except asyncio.CancelledError:  # of this task, or of the words, by an interrupt
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
                self._record("interrupted", "", commit.text, cue=commit.seq)
            else:
                if said.get("interrupted"):
                    self._record("interrupted", "", commit.text, cue=commit.seq)
                self._left_out(commit, said)
            self.waits = False
            return

    async def _room(self, characters: int) -> None:
        """Wait while what is to be signed before is as much as is allowed to wait."""
        performer = self._channel.performer
        while performer.pending and performer.pending + characters > self._most_pending:
            self.waits = True
            await asyncio.sleep(WAIT_S)

    async def _refused(self, commit: Commit, live: LiveText, refusal: Refusal) -> None:
        words = commit.text.split()
        if refusal.status == 413 and len(words) > 1:
            middle = math.ceil(len(words) / 2)
            await self._hand_over(replace(commit, text=" ".join(words[:middle]) + " ", final=False), live)
            await self._hand_over(replace(commit, text=" ".join(words[middle:]) + " "), live)
            return
        log.warning("captions of %s: not signed: %s", self._channel.settings.name, refusal.error)
        self._record("refused", "", commit.text, cue=commit.seq)

    def _left_out(self, commit: Commit, said: events.Message) -> None:
        """What viewers learn from the caption's own event is kept in the record too."""
        for item in (*said["omitted"], *said["unspellable"]):
            entry = events.changed(self.name, commit.seq, "", item["text"], item["reason"])
            self._changes.append(entry)

    def _record(self, reason: str, signed: str, now: str, cue: int) -> None:
        self.refused += reason in ("refused", "interrupted")
        entry = events.changed(self.name, cue, signed, now, reason)
        self._changes.append(entry)
        self._channel.tell(entry)


def label(source: str, taken: Collection[str] = ()) -> str:
    """A source as viewers may read it: what it is and its last name; no folders, users or keys. One whose
    label is taken by another is numbered.
    """
    if source in ("-", POSTED):
        return "standard input" if source == "-" else source
    bare = source.partition("?")[0].rstrip("/")
    kind = bare.partition(":")[0] if ":" in bare else "file"
    name = f"{kind}:{bare.removeprefix(f'{kind}:').rpartition('/')[2].rpartition('@')[2]}"
    numbered = (f"{name} ({number})" for number in itertools.count(2))
    return next(free for free in itertools.chain([name], numbered) if free not in taken)
