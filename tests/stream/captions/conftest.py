"""What tests of caption inputs share: collecting a feed, and a server for routes and files on 127.0.0.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from stream.captions import CaptionSource, TimedText

Serve = Callable[..., Awaitable[str]]


async def take(source: CaptionSource, count: int, within_s: float = 10) -> list[TimedText]:
    """The next `count` pieces; fails when they do not come in time."""
    found: list[TimedText] = []
    async with asyncio.timeout(within_s):
        while len(found) < count:
            found.append(await anext(aiter(source)))
    return found


async def everything(source: CaptionSource, within_s: float = 20) -> list[TimedText]:
    """All pieces until the source ends by itself; closes it."""
    try:
        async with asyncio.timeout(within_s):
            return [piece async for piece in source]
    finally:
        await source.aclose()


def texts(pieces: list[TimedText]) -> list[str]:
    return [piece.text for piece in pieces]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server with these routes; gives its address, `http://127.0.0.1:port`."""
    runners: list[web.AppRunner] = []

    async def start(*found: web.AbstractRouteDef) -> str:
        app = web.Application()
        app.add_routes(found)
        runner = web.AppRunner(app, shutdown_timeout=1)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        return f"http://{host}:{port}"

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """Every task of a test has ended when the test has."""
    before = asyncio.all_tasks()
    yield
    for _ in range(50):
        left = [t for t in asyncio.all_tasks() - before if t.get_name().startswith("captions")]
        if not left:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"tasks left running: {left}")
