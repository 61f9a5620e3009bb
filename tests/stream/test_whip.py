"""Publishing by WHIP into a real Janus: decoded by its subscribers, resumed when it fails, refused."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from stream.broadcast import Broadcast
from stream.shot import Shot
from stream.whip import Publisher
from tests.stream.janus import Janus, Subscriber, has_janus
from tests.stream.stand_ins import BarRenderer, motion_frame, read_bars
from tests.stream.test_remote import until

needs_janus = pytest.mark.skipif(not has_janus(), reason="needs apt-get install janus")


@pytest.fixture
async def broadcast() -> AsyncIterator[Broadcast]:
    """Bars at 25 pictures a second."""
    made, stop, renderer = Broadcast(25.0), threading.Event(), BarRenderer()
    renderer.opened_on = 0

    def feed() -> None:
        renderer.open()
        number = 0
        while not stop.wait(0.04):
            number += 1
            made.offer(Shot.of(renderer.render(motion_frame(number, time.monotonic_ns())), 1.0))

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    yield made
    stop.set()
    thread.join(10)
    await made.close()


@contextlib.asynccontextmanager
async def running(publisher: Publisher) -> AsyncIterator[Publisher]:
    task = asyncio.create_task(publisher.run())
    yield publisher
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@needs_janus
@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_janus_takes_the_picture_and_its_subscribers_decode_it(broadcast, codec, tmp_path: Path):
    async with Janus(tmp_path) as janus:
        async with running(Publisher(broadcast, janus.whip, janus.token, (codec,))) as publisher:
            await until(lambda: publisher.publishing)
            assert publisher.trouble() == []
            async with Subscriber(janus) as subscriber:
                await until(lambda: len(subscriber.pictures) >= 15)
                # the newest: what it guesses before its first keyframe is not ours
                numbers = [read_bars(np.asarray(p)[:64]) for p in subscriber.pictures[-5:]]
            assert numbers == sorted(set(numbers))
            assert publisher.stats()["frames"] > 15
            assert publisher.stats()["keyframe_requests"] >= 1, "Janus asks for its subscribers"
        await until(lambda: janus.deleted == 1)
        offer = janus.offers[0]
        assert "a=sendonly" in offer
        assert "m=application" not in offer
    assert not broadcast.watched, "nothing is encoded for nobody"


@needs_janus
async def test_a_session_that_ends_is_made_again(broadcast, tmp_path: Path):
    async with (
        Janus(tmp_path) as janus,
        running(Publisher(broadcast, janus.whip, janus.token)) as publisher,
    ):
        await until(lambda: publisher.publishing)
        await janus.destroy(janus.publishers.pop())  # the server throws it out
        await until(lambda: publisher.sessions == 2 and publisher.publishing)
        async with Subscriber(janus) as subscriber:
            await until(lambda: len(subscriber.pictures) >= 5)


@needs_janus
async def test_a_refusal_is_told_and_tried_again(broadcast, tmp_path: Path, caplog):
    async with (
        Janus(tmp_path) as janus,
        running(Publisher(broadcast, janus.whip, "wrong")) as publisher,
    ):
        await until(lambda: "401" in publisher.last_error)
        assert "who are you" in publisher.trouble()[0]
        assert not publisher.publishing
        publisher._endpoint.token = janus.token
        await until(lambda: publisher.publishing)
    assert sum("401" in record.message for record in caplog.records) == 1, "told once, not each time"


async def test_an_endpoint_that_is_not_there_stops_nothing(broadcast):
    async with running(Publisher(broadcast, "http://127.0.0.1:1/whip")) as publisher:
        await until(lambda: publisher.last_error != "connecting")
        assert not broadcast.watched
        assert "127.0.0.1:1" in publisher.trouble()[0]
    with pytest.raises(ValueError, match="WHIP endpoint"):
        Publisher(broadcast, "rtmp://x")
