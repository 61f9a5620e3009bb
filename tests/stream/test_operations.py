"""Metrics, readiness, draining and logs, on a real server with stand-ins for engine and renderer."""

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import signal
import sys

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream import logs
from stream.bench.serving import totals
from stream.config import SignerSettings
from stream.metrics import STAGES
from stream.server import Config, run
from tests.stream.stand_ins import light_cast
from tests.stream.viewer import Viewer

WAIT_S = 60


async def until(condition, timeout_s: float = WAIT_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - logs and counters have no event
            await asyncio.sleep(0.02)


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return answer.status, await answer.text()


async def say(url: str, text: str, **more: object) -> dict:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}signers/main/text", json={"text": text, **more}) as answer,
    ):
        return {"status": answer.status, **await answer.json()}


async def test_metrics_hold_every_stage_of_a_caption_that_was_watched(server):
    viewer = await Viewer(server.address).connect()
    try:
        await viewer.until(lambda: viewer.frames > 3, WAIT_S)
        await say(server.address, "one two")
        await viewer.until(lambda: viewer.of_type("latency"), WAIT_S)
    finally:
        await viewer.close()
    status, text = await get(f"{server.address}metrics")
    assert status == 200
    counts = {
        (sample.labels["signer"], sample.labels["stage"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "handstream_stage_seconds_count"
    }
    assert set(counts) == {("main", stage) for stage in STAGES}
    assert counts["main", "glossing"] == counts["main", "choreography"] == 1
    assert counts["main", "render"] == counts["main", "encode"] > 3
    found = totals(text)
    assert found["handstream_caption_seconds_count"] == 1
    latency = viewer.of_type("latency")[0]
    assert found["handstream_caption_seconds_sum"] == pytest.approx(latency["total_ms"] / 1e3, abs=1e-4)
    assert found["handstream_motion_frames_total"] > 3
    for name in ("handstream_viewers", "handstream_dropped_total", "handstream_refused_total"):
        assert name in found
    assert found["handstream_threads"] >= 3
    assert found["process_resident_memory_bytes"] > 1e6


async def test_metrics_count_refusals_and_answers(launch):
    server = await launch(max_signers=1)
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{server.address}signers", json={"name": "second"}) as answer:
            assert answer.status == 503
        async with http.get(f"{server.address}nothing") as answer:
            assert answer.status == 404
    found = totals((await get(f"{server.address}metrics"))[1])
    assert found["handstream_refused_total"] == 1
    assert found['handstream_http_answers_total{status="503"}'] == 1
    assert found['handstream_http_answers_total{status="404"}'] == 1


async def test_two_servers_of_one_process_count_for_themselves_and_a_signer_that_left_is_gone(launch):
    one, two = await launch(), await launch(signers=(SignerSettings("other"),))
    await one.stage.create(SignerSettings("late"))
    assert 'signer="late"' in (await get(f"{one.address}metrics"))[1]
    await one.stage.delete("late")
    assert 'signer="late"' not in (await get(f"{one.address}metrics"))[1]
    first, second = [await get(f"{s.address}metrics") for s in (one, two)]
    assert 'signer="main"' in first[1]
    assert 'signer="main"' not in second[1]


async def test_metrics_come_as_openmetrics_for_who_prefers_it(server):
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.address}metrics", headers=accept) as answer,
    ):
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert (await answer.text()).endswith("# EOF\n")


async def test_the_parts_of_a_delay_are_its_whole(server):
    viewer = await Viewer(server.address).connect()
    try:
        await viewer.until(lambda: viewer.frames > 3, WAIT_S)
        for word in ("one", "two", "three"):
            viewer.events.clear()
            said = await say(server.address, word)
            await viewer.until(lambda: viewer.of_type("latency") and viewer.of_type("idle"), WAIT_S)
            latency = viewer.of_type("latency")[0]
            parts = [value for name, value in latency.items() if name.endswith("_ms") and name != "total_ms"]
            assert min(parts) >= 0
            assert sum(parts) == pytest.approx(latency["total_ms"], abs=0.1)  # rounded to 0.01 each
            assert latency["id"] == said["id"]
    finally:
        await viewer.close()


