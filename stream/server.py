"""The server: startup, serve, shutdown, readable from top to bottom. The composition root.

Enters: a `Config`. Leaves: HTTP and WebRTC on its port until SIGINT or SIGTERM. Does not know how signing,
drawing or encoding is done; it puts together those who do.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from aiohttp import web

from stream import routes, rtc, signaling
from stream.access import Gate
from stream.captions import CaptionError
from stream.config import Config, SignerSettings
from stream.doorman import Door, GuardedSite, limit_bodies, reload_tls, tls_context
from stream.errors import Refusal, StartupError, explain_errors
from stream.metrics import count_answers
from stream.origins import guard_origins
from stream.performer import Cast
from stream.stage import STAGE, Stage

__all__ = ["Config", "Server", "SignerSettings", "StartupError", "run", "serve"]

log = logging.getLogger(__name__)

WEB = Path(__file__).parent / "web"


class Beside(Protocol):
    """What a server runs beside its signers (kiosks on MQTT). Started once they are on air; closed first.

    `start` raises ValueError for what it cannot use. `trouble`: what is wrong just now, in words.
    """

    @property
    def routes(self) -> Sequence[web.AbstractRouteDef]: ...

    async def start(self, stage: Stage) -> None: ...

    def trouble(self) -> list[str]: ...

    async def close(self) -> None: ...


class Server:
    """One running server. `start`, then `close`; `address` says where it listens."""

    def __init__(self, config: Config, cast: Cast, beside: Sequence[Beside] = ()) -> None:
        self.config = config
        self.beside = beside
        self.stage = Stage(config, cast)
        self.address = ""
        self.door = Door(config.access)
        self._runner: web.AppRunner | None = None
        self._tls: ssl.SSLContext | None = None

    async def start(self) -> None:
        """Put the configured signers on air, then open the port. Raises StartupError, saying what to do."""
        rtc.use_loopback(self.config.uses_loopback)
        access, gate = self.config.access, self._gate()
        if access.tls_certificate is not None:
            self._tls = tls_context(access.tls_certificate, access.tls_key)
        pages = page_routes()
        app = web.Application(
            middlewares=[
                count_answers(self.stage.metrics),
                explain_errors,
                guard_origins(self.config.allow_origin),
                explain_errors,  # again: refusals too carry the headers without which pages cannot read them
                gate.middleware(frozenset(page.path for page in pages)),
                limit_bodies(access.body_s),
            ],
            client_max_size=self.config.max_body_bytes,
        )
        app[STAGE] = self.stage
        app.add_routes(routes.ROUTES)
        app.add_routes(signaling.ROUTES)
        app.add_routes(pages)
        for other in self.beside:
            app.add_routes(other.routes)
        runner = self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=self.config.grace_s, keepalive_timeout=access.header_s
        )
        try:
            await runner.setup()
            listener = self._bind()  # at once, so that a port in use is told before anything slow
            await self._put_on_air()
            for other in self.beside:
                self.stage.others.append(other.trouble)
                try:
                    await other.start(self.stage)
                except ValueError as error:
                    raise StartupError(str(error)) from error
            await self._listen(runner, listener)
        except BaseException:
            await self.close()
            raise

    async def drain(self) -> int:
        """Finish what is being signed, within `Config.drain_s`, and admit nobody. Returns signs left."""
        log.info("ending: what is being signed is finished within %.0f s", self.config.drain_s)
        left = await self.stage.drain(self.config.drain_s)
        if left:
            log.warning("%d signs were not signed within %.0f s", left, self.config.drain_s)
        return left

    async def close(self) -> int:
        """End every session within the grace, then threads and port. Returns how many were cut."""
        for other in self.beside:
            await other.close()
        cut = await self.stage.close(self.config.grace_s)
        if self._runner is not None:
            await self._runner.cleanup()
        if cut:
            log.warning(
                "%d connections did not end within %.0f s and were cancelled", cut, self.config.grace_s
            )
        return cut

    def reload(self) -> None:
        """Read the certificate again."""
        access = self.config.access
        if self._tls is not None and access.tls_certificate is not None:
            reload_tls(self._tls, access.tls_certificate, access.tls_key)()

    def _gate(self) -> Gate:
        try:
            gate = Gate.open(self.config.access.tokens, os.environ)
        except (ValueError, OSError) as error:
            raise StartupError(f"--tokens: {error}") from error
        if not (gate.closed or self.config.only_here or self.config.access.open_to_all):
            raise StartupError(
                f"listening on {self.config.host} lets everybody in that network watch, write and change "
                "signers; give --tokens FILE (or HANDSTREAM_TOKEN), or say --open if that is meant"
            )
        if not gate.closed and not self.config.only_here:
            log.warning("no token is asked for: whoever reaches %s may do everything", self.config.host)
        elif gate.closed and self._tls is None and not self.config.only_here:
            log.warning("without TLS, tokens can be read on their way: give --tls-cert, or use a proxy")
        return gate

    def _bind(self) -> socket.socket:
        host, port = self.config.host, self.config.port
        try:
            family, _, _, _, address = sorted(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            return listener
        except OSError as error:
            raise self._cannot_listen(error) from error

    async def _listen(self, runner: web.AppRunner, listener: socket.socket) -> None:
        try:
            await GuardedSite(runner, listener, self.door, self._tls).start()
        except OSError as error:
            raise self._cannot_listen(error) from error
        host, port = listener.getsockname()[:2]
        shown = "localhost" if host in ("0.0.0.0", "::", "127.0.0.1", "::1") else host
        self.address = f"{'http' if self._tls is None else 'https'}://{shown}:{port}/"

    def _cannot_listen(self, error: OSError) -> StartupError:
        host, port = self.config.host, self.config.port
        if error.errno == errno.EADDRINUSE:
            return StartupError(
                f"port {port} on {host} is in use; stop what listens there, or choose another with --port"
            )
        if error.errno == errno.EACCES:
            return StartupError(f"port {port} needs privileges; choose one above 1023 with --port")
        return StartupError(f"cannot listen on {host}:{port} ({error}); check --host and --port")

    async def _put_on_air(self) -> None:
        for settings in self.config.signers:
            try:
                await self.stage.create(settings)
            except Refusal as refusal:
                raise StartupError(f"signer {settings.name}: {refusal.error}; {refusal.remedy}") from refusal
        self.stage.put_on_air = True
        for name, source in self.config.captions.feeds:
            try:
                self.stage.captions_of(name).open(source)
            except CaptionError as error:
                raise StartupError(f"--captions {name}={source}: {error}") from error


def page_routes() -> list[web.RouteDef]:
    """One route for each file of the page that exists at start: nothing else of the disk can be asked for."""

    def serve(path: Path) -> Callable[[web.Request], object]:
        async def send(_request: web.Request) -> web.FileResponse:
            return web.FileResponse(path, headers={"Cache-Control": "no-cache"})

        return send

    found: list[web.RouteDef] = []
    for path in sorted(WEB.rglob("*")):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            where = path.relative_to(WEB).as_posix()
            found.append(web.get(f"/{where}", serve(path)))  # type: ignore[arg-type]
            if where == "index.html":
                found.append(web.get("/", serve(path)))  # type: ignore[arg-type]
    return found


def announce(address: str) -> None:
    """Tell a person, in one line whose first `http...` is the address, for programs that read it too."""
    print(f"Handstream is on air: open {address} in a browser. Ctrl-C ends it.", flush=True)


async def run(
    config: Config,
    cast: Cast | None = None,
    ready: Callable[[str], None] = announce,
    beside: Sequence[Beside] = (),
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is being signed; a second one ends at once.

    Raises StartupError.

    `ready` gets the address once viewers can come.
    """
    own: Cast | None = None
    if cast is None:
        from stream.cast import default_cast  # the heavy half: torch, lexicons, GL

        cast = own = await asyncio.to_thread(default_cast, config)
    server = Server(config, cast, beside)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    asked_s = 0.0

    def asked_to_end() -> None:
        nonlocal asked_s
        if stop.is_set() and loop.time() - asked_s > 0.5:  # sooner it is one wish, passed on twice
            os._exit(130)  # whatever hangs (a driver, a peer) is left to the system
        asked_s = asked_s if stop.is_set() else loop.time()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked_to_end)
    loop.add_signal_handler(signal.SIGHUP, server.reload)
    try:
        await server.start()
        # A hundred thousand objects that stay to the end: else each full collection looks through them all
        # again, a tenth of a second in which nobody gets a picture.
        gc.collect()
        gc.freeze()
        try:
            ready(server.address)
            await stop.wait()
            await server.drain()
        finally:
            gc.unfreeze()
            await server.close()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
        if own is not None:
            await asyncio.to_thread(own.close)


def serve(config: Config, beside: Sequence[Beside] = ()) -> int:
    """Serve on a loop of its own until told to stop. Returns 0; raises StartupError."""
    import uvloop

    uvloop.run(run(config, beside=beside))
    return 0


def main() -> None:
    """`python -m stream.server --port P`: for trying out; `handstream serve` has all the options."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--host", default=Config().host)
    parser.add_argument("--port", type=int, default=Config().port)
    args = parser.parse_args()
    logging.basicConfig(level="INFO")
    serve(Config(host=args.host, port=args.port))


if __name__ == "__main__":
    main()
