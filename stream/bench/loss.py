"""What a viewer sees at packet loss, and after its cable was pulled; aiortc and Chromium.

The limit: a keyframe can be made with the next picture, 40 ms, and is there after a trip. A relay between the
server and its viewer drops packets both ways. Measured are: from the request for a keyframe (asked again
each 100 ms, as it may be lost too) until one is decoded; the time between two new pictures; and from the
moment the cable is back until a picture is shown that is no older than `LIVE_MS`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from functools import partial
from typing import Any

import aiohttp
from aiohttp import web

from stream.bench.latency import post
from stream.bench.outcome import Outcome, Plot, Row, Series, percentiles
from stream.bench.peers import AiortcPeer, ChromiumPeer, Sample
from stream.bench.serving import StampedServer

CLEAN_MS = 500.0
LIVE_MS = 200.0
ASK_AGAIN_S = 0.1
BETWEEN_S = 1.5
TEXT = "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG " * 8


class Relay(asyncio.DatagramProtocol):
    """One way of the bad network: what comes here goes on to the other side, or is lost."""

    def __init__(self, network: BadNetwork) -> None:
        self.network = network
        self.other: Relay
        self.to: tuple[str, int] | None = None
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.to = addr
        if self.other.to is not None and not self.network.loses(data):
            self.other.transport.sendto(data, self.other.to)


class BadNetwork:
    """A web server in front of the real one, whose WHEP answers lead through a relay. loss: 0..1."""

    def __init__(self, server: str, seed: int = 1) -> None:
        self.loss = 0.0
        self.url = ""
        self._server = server
        self._rng = random.Random(seed)
        self._relays: list[Relay] = []

    def loses(self, data: bytes) -> bool:
        """Media alone (RFC 7983); without STUN and DTLS there would be no connection to measure."""
        return 127 < data[0] < 192 and self._rng.random() < self.loss

    async def __aenter__(self) -> BadNetwork:
        self._http = aiohttp.ClientSession()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://localhost:{self._runner.addresses[0][1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        for relay in self._relays:
            relay.transport.close()
        await self._runner.cleanup()
        await self._http.close()

    async def _pass(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.method == "POST" and "/whep/" in request.path:
            lines = body.decode().replace("\r\n", "\n").split("\n")  # the server must not know a way round us
            body = "\r\n".join(x for x in lines if "candidate" not in x).encode()
        kept = {k: v for k, v in request.headers.items() if k in ("Content-Type", "Authorization")}
        async with self._http.request(
            request.method, self._server + request.path.lstrip("/"), data=body, headers=kept
        ) as response:
            answer = await response.read()
            if response.content_type == "application/sdp":
                answer = (await self._led_here(answer.decode())).encode()
            passed = {k: response.headers[k] for k in ("Location", "Content-Type") if k in response.headers}
            return web.Response(status=response.status, body=answer, headers=passed)

    async def _led_here(self, sdp: str) -> str:
        """The answer with our relay as its only candidate."""
        lines = sdp.replace("\r\n", "\n").split("\n")
        found = [x.split() for x in lines if x.startswith("a=candidate:") and " udp " in x.lower()]
        host, port = next(((x[4], int(x[5])) for x in found if x[4] == "127.0.0.1"), ("", 0))
        if not host:
            raise RuntimeError("the server offers no loopback candidate to lead through the relay")
        loop = asyncio.get_running_loop()
        near, far = Relay(self), Relay(self)
        near.other, far.other, far.to = far, near, (host, port)
        for relay in (near, far):
            await loop.create_datagram_endpoint(partial(_itself, relay), local_addr=("127.0.0.1", 0))
        self._relays += [near, far]
        here = near.transport.get_extra_info("sockname")[1]
        kept, told = [], False
        for line in lines:
            if not line.startswith("a=candidate:"):
                kept.append(line)
            elif not told:
                kept.append(f"a=candidate:1 1 udp 2130706431 127.0.0.1 {here} typ host")
                told = True
        return "\r\n".join(kept)


def _itself(relay: Relay) -> Relay:
    return relay


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--loss", type=float, default=5.0, help="per cent, both ways; default %(default)s")
    parser.add_argument("--requests", type=int, default=30, help="keyframes asked for; default %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=40.0, help="of watching at loss; default %(default)s"
    )
    parser.add_argument("--pulls", type=int, default=5, help="times the cable is pulled; default %(default)s")
    parser.add_argument("--pulled", type=float, default=5.0, metavar="SECONDS", help="for so long")
    parser.add_argument("--peer", choices=("aiortc", "chromium", "both"), default="both")


def run(args: argparse.Namespace) -> Outcome:
    print("limit: 40 ms to the next picture, which can be a keyframe, and the way there")
    names = ("aiortc", "chromium") if args.peer == "both" else (args.peer,)
    found = {}
    with StampedServer() as server:
        server.until_ready()
        for name in names:
            found[name] = asyncio.run(_measure(server.url, name, args))
    return _told(args, found)


async def _measure(url: str, name: str, args: argparse.Namespace) -> dict[str, list[float]]:
    async with BadNetwork(url) as network, aiohttp.ClientSession(url) as http:
        kind = AiortcPeer if name == "aiortc" else ChromiumPeer
        peer = await kind(network.url).open()
        try:
            await _seen(peer, 25)
            await post(http, TEXT)
            network.loss = args.loss / 100
            clean = await _requests(peer, args.requests) if isinstance(peer, AiortcPeer) else []
            peer.take()
            await asyncio.sleep(args.seconds)
            await peer.look()
            gaps = _gaps(peer.take())
            network.loss = 0.0
            await asyncio.sleep(2.0)
            live = [await _pull(peer, network, args.pulled, http) for _ in range(args.pulls)]
        finally:
            network.loss = 0.0
            await peer.close()
    return {"clean": clean, "gaps": gaps, "live": live}


async def _seen(peer: AiortcPeer | ChromiumPeer, pictures: int) -> None:
    async with asyncio.timeout(60):
        while len(peer.samples) < pictures:
            await asyncio.sleep(0.1)
            await peer.look()


async def _requests(peer: AiortcPeer, count: int) -> list[float]:
    """From request to keyframe decoded, each."""
    keyframes: list[float] = []
    told = peer.viewer.on_frame

    def watched(frame: Any, received_ns: int) -> None:
        if frame.key_frame:
            keyframes.append(time.monotonic())
        if told is not None:
            told(frame, received_ns)

    peer.viewer.on_frame = watched
    receiver = peer.viewer.pc.getTransceivers()[0].receiver
    found = []
    for _ in range(count):
        await asyncio.sleep(BETWEEN_S * random.uniform(0.5, 1.5))
        asked_s = time.monotonic()
        while not (keyframes and keyframes[-1] > asked_s) and time.monotonic() < asked_s + 10:
            await receiver._send_rtcp_pli(peer.viewer._ssrc)
            until_s = time.monotonic() + ASK_AGAIN_S
            while time.monotonic() < until_s and not (keyframes and keyframes[-1] > asked_s):  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        first = next((at for at in keyframes if at > asked_s), asked_s + 10)
        found.append((first - asked_s) * 1e3)
    peer.viewer.on_frame = told
    return found


def _gaps(samples: list[Sample]) -> list[float]:
    """Between pictures with a new number, in milliseconds."""
    found, last = [], None
    for sample in sorted(samples, key=lambda s: s.shown_ns):
        if last is not None and sample.stamp.seq != last.stamp.seq:
            found.append((sample.shown_ns - last.shown_ns) / 1e6)
        if last is None or sample.stamp.seq != last.stamp.seq:
            last = sample
    return found


async def _pull(
    peer: AiortcPeer | ChromiumPeer, network: BadNetwork, seconds: float, http: aiohttp.ClientSession
) -> float:
    """From the cable's return to a live picture."""
    await post(http, "THE QUICK BROWN FOX")
    network.loss = 1.0
    await asyncio.sleep(seconds)
    await peer.look()
    peer.take()
    network.loss, back_ns = 0.0, time.monotonic_ns()
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(0.02)
            await peer.look()
            live = (s.shown_ns for s in peer.samples if s.shown_ns > back_ns and s.age_ms <= LIVE_MS)
            if (first := next(live, None)) is not None:
                await asyncio.sleep(3.0)
                return (first - back_ns) / 1e6


