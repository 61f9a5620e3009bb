"""What one more viewer of the same signer costs, and how many are served at 25 pictures a second.

The limit: a viewer's own share of the work is its packets' encryption and one system call each; that is
measured first, without any of our code. The signer signs all the while. Viewers are real aiortc peers in this
process, which is not the server's, that decrypt and count what arrives and decode nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import time

import aiohttp
import numpy as np
import pylibsrtp

from stream.bench.outcome import Outcome, Plot, Row, Series, slope
from stream.bench.serving import ServerProcess
from stream.bench.viewer import Viewer

FPS = 25.0
TARGET_CPU_PERCENT = 0.5
TARGET_MB = 2.0
WARM_S = 10.0
CATCH_UP_S = 30
PACKET_OCTETS = 700
TEXT = "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG " * 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--viewers", type=int, nargs="+", default=[1, 16, 32, 64], metavar="N")
    parser.add_argument("--seconds", type=float, default=10.0, help="of measuring at each number")


def run(args: argparse.Namespace) -> Outcome:
    print(f"limit: {limit_percent(2 * FPS):.2f}% of a core a viewer, to encrypt and send 50 packets/s")
    with ServerProcess("--max-viewers", str(max(args.viewers))) as server:
        server.until_ready()
        rows = asyncio.run(measure(server, sorted(args.viewers), args.seconds))
    counts = [row["viewers"] for row in rows]
    cpu = slope(counts, [row["cpu_percent"] for row in rows])
    megabytes = slope(counts, [row["memory_mb"] for row in rows])
    plots = [
        Plot("Processor", "viewers", "% of a core",
             [Series("server", counts, [row["cpu_percent"] for row in rows])]),
        Plot("Memory", "viewers", "MB", [Series("server", counts, [row["memory_mb"] for row in rows])]),
        Plot("Pictures a second", "viewers", "a second", [
            Series("mean", counts, [row["fps_mean"] for row in rows]),
            Series("slowest viewer", counts, [row["fps_least"] for row in rows]),
        ], limit=FPS),
    ]  # fmt: skip
    reached = {
        f"each more viewer at most {TARGET_CPU_PERCENT}% of a core": (
            f"{cpu:.2f}%",
            cpu <= TARGET_CPU_PERCENT,
        ),
        f"each more viewer at most {TARGET_MB:.0f} MB": (f"{megabytes:.2f} MB", megabytes <= TARGET_MB),
    }
    figures = {
        "sink": "aiortc peers in another process, packets decrypted and counted, not decoded",
        "rows": rows,
        "cpu_percent_per_viewer": round(cpu, 3),
        "mb_per_viewer": round(megabytes, 3),
        "cpu_ratio_to_first": round(cpu / rows[0]["cpu_percent"], 4) if rows[0]["cpu_percent"] else None,
        "limit_percent_per_viewer": round(limit_percent(rows[-1]["packets_per_s"]), 3),
        "seconds": args.seconds,
    }
    return Outcome("viewers", figures, rows, plots, reached)


def limit_percent(packets_per_s: float) -> float:
    """Per cent of a core to encrypt and send one viewer's packets, and nothing else."""
    policy = pylibsrtp.Policy(
        key=b"0" * 30,
        ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND,
        srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    )
    session = pylibsrtp.Session(policy)
    head, payload = b"\x80\x61", b"\0" * 8 + b"x" * PACKET_OCTETS
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source,
    ):
        sink.bind(("127.0.0.1", 0))
        source.connect(sink.getsockname())
        begun = time.process_time()
        count = 20_000
        for number in range(count):
            source.send(session.protect(head + number.to_bytes(2, "big") + payload))
        return (time.process_time() - begun) / count * packets_per_s * 100


async def measure(server: ServerProcess, counts: list[int], seconds: float) -> list[Row]:
    """Processor time, memory and delivered pictures at each number of viewers."""
    rows: list[Row] = []
    viewers: list[Viewer] = []
    async with aiohttp.ClientSession() as http:
        try:
            await sign(http, server.url)
            await asyncio.sleep(WARM_S)  # clips of the text are loaded, caches filled
            for count in counts:
                while len(viewers) < count:
                    viewers.append(await Viewer(server.url, decode=False, http=http).connect())
                await sign(http, server.url)
                await caught_up(viewers)
                # Asked on a thread: did this loop wait for the answer, pictures would pile up in its sockets,
                # be read within the time that counts, and be too many.
                cpu_s, begun_s = await asyncio.to_thread(server.cpu_s), time.monotonic()
                before = [(v.frames, v.packets, v.octets) for v in viewers]
                await asyncio.sleep(seconds)
                wall_s = time.monotonic() - begun_s
                fps = [(v.frames - b[0]) / wall_s for v, b in zip(viewers, before, strict=True)]
                packets = sum(v.packets - b[1] for v, b in zip(viewers, before, strict=True))
                octets = sum(v.octets - b[2] for v, b in zip(viewers, before, strict=True))
                used_s = await asyncio.to_thread(server.cpu_s) - cpu_s
                rows.append(
                    {
                        "viewers": count,
                        "cpu_percent": round(used_s / wall_s * 100, 2),
                        "memory_mb": round(await asyncio.to_thread(server.memory_bytes) / 1e6, 1),
                        "fps_mean": round(float(np.mean(fps)), 2),
                        "fps_least": round(min(fps), 2),
                        "packets_per_s": round(packets / count / wall_s, 1),
                        "kbit_per_s": round(octets * 8 / count / wall_s / 1000),
                    }
                )
        finally:
            await asyncio.gather(*(v.close() for v in viewers), return_exceptions=True)
    return rows


async def caught_up(viewers: list[Viewer]) -> None:
    """While viewers connect, pictures pile up in the sockets of those there are; wait until they are read."""
    calm = 0
    for _ in range(CATCH_UP_S):
        before = [v.frames for v in viewers]
        began_s = time.monotonic()
        await asyncio.sleep(1.0)
        most = max(v.frames - b for v, b in zip(viewers, before, strict=True))
        calm = calm + 1 if most <= FPS * (time.monotonic() - began_s) + 1 else 0
        if calm == 3:
            return


async def sign(http: aiohttp.ClientSession, url: str) -> None:
    """Have the signer sign the text from its beginning."""
    async with http.post(f"{url}signers/main/interrupt") as response:
        response.raise_for_status()
    async with http.post(f"{url}signers/main/text", json={"text": TEXT}) as response:
        response.raise_for_status()
