"""Who is let in from where, and how much of what they send is taken: origins, connections, bodies."""

import asyncio
import json

import aiohttp
import pytest

from stream.config import AccessSettings
from stream.server import Server

WAIT_S = 60


async def well(server: Server) -> bool:
    """Whether it still answers."""
    async with aiohttp.ClientSession() as http, http.get(f"{server.address}healthz") as answer:
        return answer.status == 200


async def test_pages_of_other_origins_may_not_write_open_sockets_or_watch(launch):
    server = await launch(allow_origin=("https://friend.example",))
    url = f"{server.address}signers/main/captions/lines"
    async with aiohttp.ClientSession() as http:
        for origin, status in (("https://evil.example", 403), ("null", 403)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(url, headers={"Origin": origin})
            assert refused.value.status == status
            for path in ("signers/main/text", "whep/main"):
                async with http.post(f"{server.address}{path}", json={}, headers={"Origin": origin}) as no:
                    assert no.status == 403
                    assert "Access-Control-Allow-Origin" not in no.headers
        socket = await http.ws_connect(url, headers={"Origin": "https://friend.example"})
        await socket.close()


async def open_raw(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    port = int(server.address.rsplit(":", 1)[1].strip("/"))
    return await asyncio.open_connection("127.0.0.1", port)


async def test_a_connection_that_never_finishes_its_head_is_closed(launch):
    server = await launch(access=AccessSettings(header_s=1.0))
    reader, writer = await open_raw(server)
    silent, other = await open_raw(server)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")

    async def drip() -> None:
        while True:
            writer.write(b"a")
            await asyncio.sleep(0.1)

    dripping = asyncio.create_task(drip())
    try:
        assert await asyncio.wait_for(reader.read(), WAIT_S) == b""
        assert await asyncio.wait_for(silent.read(), WAIT_S) == b""
    finally:
        dripping.cancel()
        writer.close()
        other.close()
    assert await well(server)


@pytest.mark.parametrize("path", ["signers/main/text", "signers/main/captions/text", "whep/main"])
async def test_a_body_that_never_ends_is_given_up(launch, path):
    server = await launch(access=AccessSettings(body_s=0.5))
    reader, writer = await open_raw(server)
    head = (
        f"POST /{path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nContent-Length: 500\r\n\r\n{{"
    )
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.readline(), WAIT_S)
    assert b" 408 " in answer
    writer.close()


async def test_one_address_has_so_many_connections_and_gets_them_back(launch):
    server = await launch(access=AccessSettings(max_connections_per_address=3))
    held = [await open_raw(server) for _ in range(3)]
    async with asyncio.timeout(WAIT_S):
        while server.door.inside["127.0.0.1"] < 3:  # noqa: ASYNC110 - accepting has no event
            await asyncio.sleep(0.01)
    reader, writer = await open_raw(server)
    answer = await asyncio.wait_for(reader.read(), WAIT_S)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert json.loads(answer.split(b"\r\n\r\n")[1])["error"]
    writer.close()
    for _, other in held:
        other.close()
    async with asyncio.timeout(WAIT_S):
        while server.door.inside:  # noqa: ASYNC110 - closing has no event
            await asyncio.sleep(0.01)
    assert await well(server)


async def test_a_body_beyond_the_limit_is_refused_before_it_is_read(launch):
    server = await launch(max_body_bytes=2048)
    url = f"{server.address}signers/main/text"
    async with aiohttp.ClientSession() as http, http.post(url, json={"text": "x" * 10_000}) as answer:
        assert answer.status == 413
        assert (await answer.json())["remedy"]
