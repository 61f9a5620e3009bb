"""Live captions faster than signing, through the real server: the lag is told, what is left out is told and
kept, and whatever happens, every word has one fate.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import itertools
import json
import logging
import threading

import aiohttp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.scheduler import Scheduler
from engine.signer import Signer
from stream.bench import captions as bench
from stream.bench.caption_feeds import FeedConfig, pieces, spoken
from stream.bench.replay import Replay
from stream.captions import Commit, Cue, Timeline, private_log, redact
from stream.config import CaptionSettings
from stream.errors import Refusal
from stream.serve_command import add_arguments, configuration
from tests.engine.signing import HandMadeLexicon, PlainWords
from tests.engine.timed_choreography import TimedChoreography
from tests.stream.stand_ins import light_cast
from tests.stream.viewer import Viewer

S = 1_000_000_000
SENTENCES = [
    "und nun die vorhersage für morgen",
    "im norden bleibt es trocken und kühl",
    "es gibt keinen frost bei vier grad",
    "der wind weht stark aus westen",
]


class AnyLanguage(PlainWords):
    def open(self, language: str):
        return super().open("ase")


def signer_of(_settings: object = None) -> Signer:
    return Signer(HandMadeLexicon(), AnyLanguage(), language="gsg", choreography=TimedChoreography())


def signing_cast():
    """Real signers on the real scheduler, with motion that only takes time."""
    return dataclasses.replace(light_cast(), scheduler=lambda: Scheduler(25.0).open(), signer=signer_of)


async def until(condition, timeout_s=60.0):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - any condition will do
            await asyncio.sleep(0.01)


# -- through the server -----------------------------------------------------------------------------


async def test_what_is_left_out_is_told_to_viewers_and_kept(launch):
    server = await launch(signing_cast())
    channel, captions = server.stage.channels["main"], server.stage.captions_of("main")
    viewer = await Viewer(server.address).connect()
    try:
        await viewer.until(lambda: viewer.of_type("hello"), 60)
        words = " ".join(SENTENCES).split()
        async with aiohttp.ClientSession(server.address) as http:
            for word in words:
                async with http.post("/signers/main/captions/text", data=word) as response:
                    assert response.status == 202
            await until(lambda: captions.stats()[0]["commits"] == len(words))
            await until(lambda: channel.stats()["lag_ms"]["p50"] is not None)
            await until(lambda: channel.stats()["lag_ms"]["now"] is None)
            viewer.data["events"].send(json.dumps({"type": "ping", "t": 1}))
            await viewer.until(lambda: viewer.of_type("pong"), 60)  # whatever was told before has come
            async with http.get("/stats") as response:
                stats = (await response.json())["signers"]["main"]
            async with http.get("/signers/main/changes") as response:
                kept = await response.json()
        told = [e for e in viewer.of_type("skipped") if e["kind"] == "omitted"]
        assert told, "26 words at once cannot be signed in three seconds"
        shown = {e["index"] for e in viewer.of_type("gloss")}
        listed = {g["index"] for e in viewer.of_type("caption") for g in e["glosses"]}
        silent = {i for e in viewer.of_type("skipped") for i in range(e["index"], e["last"] + 1)}
        assert not shown & silent
        assert shown | silent == listed
        entries = [(e["now"], e["reason"]) for e in kept]
        assert entries == [(e["label"], e["reason"]) for e in viewer.of_type("skipped")]
        assert {e["feed"] for e in kept} == {"posted"}
        assert all(0 <= e["lag_ms"] < 60_000 for e in viewer.of_type("gloss"))
        lags = [e["lag_ms"] for e in viewer.of_type("gloss")]
        assert min(lags) <= stats["lag_ms"]["p50"] <= stats["lag_ms"]["p99"] <= max(lags)
        assert stats["lag_ms"]["now"] is None
        assert stats["omitted"] == stats["captions"][0]["left_out"]["omitted"] == len(told)
        late = await Viewer(server.address).connect()  # whoever comes later learns the same of the caption
        await late.until(lambda: late.of_type("caption"), 60)
        last = late.of_type("caption")[0]
        gone = {e["index"] for e in told if e["caption"] == last["seq"]}
        assert not gone & {g["index"] for g in last["glosses"]}
        await late.close(delete=False)
    finally:
        await viewer.close(delete=False)


async def test_words_that_an_interrupt_drops_are_kept_as_interrupted(launch):
    server = await launch(signing_cast())
    channel, captions = server.stage.channels["main"], server.stage.captions_of("main")
    await captions.posted().put(Cue("donaudampfschifffahrt"))
    await until(lambda: channel.performer.pending)
    await captions.posted().put(Cue("regen"))
    await until(lambda: captions.stats()[0]["commits"] == 2)
    await channel.interrupt()
    await until(lambda: len(captions.changes) == 2)
    assert sorted(entry["now"] for entry in captions.changes) == ["donaudampfschifffahrt", "regen"]
    assert all(entry["reason"].startswith("interrupted") for entry in captions.changes)
    assert captions.stats()[0]["left_out"]["interrupted"] >= 1
    await channel.say("typed")
    await channel.interrupt()
    await until(lambda: not channel.performer.pending)
    await asyncio.sleep(0.2)
    assert len(captions.changes) == 2, "the record is of live captions"


async def test_a_caption_dropped_before_it_was_understood_is_kept_as_interrupted(launch, monkeypatch):
    server = await launch(signing_cast())
    channel, captions = server.stage.channels["main"], server.stage.captions_of("main")
    signer = channel.performer.signer
    understand, entered, gate = signer.understand, threading.Event(), threading.Event()

    def slowly(caption):
        entered.set()
        gate.wait(60)
        return understand(caption)

    monkeypatch.setattr(signer, "understand", slowly)
    first = asyncio.ensure_future(channel.say("first"))
    try:
        await until(entered.is_set)
        await captions.posted().put(Cue("dropped"))
        line = server.stage.pipeline._scheduler._members["main"].text
        await until(lambda: len(line._jobs) == 1)
        stopping = asyncio.ensure_future(channel.interrupt())
        await until(lambda: captions.changes)
    finally:
        gate.set()
    await stopping
    await first
    assert [(e["now"], e["reason"]) for e in captions.changes] == [("dropped", "interrupted")]
    await until(lambda: not channel.performer.pending)


async def test_a_signer_that_is_full_for_a_while_gets_the_words_in_order(server, monkeypatch):
    channel, captions = server.stage.channels["main"], server.stage.captions_of("main")
    say, calls = channel.say, []

    async def full(text, final=True, language=None, live=None):
        calls.append(text)
        if len(calls) in (1, 2, 4):
            raise Refusal(503, "full", "wait", retry_after_s=1)
        return await say(text, final, language, live)

    monkeypatch.setattr(channel, "say", full)
    feed = captions.posted()
    await feed.put(Cue("one"))
    await feed.put(Cue("two"))
    await until(lambda: calls == ["one", "one"])
    assert captions.stats()[0]["waits_for_signer"]
    await until(lambda: len(calls) == 5)
    assert calls == ["one", "one", "one", "two", "two"]
    await until(lambda: not captions.stats()[0]["waits_for_signer"])
    assert not captions.changes


async def test_a_signer_made_again_has_its_feeds_again(launch, tmp_path):
    path = tmp_path / "live.vtt"
    feeds = CaptionSettings((("main", f"follow:{path}"),), own_delays_s=(("main", f"follow:{path}", 2.0),))
    server = await launch(signing_cast(), captions=feeds)
    async with aiohttp.ClientSession(server.address) as http:
        async with http.delete("/signers/main") as response:
            assert response.status == 204
        async with http.post("/signers", json={"name": "main", "language": "gsg"}) as response:
            assert response.status == 201
    stats = server.stage.captions_of("main").stats
    assert [(feed["feed"], feed["programme_delay_s"]) for feed in stats()] == [("follow:live.vtt", 2.0)]
    path.write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n\n")
    await until(lambda: stats()[0]["commits"] == 1)


async def test_a_programme_delay_is_kept_by_the_server(launch):
    server = await launch(signing_cast(), captions=CaptionSettings(programme_delay_s=1.0))
    viewer = await Viewer(server.address).connect()
    try:
        await viewer.until(lambda: viewer.of_type("hello"), 60)
        await server.stage.captions_of("main").posted().put(Cue("ja"))
        await viewer.until(lambda: viewer.of_type("gloss"), 60)
        assert viewer.of_type("gloss")[0]["lag_ms"] >= 1000
        assert not viewer.of_type("latency"), "a programme delay is no delay of ours"
    finally:
        await viewer.close(delete=False)


# -- an hour in seconds -----------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from(["captions", "rollup", "asr"]),
    st.sampled_from([0.0, 0.7, 4.0]),
    st.floats(60, 400),
)
def test_every_spoken_word_is_signed_or_told(seed, mode, delay_s, words_per_minute):
    """Any pace, revisions at random: nothing is lost on the way from speech to signs."""
    config = FeedConfig(mode, words_per_minute, seed, "de")
    utterances = list(spoken(itertools.cycle(SENTENCES), config, 0.4))
    replayed = Replay(signer_of(), delay_s=delay_s).run(list(pieces(utterances, config)))
    assert replayed.unaccounted == []
    assert replayed.twice == 0
    assert bench.letters(replayed, utterances, config) == (0, 0)


@pytest.mark.parametrize("mode", ["rollup", "asr"])
def test_the_lag_stays_bounded_at_160_words_a_minute(mode):
    config = FeedConfig(mode, 160.0, 1, "de")
    lines = bench.sentences(None)
    utterances = list(spoken(itertools.cycle(lines), config, 4))
    replayed = Replay(signer_of(), delay_s=2.0).run(list(pieces(utterances, config)))
    assert np.percentile([lag for _, lag in replayed.begins], 99) <= 5.0
    assert replayed.unaccounted == []
    assert len([word for word in replayed.words if "signed" in word.fates]) > 100


def test_the_benchmark_itself_in_short():
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    outcome = bench.run(parser.parse_args(["--minutes", "0.3", "--mode", "asr", "--programme-delay", "1"]))
    assert all(reached for _, reached in outcome.reached.values()), outcome.reached
    assert outcome.figures["asr"]["words_signed"] > 5
    json.dumps(outcome.figures)
    assert {plot.kind for plot in outcome.plots} == {"points", "cdf", "bars"}


# -- when things were said ----------------------------------------------------------------------------


def commit(start_s: float, end_s: float | None, arrived_s: float, text: str = "eins zwei drei") -> Commit:
    end_ns = None if end_s is None else round(end_s * S)
    arrived_ns = round(arrived_s * S)
    return Commit(text, 1, True, "de", round(start_s * S), end_ns, 0, arrived_ns, arrived_ns, whole=True)


def test_times_of_the_feed_become_times_here():
    timeline = Timeline()
    assert timeline.said(commit(100, 102, 5)) == (5 * S, 7 * S)
    assert timeline.said(commit(103, 104, 6)) == (8 * S, 9 * S), "early"
    assert timeline.said(commit(106, None, 12)) == (11 * S, 11 * S), "late"
    assert timeline.said(commit(107, 167, 13))[1] == 15 * S, "nobody says three words in a minute"
    alone = Timeline(aligned=False)
    alone.said(commit(100, 101, 5))
    assert alone.said(commit(102, 103, 9))[0] == 9 * S, "with nothing to be in step with"


def test_a_clock_that_runs_fast_is_followed_to_a_frame():
    """An hour, a clock 100 millionths fast, captions up to a fifth of a second late."""
    chance, timeline, errors = np.random.default_rng(0), Timeline(), []
    for n in range(1200):
        true_s = 3.0 * n
        start_s, late_s = 50 + true_s * 1.0001, chance.uniform(0, 0.2)
        said_ns, _ = timeline.said(commit(start_s, None, true_s + late_s))
        errors.append(said_ns / S - true_s)
    settled = np.array(errors[100:])
    assert np.ptp(settled) < 0.08
    assert abs(settled[-100:].mean() - settled[:100].mean()) < 0.04, "no drift"


def test_a_media_clock_that_jumps_is_tied_anew_but_a_file_is_not():
    live, file = Timeline(), Timeline(finished=True)
    for timeline in (live, file):
        timeline.said(commit(10, None, 0))
    assert live.said(commit(3600, None, 5))[0] == 5 * S
    assert live.said(commit(3, None, 9))[0] == 9 * S
    assert file.said(commit(3600, None, 0.1))[0] == 3590 * S


# -- settings and secrets -------------------------------------------------------------------------------


def test_delays_on_the_command_line():
    def given(*options: str) -> CaptionSettings:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        return configuration(parser.parse_args(options)).captions

    captions = given("--captions", "main+8=ws://a/b", "--captions", "main=-", "--programme-delay", "2.5")
    assert captions.feeds == (("main", "ws://a/b"), ("main", "-"))
    assert captions.delay_ns("main", "ws://a/b", live=True) == 8 * S
    assert captions.delay_ns("main", "-", live=False) == 2.5 * S
    assert captions.delay_ns("main", "posted", live=True) == 2.5 * S
    plain = given("--captions", "main=-")
    assert plain.delay_ns("main", "-", live=False) is None, "standard input waits, and loses nothing"
    assert plain.delay_ns("main", "posted", live=True) == 0
    assert given("--complete-captions").delay_ns("main", "posted", live=True) is None
    with pytest.raises(ValueError, match="after the \\+"):
        given("--captions", "main+soon=-")
    with pytest.raises(ValueError, match="0 to 120"):
        given("--programme-delay", "600")
    with pytest.raises(ValueError, match="choose one"):
        given("--programme-delay", "6", "--complete-captions")


@pytest.mark.parametrize("source", ["hls:http://user:secret@127.0.0.1:1/s.m3u8?key=secret",
                                    "ws://user:secret@127.0.0.1:1/?key=secret"])  # fmt: skip
async def test_no_key_of_a_source_is_logged(launch, caplog, source):
    with caplog.at_level(logging.DEBUG):
        server = await launch(captions=CaptionSettings((("main", source),)))
        await until(lambda: server.stage.trouble())
        await until(lambda: "127.0.0.1:1" in caplog.text)
    ours = [r for r in caplog.records if r.name.startswith("stream")]
    assert ours
    assert not [r for r in ours if "secret" in r.getMessage() + str(r.exc_text) + str(r.exc_info)]


def test_tracebacks_are_redacted_too(caplog):
    log = private_log("tests.private")
    try:
        raise ValueError("wss://me:pw@host/x?token=pw, failed")
    except ValueError:
        log.exception("reading %s failed", "http://a:pw@b/c?d=pw")
    assert "pw" not in caplog.text
    assert "Traceback" in caplog.text
    assert redact("see http://host:80/a/b.vtt") == "see http://host:80/a/b.vtt"
