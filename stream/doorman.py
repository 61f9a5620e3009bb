"""At the door, before any request is understood: how many connections, for how long, and in what cipher.

Enters: connections. Leaves: those that may stay, to aiohttp. Does not know tokens or routes.

Somebody who opens connections and says nothing, or says it a byte at a time, gives up or is given up: heads
have `AccessSettings.header_s` (aiohttp's keep-alive time, which also counts before the first request), bodies
`body_s`, and one address holds at most `max_connections_per_address`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from stream.config import AccessSettings
from stream.errors import Handler, Refusal, StartupError

log = logging.getLogger(__name__)

HANDSHAKE_S = 10.0
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 10\r\n"
    b'Connection: close\r\n\r\n{"error": "too many connections", "remedy": "close some, or try again"}'
)


class Door:
    """Counts who is in."""

    def __init__(self, settings: AccessSettings) -> None:
        self._settings = settings
        self.inside: Counter[str] = Counter()
        self.turned_away = 0

    def enter(self, address: str) -> bool:
        settings = self._settings
        if (
            self.inside.total() >= settings.max_connections
            or self.inside[address] >= settings.max_connections_per_address
        ):
            self.turned_away += 1
            return False
        self.inside[address] += 1
        return True

    def leave(self, address: str) -> None:
        self.inside[address] -= 1
        if self.inside[address] <= 0:
            del self.inside[address]


class _Visitor(asyncio.Protocol):
    """One connection: let in and handed on to aiohttp, or turned away."""

    def __init__(self, door: Door, handler: asyncio.Protocol) -> None:
        self._door, self._handler = door, handler
        self._address: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if self._door.enter(address):
            self._address = address
            self._handler.connection_made(transport)
        else:
            assert isinstance(transport, asyncio.WriteTransport) or hasattr(transport, "write")
            transport.write(FULL)
            transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._address is not None:
            self._door.leave(self._address)
            self._handler.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._address is not None:
            self._handler.data_received(data)

    def eof_received(self) -> bool | None:
        return self._handler.eof_received() if self._address is not None else None

    def pause_writing(self) -> None:
        if self._address is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        if self._address is not None:
            self._handler.resume_writing()


class GuardedSite(web.SockSite):
    """A site whose connections pass the door."""

    def __init__(
        self, runner: web.AppRunner, listener: socket.socket, door: Door, tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(runner, listener, ssl_context=tls)
        self._door, self._listener, self._tls = door, listener, tls

    async def start(self) -> None:
        await web.BaseSite.start(self)
        server = self._runner.server
        assert server is not None, "the runner was set up"
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Visitor(self._door, server()),
            sock=self._listener,
            ssl=self._tls,
            ssl_handshake_timeout=HANDSHAKE_S if self._tls is not None else None,
        )


def limit_bodies(body_s: float) -> Middleware:
    """Middleware: a request's body must be there within that time, or it is answered 408."""

    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.body_exists or request.content.is_eof():
            return await handler(request)

        def late() -> None:
            if not request.content.is_eof():
                request.content.set_exception(
                    Refusal(408, f"the body was not there within {body_s:.0f} s", "send it faster")
                )

        timer = asyncio.get_running_loop().call_later(body_s, late)
        try:
            return await handler(request)
        finally:
            timer.cancel()

    return limit


def tls_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer with that certificate. Raises StartupError for files that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise StartupError(
            f"TLS: {certificate} and {key or 'the key in it'} cannot be used ({error}); give PEM files"
        ) from error
    return context


def reload_tls(context: ssl.SSLContext, certificate: Path, key: Path | None) -> Callable[[], None]:
    """For SIGHUP: connections from now on get the certificate that is in the files now; a bad one changes
    nothing.
    """

    def reload() -> None:
        try:
            tls_context(certificate, key)  # tried first, on one of its own
            context.load_cert_chain(certificate, key)
        except (StartupError, OSError) as error:
            log.error("the old certificate stays in use: %s", error)
        else:
            log.info("the certificate was read again: %s", certificate)

    return reload
