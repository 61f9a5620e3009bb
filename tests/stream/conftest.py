"""A server with stand-ins for engine and renderer, on a free port of this machine."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from stream.config import Config
from stream.performer import Cast
from stream.server import Server
from tests.stream.stand_ins import light_cast

Launch = Callable[..., Awaitable[Server]]


@pytest.fixture
async def launch() -> AsyncIterator[Launch]:
    """`await launch(cast, **config)`: a running server, closed after the test."""
    running: list[Server] = []

    async def start(cast: Cast | None = None, **settings: object) -> Server:
        defaults: dict[str, object] = {"port": 0, "width": 128, "height": 64, "handshake_s": 5.0}
        server = Server(Config(**(defaults | settings)), cast or light_cast())  # type: ignore[arg-type]
        running.append(server)
        await server.start()
        return server

    yield start
    for server in running:
        await server.close()


@pytest.fixture
async def server(launch: Launch) -> Server:
    return await launch()
