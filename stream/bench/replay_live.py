"""A caption feed sent to a real server at real speed, and what a real viewer hears of it.

Enters: utterances. Leaves: a `Replayed`, as the replay on a manual clock does, but from the events of a
WebRTC viewer alone: what it was not told is not known here. Does not know plots.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import Sequence
from typing import Any

import aiohttp

from stream.bench.caption_feeds import FeedConfig, Spoken, pieces
from stream.bench.replay import Replayed, Word
from stream.bench.serving import ServerProcess
from stream.bench.viewer import Viewer
from stream.captions import REASONS, Change, TimedText
from stream.captions.words import words_of

_LOOK_S = 0.05
_ENDS_S = 60.0


class Heard:
    """What a viewer's events amount to, taken as they come, for an hour of them is long."""

    def __init__(self) -> None:
        self.out = Replayed()
        self._began_s = time.monotonic()
        self._captions: dict[int, dict[str, Any]] = {}
        self._grown: dict[int, list[tuple[int, int]]] = {}
        self._shown: dict[int, int] = {}
        self._left: dict[int, list[dict[str, Any]]] = {}

    @property
    def now_ns(self) -> int:
        return round((time.monotonic() - self._began_s) * 1e9)

    def take(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            kind, seq = event["type"], event.get("caption", event.get("seq", 0))
            if kind == "caption":
                self._captions[seq] = event
                self._grown.setdefault(seq, []).append((len(event["text"]), self.now_ns))
            elif kind == "gloss":
                self.out.twice += event["index"] in self._shown
                self._shown[event["index"]] = self.now_ns
                self.out.begins.append((self.now_ns / 1e9, event["lag_ms"] / 1e3))
            elif kind == "skipped" and "kind" in event:
                self.out.fates[event["kind"], event["reason"]] += 1
                if event["kind"] != "abbreviated":
                    self._left.setdefault(seq, []).append(event)
            elif kind == "changed" and event["reason"] in REASONS:
                change = Change(event["cue"], 0, event["signed"], event["now"], event["reason"])
                self.out.changes.append(change)
        events.clear()

    def finish(self, language: str) -> Replayed:
        for seq, caption in sorted(self._captions.items()):
            at, text = 0, caption["text"]
            for token in text.split():
                start = text.index(token, at)
                at = start + len(token)
                if found := words_of(token, language):
                    self.out.words.append(self._word(found[0].key, caption, seq, start, at))
        return self.out

    def _word(self, key: str, caption: dict[str, Any], seq: int, start: int, end: int) -> Word:
        committed_ns = next(ns for length, ns in self._grown[seq] if length >= end)
        word = Word(key, seq, start, end, committed_ns)

        def within(entry: dict[str, Any]) -> bool:
            return bool(entry.get("start", 0) < end and start < entry.get("end", 0))

        shown = [
            self._shown[g["index"]] for g in caption["glosses"] if within(g) and g["index"] in self._shown
        ]
        if shown:
            word.begun_ns = max(shown)
            word.fates.append("signed")
        if any(map(within, self._left.get(seq, ()))):
            word.fates.append("omitted")
        elif any(map(within, caption["omitted"])):
            word.fates.append("omitted by grammar")
        elif any(map(within, caption["unspellable"])):
            word.fates.append("no letters")
        return word


def replay_live(utterances: Sequence[Spoken], config: FeedConfig, args: argparse.Namespace) -> Replayed:
    """As long as the speech lasts."""
    options = ["--signer", f"main:{args.language}", "--programme-delay", str(args.programme_delay)]
    options += itertools.chain.from_iterable(("--lexicon", str(path)) for path in args.lexicon)
    with ServerProcess(*options) as server:
        server.until_ready()
        return asyncio.run(_replay(server.url, list(pieces(list(utterances), config)), config.language))


async def _replay(url: str, feed: list[TimedText], language: str) -> Replayed:
    viewer = Viewer(url, decode=False)
    async with aiohttp.ClientSession(url) as http:
        await viewer.connect()
        tempo: list[float] = []
        looking = asyncio.create_task(_look(http, tempo))
        try:
            await viewer.until(lambda: bool(viewer.of_type("hello")))
            async with http.ws_connect("/signers/main/captions/lines") as socket:
                heard = Heard()
                heard.out.tempo = tempo
                for piece in feed:
                    while (left_s := (piece.pts_ns - heard.now_ns) / 1e9) > 0:
                        await asyncio.sleep(min(left_s, _LOOK_S))
                        heard.take(viewer.events)
                    message = {"text": piece.text, "final": piece.final, "id": str(piece.cue)}
                    if piece.start_ns is not None and piece.end_ns is not None:
                        message["start_ms"], message["end_ms"] = (
                            piece.start_ns // 10**6,
                            piece.end_ns // 10**6,
                        )
                    await socket.send_json(message)
                until_s, pending = time.monotonic() + _ENDS_S, 1
                while pending and time.monotonic() < until_s:
                    await asyncio.sleep(1.0)
                    heard.take(viewer.events)
                    async with http.get("/stats") as response:
                        figures = (await response.json())["signers"]["main"]
                    pending = figures["pending_glosses"] + figures["captions"][0]["waiting"]
                await asyncio.sleep(2.0)
                heard.take(viewer.events)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await viewer.close(delete=False)
    return heard.finish(language)


async def _look(http: aiohttp.ClientSession, tempo: list[float]) -> None:
    """How fast is signed, once a second: no event tells it."""
    while True:
        async with http.get("/stats") as response:
            tempo.append((await response.json())["signers"]["main"]["tempo"])
        await asyncio.sleep(1.0)
