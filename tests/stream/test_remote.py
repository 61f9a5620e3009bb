"""Drawing a signer of another server: through loss, restarts, and on to a real media server."""

import asyncio
import dataclasses
import json
import random
from pathlib import Path

import aiohttp
import av
import numpy as np
import pytest

from engine.signals import MotionFrame
from renderer.avatar import AvatarConfig, AvatarRenderer
from stream.config import Config
from stream.remote.source import RemoteSource
from stream.server import Server
from tests.stream.janus import Janus, Subscriber, has_janus
from tests.stream.processes import Command
from tests.stream.stand_ins import BarRenderer, read_bars
from tests.stream.test_gstreamer import PYTHON, SCRIPT, has_gstreamer
from tests.stream.viewer import Viewer


class Far:
    """A server that draws the signer at `url` with bars: what is seen is the number of the motion frame."""

    def __init__(self, url: str, **options: float) -> None:
        config = Config(port=0, width=128, height=64)
        self.source = RemoteSource(config, url, **options)  # type: ignore[arg-type]
        cast = dataclasses.replace(
            self.source.cast(), avatars={"bars": "sixteen"}, renderer=lambda _: BarRenderer()
        )
        self.server = Server(config, cast, (self.source,))

    async def __aenter__(self) -> "Far":
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.close()

    def stats(self) -> dict:
        return self.source.scheduler.stats()


def numbers(viewer: Viewer) -> list[int]:
    return [read_bars(picture[:64]) for _, picture in viewer.pictures]


async def until(condition, timeout_s: float = 60.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - any condition will do
            await asyncio.sleep(0.02)


async def test_motion_alone_costs_the_signer_no_drawing_and_outlives_the_handshake(launch):
    server = await launch(handshake_s=1.0)
    async with Far(f"{server.address}whep/main") as far:
        await until(lambda: far.stats()["received"] >= 40)
        channel = server.stage.channels["main"]
        (peer,) = channel.peers
        assert peer.connected
        assert peer.codec is None
        assert not channel.broadcast.watched
        assert server.stage.pipeline.stats_of("main")["rendered"] == 0
    await until(lambda: not channel.peers, 30)


async def test_what_is_signed_there_is_seen_and_told_here(launch):
    """Every picture shows the motion of its number, and events name the picture that shows the sign."""
    near = await launch()
    async with Far(f"{near.address}whep/main") as far:
        viewer = await Viewer(far.server.address, keep_pictures=True).connect()
        try:
            await viewer.until(lambda: len(set(numbers(viewer))) >= 10, 60)
            answer = await near.stage.channels["main"].say("HELLO BIG WORLD")
            await viewer.until(lambda: len(viewer.of_type("gloss")) == 3, 60)
            last = viewer.of_type("gloss")[-1]["rtp"]
            await viewer.until(lambda: viewer.shown_s(last) is not None, 60)
            async with aiohttp.ClientSession() as http:
                url = f"{far.server.address}signers/main/text"
                async with http.post(url, json={"text": "hello"}) as response:
                    refusal = await response.json()
                    assert response.status == 409
            assert near.address.rstrip("/").split(":")[-1] in refusal["remedy"], "it says where to go"
        finally:
            await viewer.close()
    seen = numbers(viewer)
    assert seen == sorted(seen)
    assert viewer.of_type("caption")[-1]["text"] == "HELLO BIG WORLD"
    labels = [g["label"] for g in answer["glosses"]]
    assert [g["label"] for g in viewer.of_type("gloss")] == labels
    waits = far.stats()
    assert waits["buffered_ms_p50"] <= 60


async def test_loss_and_reordering_on_the_way_are_bridged(launch):
    near = await launch()
    rng, held = random.Random(1), []
    async with Far(f"{near.address}whep/main", delay_ms=90.0) as far:
        arrive = far.source.link._on_motion

        def bad_network(frame: MotionFrame, now_ns: int) -> None:
            if rng.random() < 0.1:
                return
            if rng.random() < 0.2:
                held.append((frame, now_ns))
                return
            arrive(frame, now_ns)
            while held:
                arrive(held.pop()[0], now_ns)

        far.source.link._on_motion = bad_network
        viewer = await Viewer(far.server.address, keep_pictures=True).connect()
        try:
            await until(lambda: far.stats()["filled"] >= 5 and far.stats()["reordered"] >= 3)
            await viewer.until(lambda: len(set(numbers(viewer))) >= 30, 60)
        finally:
            await viewer.close()
    seen = numbers(viewer)
    assert seen == sorted(seen), "never back in time"


async def test_a_signer_that_restarts_is_joined_again_and_the_picture_goes_on(launch):
    near = await launch()
    port = int(near.address.rstrip("/").rsplit(":", 1)[1])
    async with Far(f"{near.address}whep/main") as far:
        viewer = await Viewer(far.server.address, keep_pictures=True).connect()
        try:
            await viewer.until(lambda: viewer.frames >= 20, 60)
            await near.close()
            await until(lambda: not far.source.link.connected)
            assert any("no motion" in text for text in far.server.stage.trouble())
            before, held = viewer.frames, far.stats()["held"]
            await viewer.until(lambda: viewer.frames >= before + 20, 60)
            assert far.stats()["held"] > held, "the last pose is held"
            again = await launch(port=port)
            await until(lambda: far.source.link.connections == 2)
            newest = far.stats()["received"]
            await until(lambda: far.stats()["received"] >= newest + 10)
            await again.stage.channels["main"].say("AGAIN")
            await viewer.until(lambda: viewer.of_type("gloss"), 60)
        finally:
            await viewer.close()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--from", "rtmp://x"], "whep"),
        (["--from", "http://127.0.0.1:1/whep/main", "--whip", "rtmp://x"], "WHIP"),
        (["--from", "http://127.0.0.1:1/whep/main", "--out", "x.avi"], ".mp4"),
        (["--from", "http://127.0.0.1:1/whep/main", "--buffer-ms", "-3"], "2000"),
    ],
)
def test_wrong_arguments_are_explained(arguments, told, capsys):
    from stream.cli import main

    assert main(["render", "--port", "0", *arguments]) == 1
    assert told in capsys.readouterr().err