async def test_one_id_follows_a_caption_from_text_to_picture(server, caplog):
    caplog.set_level(logging.INFO, "stream.way")
    viewer = await Viewer(server.address).connect()
    try:
        await viewer.until(lambda: viewer.frames > 3, WAIT_S)
        first, second = await say(server.address, "secretword"), await say(server.address, "two")
        assert first["id"] != second["id"]

        def stages(caption_id: str) -> list[str]:
            fields = [record.fields for record in caplog.records if record.name == "stream.way"]
            return [f["stage"] for f in fields if f["caption_id"] == caption_id]

        for said in (first, second):
            await until(lambda said=said: len(stages(said["id"])) == 5)
            assert sorted(stages(said["id"])) == sorted(["arrived", "glossed", "stepped", "encoded", "sent"])
            assert stages(said["id"])[0] == "arrived"
            assert stages(said["id"])[-1] == "sent"
            assert said["id"] in {event["id"] for event in viewer.of_type("caption")}
    finally:
        await viewer.close()
    assert "secretword" not in caplog.text.lower()


def test_a_json_log_line_is_one_json_object(capsys):
    record = logging.LogRecord(
        "stream.x", logging.INFO, __file__, 1, "caption %s: %s\nü", ("a-1", "sent"), None
    )
    record.fields = {"caption_id": "a-1", "stage": "sent", "after_ms": 3.5}
    line = logs.JsonLines().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert found["caption_id"] == "a-1"
    assert found["message"] == "caption a-1: sent\nü"
    assert found["level"] == "info"
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        failed = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    assert "RuntimeError: broken" in json.loads(logs.JsonLines().format(failed))["error"]


async def test_a_server_is_ready_once_frames_flow_and_letters_are_warm(launch):
    warming = True
    cast = dataclasses.replace(light_cast(), warming=lambda: warming)
    server = await launch(cast)
    status, text = await get(f"{server.address}readyz")
    assert status == 503
    assert json.loads(text)["why"] == ["letters are still being prepared"]
    assert (await get(f"{server.address}healthz"))[0] == 200
    warming = False
    assert (await get(f"{server.address}readyz"))[0] == 200


async def test_a_signer_that_stands_still_is_not_ready(server):
    assert (await get(f"{server.address}readyz"))[0] == 200
    scheduler = server.stage.pipeline._scheduler
    await asyncio.to_thread(scheduler.remove, "main")
    server.stage.channels["main"].moved_s -= 100
    status, text = await get(f"{server.address}readyz")
    assert status == 503
    assert "main: no motion for" in text


async def test_draining_finishes_what_is_signed_tells_viewers_and_admits_nobody(launch):
    server = await launch(drain_s=WAIT_S)
    viewer = await Viewer(server.address).connect()
    try:
        await viewer.until(lambda: viewer.frames > 3 and viewer.of_type("hello"), WAIT_S)
        said = await say(server.address, "one two three four five six")
        draining = asyncio.create_task(server.drain())
        await viewer.until(lambda: viewer.of_type("ending"), WAIT_S)
        assert (await get(f"{server.address}readyz"))[0] == 503
        refused = await say(server.address, "seven")
        assert refused["status"] == 503
        with pytest.raises(ConnectionError, match="503"):
            await Viewer(server.address).connect()
        assert await draining == 0
        last = said["glosses"][-1]["index"]
        await viewer.until(lambda: last in {event["index"] for event in viewer.of_type("gloss")}, WAIT_S)
    finally:
        await viewer.close()


async def test_draining_ends_when_its_time_is_over(launch):
    server = await launch(drain_s=0.2)
    await say(server.address, " ".join(["word"] * 300))
    assert await server.drain() > 0


async def test_a_caption_left_open_is_signed_to_its_end_before_the_server_goes(launch):
    server = await launch(drain_s=WAIT_S, pause_s=600)
    await say(server.address, "half a sen", final=False)
    assert await server.drain() == 0
    assert server.stage.channels["main"]._pause is None


async def test_sigterm_drains_and_ends_the_server():
    address = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        run(Config(port=0, width=128, height=64, drain_s=WAIT_S), light_cast(), ready=address.set_result)
    )
    url = await asyncio.wait_for(address, WAIT_S)
    viewer = await Viewer(url).connect()
    try:
        await viewer.until(lambda: viewer.frames > 3 and viewer.of_type("hello"), WAIT_S)
        said = await say(url, "one two three")
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, WAIT_S)
        signed = {event["index"] for event in viewer.of_type("gloss")}
        assert {gloss["index"] for gloss in said["glosses"]} <= signed
    finally:
        with contextlib.suppress(aiohttp.ClientError):
            await viewer.close()
