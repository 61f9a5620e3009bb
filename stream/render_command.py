"""`handstream render`: draws a signer of another server at this end, shows it here, and passes it on.

Enters: arguments; tokens from files or the environment. Leaves: a page and WHEP as `handstream serve` has
them, and, if asked, the picture published by WHIP or written to a file. Does not know how motion comes
(`stream.remote`), is drawn, or is served.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from renderer.avatar import SIGNERS
from stream.config import BACKGROUNDS, NAME, AccessSettings, Config, SignerSettings
from stream.renderers import add_renderer_arguments, choose_drawing, settings_of

if TYPE_CHECKING:
    from aiohttp import web

    from stream.stage import Stage

FROM_TOKEN, WHIP_TOKEN = "HANDSTREAM_FROM_TOKEN", "HANDSTREAM_WHIP_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = Config()
    parser.add_argument("--from", dest="source", required=True, metavar="URL",
                        help="the signer, e.g. http://host:8080/whep/main")  # fmt: skip
    parser.add_argument("--from-token", type=Path, metavar="FILE",
                        help=f"its token, if it wants one; or set {FROM_TOKEN}")  # fmt: skip
    parser.add_argument("--signer", default=next(iter(SIGNERS)), choices=tuple(SIGNERS), help="who is drawn")
    parser.add_argument("--size", default="512x512", help="picture size, WIDTHxHEIGHT, even, up to 1920x1080")
    parser.add_argument("--fps", type=float, default=default.fps, help="as the signer has them; default 25")
    parser.add_argument("--background", default="plain", choices=BACKGROUNDS)
    parser.add_argument("--bit-rate", type=int, default=None, help="video bits per second")
    add_renderer_arguments(parser)
    parser.add_argument("--buffer-ms", type=float, default=50.0, metavar="MS",
                        help="wait for late and lost motion; default %(default)g")  # fmt: skip
    parser.add_argument("--whip", metavar="URL", help="publish the picture to this WHIP endpoint")
    parser.add_argument("--whip-token", type=Path, metavar="FILE",
                        help=f"its token, if it wants one; or set {WHIP_TOKEN}")  # fmt: skip
    parser.add_argument("--out", metavar="FILE",
                        help="write .mp4, .mkv, .ts, .y4m, a pipe so named, or - (MPEG-TS)")  # fmt: skip
    parser.add_argument("--host", default=default.host, help=f"address of the page, default {default.host}")
    parser.add_argument(
        "--port", type=int, default=8090, help="port of the page, default %(default)s; 0: any"
    )
    parser.add_argument("--tokens", type=Path, metavar="FILE", help="who may watch here (docs/security.md)")
    parser.add_argument("--open", action="store_true", help="let everybody in who can reach --host")
    parser.add_argument("--ice-server", action="append", default=[], metavar="URL",
                        help="stun:host:port or turn:user:password@host:port; none by default")  # fmt: skip


def configuration(args: argparse.Namespace) -> Config:
    """The `Config` that the arguments ask for. Raises ValueError naming the argument that is wrong."""
    from stream.say_command import parse_size

    width, height = parse_size(args.size)
    last = urlsplit(args.source).path.rsplit("/", 1)[-1]
    name = last if NAME.fullmatch(last) else "main"
    return Config(
        host=args.host,
        port=args.port,
        signers=(SignerSettings(name, avatar=args.signer, background=args.background),),
        width=width,
        height=height,
        fps=args.fps,
        bit_rate=args.bit_rate,
        video=settings_of(args),
        ice_servers=tuple(args.ice_server),
        access=AccessSettings(tokens=args.tokens, open_to_all=args.open),
        drain_s=0.1,
    )


class Onwards:
    """Where the picture goes besides the page (`stream.server.Beside`): WHIP, a file, or nowhere."""

    def __init__(self, config: Config, whip: str | None, token: str | None, out: str | None) -> None:
        """Raises ValueError for an address or a file name that cannot be meant."""
        from stream.provenance import ALGORITHM, TRAINED
        from stream.remote.recorder import Recorder
        from stream.whip import Publisher

        drawn = choose_drawing(config.video, live=True)
        source = TRAINED if drawn.below is not None else ALGORITHM
        self._recorder = Recorder(out, config.fps, source) if out else None
        self._publisher = (
            (lambda b: Publisher(b, whip, token, config.codecs, config.rtc_ice_servers())) if whip else None
        )
        if whip and not whip.startswith(("http://", "https://")):
            raise ValueError(f"--whip: got {whip!r}, expected a WHIP endpoint such as https://host/whip/room")
        self._running: Publisher | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return []

    async def start(self, stage: Stage) -> None:
        broadcast = next(iter(stage.channels.values())).broadcast
        if self._recorder is not None:
            broadcast.taps.append(self._recorder.offer)
        if self._publisher is not None:
            self._running = self._publisher(broadcast)
            self._task = asyncio.create_task(self._running.run(), name="whip")

    def trouble(self) -> list[str]:
        others = (self._recorder, self._running)
        return [text for other in others if other is not None for text in other.trouble()]

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.close)


def token_of(path: Path | None, variable: str) -> str | None:
    """A secret from a file or the environment; None where neither is. Raises OSError, ValueError."""
    text = path.read_text("utf-8").strip() if path is not None else os.environ.get(variable, "").strip()
    if path is not None and not text:
        raise ValueError(f"{path}: it is empty; write the token into it")
    return text or None


def main(args: argparse.Namespace) -> int:
    config = configuration(args)  # wrong arguments are told before anything heavy is imported
    from_token, whip_token = token_of(args.from_token, FROM_TOKEN), token_of(args.whip_token, WHIP_TOKEN)
    import uvloop

    from stream.remote.source import RemoteSource
    from stream.server import run

    onwards = Onwards(config, args.whip, whip_token, args.out)
    source = RemoteSource(config, args.source, from_token, args.buffer_ms, bool(args.whip or args.out))

    def announce(address: str) -> None:
        where = sys.stderr if args.out == "-" else sys.stdout
        print(f"Open {address} in a browser: it shows {args.source}. Ctrl-C ends it.", file=where, flush=True)

    uvloop.run(run(config, source.cast(), announce, (source, onwards)))
    return 0