def likeness(picture: np.ndarray, expected: np.ndarray) -> float:
    """Correlation of two luma planes."""
    return float(np.corrcoef(picture.ravel().astype(np.float64), expected.ravel().astype(np.float64))[0, 1])


@pytest.mark.skipif(not (has_janus() and has_gstreamer()), reason="needs janus and GStreamer (make test)")
async def test_real_processes_draw_publish_record_and_show(tmp_path: Path):
    """handstream serve -> handstream render -> Janus, GStreamer and a file; each sees our signer."""
    out = tmp_path / "signs.ts"
    async with Janus(tmp_path / "janus") as janus, Command("serve", "--port", "0") as near:
        render = Command(
            "render", "--from", f"{near.url}whep/main", "--signer", "mira", "--size", "256x256",
            "--port", "0", "--whip", janus.whip, "--out", str(out), HANDSTREAM_WHIP_TOKEN=janus.token,
        )  # fmt: skip
        async with render as far:
            async with Subscriber(janus) as subscriber:
                await until(lambda: len(subscriber.pictures) >= 10, 120)
                pictures = list(subscriber.pictures)
            report = await gstreamer(f"{far.url}whep/main")
            async with aiohttp.ClientSession() as http, http.get(f"{far.url}stats") as response:
                stats = await response.json()
        assert janus.deleted == 1, "it takes its leave"
    assert report["frames"] >= 20, json.dumps(report)
    assert (report["width"], report["height"]) == (256, 256)
    link = stats["pipeline"]["scheduler"]
    assert link["connected"]
    assert link["received"] > 20
    renderer = AvatarRenderer(AvatarConfig("mira", 256, 256))
    renderer.open()
    try:
        rest = renderer.render(MotionFrame(0, 0, *_zeros())).i420[:256]
    finally:
        renderer.close()
    with av.open(str(out)) as container:
        recorded = [f.to_ndarray(format="yuv420p")[:256] for f in container.decode(video=0)]
    assert len(recorded) >= 20
    # Ours stands with hanging arms and a label below: the head and the background are where they would be.
    for picture in (pictures[-1][:256], recorded[-1]):
        assert picture.shape == (256, 256)
        assert likeness(picture[:110], rest[:110]) > 0.8


def _zeros() -> list[np.ndarray]:
    return [np.zeros(shape, np.float32) for shape in ((60, 2), (2, 16, 3), (55, 3), (52,))]


async def gstreamer(url: str) -> dict:
    viewer = await asyncio.create_subprocess_exec(PYTHON, SCRIPT, url, "H264", "20", stdout=-1, stderr=-1)
    out, err = await asyncio.wait_for(viewer.communicate(), 120)
    return json.loads(out or b"{}") | {"stderr": err.decode()[-500:]}
