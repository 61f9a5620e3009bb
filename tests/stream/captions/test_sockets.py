"""Captions over WebSocket and POST, in both directions, between real aiohttp peers on 127.0.0.1."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from stream.captions import Feed, Limits, Reviser, commits, open_captions, routes
from tests.stream.captions.conftest import Serve, everything, take, texts
from tests.stream.captions.test_ttml import live

LIMITS = Limits(backoff_s=0.05, message_bytes=4096, queue=8)


async def test_posted_lines_and_json(serve: Serve) -> None:
    feed = Feed(LIMITS)
    address = await serve(*routes(feed, "/x/captions"))
    async with aiohttp.ClientSession() as session:
        for body in (
            "Guten Abend\nmeine Damen\n",
            '{"text": "und Herren", "language": "de", "start_ms": 1500}',
        ):
            async with session.post(f"{address}/x/captions/text", data=body.encode()) as answer:
                assert answer.status == 202
        for bad in ('{"txt": 1}', '{"text": "a", "final": 3}', '{"text": "a", "start_ms": "b"}', "{"):
            async with session.post(f"{address}/x/captions/text", data=bad) as answer:
                assert answer.status == 422
                assert (await answer.json())["remedy"]
        async with session.post(f"{address}/x/captions/text", data=b"a" * 5000) as answer:
            assert answer.status == 413
        async with session.post(f"{address}/x/captions/text", data=b"line\n" * 20) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        pieces = await take(feed, 3)
        assert texts(pieces) == ["Guten Abend", "meine Damen", "und Herren"]
        assert (pieces[2].language, pieces[2].start_ns) == ("de", 1_500_000_000)
        assert feed.waiting == 0  # of what did not fit, nothing was taken
        await feed.aclose()
        async with session.post(f"{address}/x/captions/text", data="late") as answer:
            assert answer.status == 410


async def test_numbered_posts_with_retries_restart_and_correction(serve: Serve) -> None:
    feed = Feed(LIMITS)
    address = await serve(*routes(feed))
    reviser = Reviser()
    out: list[str] = []

    async def read() -> None:
        async for commit in commits(feed, reviser):
            out.append(commit.text)

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        group.create_task(read())

        async def post(seq: str, body: str) -> int:
            async with session.post(
                f"{address}/captions/numbered?cid=1&seq={seq}", data=body.encode()
            ) as answer:
                if answer.status == 200:
                    assert len(await answer.text()) == len("2026-01-31T12:00:00.000")
                return answer.status

        one = "2026-01-31T12:00:00.000 region:reg1#cue1\nHELLO<br>WORLD\n"
        assert await post("1", one) == 200
        assert await post("1", one) == 200  # the answer was lost; the encoder tries again
        assert await post("2", "") == 200  # heartbeat
        assert await post("3", "2026-01-31T12:00:02.000\nHow are you\n2026-01-31T12:00:03.000\nfine\n") == 200
        assert (
            await post("3", "2026-01-31T12:00:02.000\nHow are you\n2026-01-31T12:00:03.000\nfine then\n")
            == 200
        )
        assert await post("1", "2026-01-31T12:00:09.000\nStarted anew\n") == 200
        assert await post("2", "no time\n") == 422
        assert await post("x", one) == 422
        assert await post("3", "2026-13-31T12:00:09.000\nWhen\n") == 422
        await asyncio.sleep(0.05)
        await feed.finish()
    assert out == ["HELLO WORLD", "How are you", "fine", "then", "Started anew"]
    assert reviser.take_changes() == []


async def test_a_recogniser_sends_partials_over_a_websocket(serve: Serve) -> None:
    feed = Feed(LIMITS)
    address = await serve(*routes(feed))
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{address}/captions/lines") as socket:
        for text, final in (
            ("the wether", False),
            ("the weather is", False),
            ("the weather is nice", True),
            ("and", False),
        ):
            await socket.send_str(json.dumps({"text": text, "final": final}))
        await socket.send_str('{"text": 1}')
        assert "remedy" in (await socket.receive_json())
        pieces = await take(feed, 4)
        assert [(p.text, p.cue, p.final) for p in pieces] == [
            ("the wether", 1, False),
            ("the weather is", 1, False),
            ("the weather is nice", 1, True),
            ("and", 4, False),
        ]
        await feed.aclose()
        closing = await socket.receive()
        assert closing.type is aiohttp.WSMsgType.CLOSE
        assert closing.data == 1001


async def test_a_full_feed_lets_a_websocket_wait_and_loses_nothing(serve: Serve) -> None:
    feed = Feed(LIMITS)
    address = await serve(*routes(feed))
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{address}/captions/lines") as socket:
        for n in range(100):
            await socket.send_str(f"line {n}")
        await asyncio.sleep(0.1)
        assert feed.waiting == 8
        assert texts(await take(feed, 100)) == [f"line {n}" for n in range(100)]
    await feed.aclose()


async def test_a_message_that_is_too_large_closes_only_that_socket(serve: Serve) -> None:
    feed = Feed(LIMITS)
    address = await serve(*routes(feed))
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{address}/captions/lines") as socket:
            await socket.send_str("x" * 10_000)
            assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        async with session.ws_connect(f"{address}/captions/lines") as socket:
            await socket.send_str("still here")
            assert texts(await take(feed, 1)) == ["still here"]
    await feed.aclose()


async def test_ebutt_live_published_to_us(serve: Serve) -> None:
    feed = Feed(LIMITS)
    address = await serve(*routes(feed))
    publish = f"{address}/captions/ebutt-live/news/publish"
    async with aiohttp.ClientSession() as session, session.ws_connect(publish) as socket:
        await socket.send_bytes(live(1, ("begin='10:00:01'", "Guten Morgen")))
        await socket.send_str("<nonsense/>")
        assert "EBU-TT Live" in (await socket.receive_json())["error"]
        await socket.send_str(live(2, ("begin='10:00:01'", "Guten Abend")).decode())
        first, second = await take(feed, 2)
    assert (first.text, second.text, second.revises) == ("Guten Morgen", "Guten Abend", first.seq)
    await feed.aclose()


@pytest.mark.parametrize("scheme", ["ws", "ebutt-live+ws"])
async def test_we_connect_and_connect_again(serve: Serve, scheme: str) -> None:
    """The node answers 503 first, then breaks off after each message, and resends the last one each time."""
    asked = 0

    async def node(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for n in (asked - 1, asked):
            document = live(n, (f"begin='10:00:{n:02}'", f"number {n}")).decode()
            message = document if scheme != "ws" else json.dumps({"text": f"number {n}", "id": n})
            await socket.send_str(message)
        await socket.close()
        return socket

    address = (await serve(web.get("/news/subscribe", node))).replace("http", scheme)
    feed = open_captions(f"{address}/news/subscribe", limits=LIMITS)
    assert texts(await take(feed, 5)) == [f"number {n}" for n in range(1, 6)]
    await feed.aclose()


async def test_commits_come_by_waiting_and_errors_after_the_last_words() -> None:
    from stream.captions import CaptionError, Cue, ReviserConfig

    feed = Feed()
    reviser = Reviser(ReviserConfig(patience_ns=30_000_000))
    await feed.put(Cue("almost said", "a", final=False))
    stream = commits(feed, reviser)
    assert (await asyncio.wait_for(anext(stream), 30)).text == "almost said "
    await feed.put(Cue("almost said it", "a", final=False))
    await feed.finish(CaptionError("the feed broke; mend it"))
    assert (await asyncio.wait_for(anext(stream), 30)).text == "it"
    with pytest.raises(CaptionError, match="broke"):
        await anext(stream)


async def test_closing_commits_closes_the_source() -> None:
    feed = Feed()
    stream = commits(feed, Reviser())
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.02)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await stream.aclose()
    assert feed.closed
    assert await everything(feed) == []


async def test_each_signer_has_its_feed(serve: Serve) -> None:
    feeds = {"anna": Feed(LIMITS), "ben": Feed(LIMITS)}

    def feed_of(request: web.Request) -> Feed:
        try:
            return feeds[request.match_info["signer"]]
        except KeyError:
            raise web.HTTPNotFound from None

    address = await serve(*routes(feed_of, "/signers/{signer}/captions"))
    async with aiohttp.ClientSession() as session:
        for name, status in (("anna", 202), ("ben", 202), ("carl", 404)):
            data = f"for {name}"
            async with session.post(f"{address}/signers/{name}/captions/text", data=data) as answer:
                assert answer.status == status
    for name, feed in feeds.items():
        assert texts(await take(feed, 1)) == [f"for {name}"]
        await feed.aclose()
