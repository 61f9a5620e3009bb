"""A server with stand-ins for engine and renderer, on a free port of this machine."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from stream.config import Config
from stream.performer import Cast
from stream.server import Server
from tests.stream.stand_ins import light_cast

Launch = Callable[..., Awaitable[Server]]
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs against real browsers, brokers and networks in real time is tried twice, and says so (`R`).

    Shared machines stand still for seconds at times, and then a peer is lost for no fault of ours. A defect
    fails twice. Nothing outside this folder is tried again.
    """
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture
async def launch() -> AsyncIterator[Launch]:
    """`await launch(cast, **config)`: a running server, closed after the test."""
    running: list[Server] = []

    async def start(cast: Cast | None = None, **settings: object) -> Server:
        defaults: dict[str, object] = {"port": 0, "width": 128, "height": 64, "handshake_s": 30.0}
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
