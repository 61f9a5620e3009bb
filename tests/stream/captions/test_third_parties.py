"""Caption inputs against programs of other people: ffmpeg's TTML, `websockets` at the other end of ours."""

# ruff: noqa: ASYNC221 - small files and one ffmpeg, with nothing else on the loop

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.exceptions import ConnectionClosed

from stream.captions import Feed, Limits, open_captions, routes
from tests.stream.captions.conftest import Serve, everything, take, texts
from tests.stream.captions.test_ttml import live

LIMITS = Limits(backoff_s=0.05, message_bytes=4096, queue=8)
PATIENCE_S = 60.0
SRT = """1
00:00:01,000 --> 00:00:02,500
Guten Morgen

2
00:00:03,000 --> 00:00:04,000
und <i>willkommen</i>
hier & da
"""


async def test_ttml_as_ffmpeg_writes_it_says_what_its_srt_said(tmp_path: Path) -> None:
    source, target = tmp_path / "a.srt", tmp_path / "a.ttml"
    source.write_text(SRT)
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", source, target], check=True, timeout=60)
    written, read = (
        [(c.text.replace("<i>", "").replace("</i>", ""), c.start_ns, c.end_ns) for c in pieces]
        for pieces in (
            await everything(open_captions(f"file:{source}"), PATIENCE_S),
            await everything(open_captions(f"file:{target}"), PATIENCE_S),
        )
    )
    assert read == written
    assert read[1] == ("und willkommen\nhier & da", 3_000_000_000, 4_000_000_000)


async def test_a_foreign_websocket_client_feeds_us_lines_and_documents(serve: Serve) -> None:
    feed = Feed(LIMITS)
    address = (await serve(*routes(feed))).replace("http", "ws")
    async with connect(f"{address}/captions/lines", compression="deflate") as socket:
        await socket.send(json.dumps({"text": "the wea", "final": False}))
        await socket.send(["the ", "weather"])  # one message in fragments
        await socket.send('{"text": 1}')
        assert "remedy" in json.loads(await socket.recv())
        assert texts(await take(feed, 2, PATIENCE_S)) == ["the wea", "the weather"]
    async with connect(f"{address}/captions/ebutt-live/news/publish") as socket:
        for number, text in ((1, "Guten Morgen"), (2, "Guten Abend")):
            await socket.send(live(number, ("begin='10:00:01'", text)).decode())
        first, second = await take(feed, 2, PATIENCE_S)
        assert (first.text, second.text, second.revises) == ("Guten Morgen", "Guten Abend", first.seq)
        await feed.aclose()
        with pytest.raises(ConnectionClosed) as ended:
            await socket.recv()
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1001, "we say that we go"


@pytest.mark.parametrize("scheme", ["ws", "ebutt-live+ws"])
async def test_we_listen_to_a_foreign_websocket_server_and_find_it_again(scheme: str) -> None:
    connections = 0

    async def node(socket: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        for n in (connections, connections + 1):  # what was said last is said again
            document = live(n, (f"begin='10:00:{n:02}'", f"number {n}")).decode()
            await socket.send(json.dumps({"text": f"number {n}", "id": n}) if scheme == "ws" else document)

    async with serve_websockets(node, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        feed = open_captions(f"{scheme}://127.0.0.1:{port}/news/subscribe", limits=LIMITS)
        assert texts(await take(feed, 5, PATIENCE_S)) == [f"number {n}" for n in range(1, 6)]
        await feed.aclose()