def _told(args: argparse.Namespace, found: dict[str, dict[str, list[float]]]) -> Outcome:
    what = {
        "clean": "request to keyframe decoded, ms",
        "gaps": "between new pictures, ms",
        "live": f"live after {args.pulled:g} s without a cable, ms",
    }
    rows: list[Row] = [
        {"peer": peer, "what": what[key], "times": len(values), **percentiles(values)}
        for peer, lists in found.items()
        for key, values in lists.items()
        if values
    ]
    reached = {}
    for row in rows:
        if row["what"] == what["clean"]:
            goal = f"{row['peer']}: a clean picture within {CLEAN_MS:.0f} ms of the request"
            reached[goal] = (f"p95 {row['p95']:.0f}, most {row['max']:.0f} ms", row["max"] <= CLEAN_MS)
        elif row["what"] == what["gaps"]:
            goal = f"{row['peer']}: never longer than {CLEAN_MS:.0f} ms without a new picture"
            reached[goal] = (f"p99 {row['p99']:.0f}, most {row['max']:.0f} ms", row["max"] <= CLEAN_MS)
        else:
            goal = f"{row['peer']}: live again within {LIVE_MS:.0f} ms"
            reached[goal] = (f"p50 {row['p50']:.0f}, most {row['max']:.0f} ms", row["max"] <= LIVE_MS)
    plots = [
        Plot(f"At {args.loss:g} % loss, {peer}: {what[key]}", "milliseconds", "share",
             [Series(peer, sorted(lists[key]), [])], kind="cdf", limit=CLEAN_MS)
        for peer, lists in found.items() for key in ("clean", "gaps") if lists[key]
    ]  # fmt: skip
    figures = {"loss_percent": args.loss, "pulled_s": args.pulled, "rows": rows}
    return Outcome("loss", figures, rows, plots, reached)
