"""The captions of one signer: the feeds it was started with, and the one that requests fill.

Enters: sources, and settings. Leaves: feeds on their way to the channel (`CaptionLine`), a record of
changes, figures and trouble. Does not know formats, HTTP or how signing is done. Closes every feed it opened.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace

from engine.pacing_unit import Fate
from engine.pacing_words import worth_of
from stream import events
from stream.caption_line import POSTED, CaptionLine, FeedTiming
from stream.captions import (
    Condition,
    Feed,
    Limits,
    LiveText,
    Reviser,
    ReviserConfig,
    Timeline,
    may_come_back,
    open_captions,
)
from stream.captions.timed_text import NS_PER_MS
from stream.channel import Channel
from stream.config import Config
from stream.errors import Refusal

REMEMBERED_CHANGES = 2000
"""What is left out to keep up comes at up to two words a second."""


HELD_SHARE = 0.5
"""Of a programme delay: so long words are kept back for revisions; the rest is for choosing among them."""


class Captioning:
    """See the module. Lives on the event loop. spoken: the spoken language of its signer, BCP 47."""

    def __init__(self, channel: Channel, config: Config, spoken: str) -> None:
        self.changes: deque[events.Message] = deque(maxlen=REMEMBERED_CHANGES)
        self._channel = channel
        self._config = config
        self._spoken = spoken
        self._limits = Limits(text_chars=config.max_text_chars)
        self._lines: dict[str, CaptionLine] = {}
        self._closed = False
        channel.left_out = self._left_out

    def reopen(self) -> None:
        """Open again what the server was started with for this signer; standard input cannot be."""
        for signer, source in self._config.captions.feeds:
            if signer == self._channel.settings.name and source != "-":
                self.open(source)

    def open(self, source: str) -> None:
        """Sign what this input says (see `open_captions`). Raises CaptionError for a name without meaning."""
        condition = Condition()
        feed = open_captions(source, language=self._spoken, limits=self._limits, condition=condition)
        self._start(source, feed, condition)

    def posted(self) -> Feed:
        """The feed that requests fill; made when first asked for. Refusal 404 once the signer is gone."""
        line = self._lines.get(POSTED)
        if self._closed:
            raise Refusal(404, "this signer went off air", "GET /signers lists those on air")
        if line is None or line.feed.closed:
            limits = replace(self._limits, message_bytes=self._config.max_body_bytes)
            line = self._start(POSTED, Feed(limits), Condition())
        return line.feed

    def trouble(self) -> list[str]:
        """What is wrong just now, in words; empty when all is well."""
        name = self._channel.settings.name
        found = [(line.name, line.trouble) for line in self._lines.values()]
        return [f"{name}: captions from {feed}: {trouble}" for feed, trouble in found if trouble]

    def stats(self) -> list[events.Message]:
        """Figures of each feed for GET /stats."""
        return [line.stats() for line in self._lines.values()]

    async def close(self) -> None:
        """No more is read or taken, and every task ends."""
        self._closed = True
        await asyncio.gather(*(line.close() for line in self._lines.values()))

    def _start(self, source: str, feed: Feed, condition: Condition) -> CaptionLine:
        settings, most = self._config.captions, self._config.max_backlog_glosses
        live = source == POSTED or may_come_back(source)
        delay_ns = settings.delay_ns(self._channel.settings.name, source, live)
        hold_ns = max(settings.hold_ms * NS_PER_MS, round(HELD_SHARE * (delay_ns or 0)))
        config = ReviserConfig(agreement=settings.agreement, hold_ns=hold_ns)
        timing = FeedTiming(Timeline(finished=not live, aligned=bool(delay_ns)), delay_ns)
        taken = {line.name for other, line in self._lines.items() if other != source}
        line = CaptionLine(
            source, feed, condition, Reviser(config), self._channel, most, self.changes, timing, taken
        )
        self._lines[source] = line
        if delay_ns is not None:  # the first word must not wait for the table of frequencies
            asyncio.get_running_loop().run_in_executor(None, worth_of, "", self._spoken.split("-")[0])
        return line

    def _left_out(self, fate: Fate, live: LiveText | None) -> None:
        """A word that was promised is not signed: viewers were told, and here it is kept."""
        if live is None:
            return
        cut = fate.end - fate.start
        signed = fate.text[: max(0, len(fate.text) - cut)] if fate.kind == "abbreviated" else ""
        self.changes.append(events.changed(live.feed, live.cue, signed, fate.text, fate.reason))
        line = next((line for line in self._lines.values() if line.name == live.feed), None)
        if line is not None:
            line.left_out[fate.kind] += 1
