"""What one more viewer of the same signer costs, and how many are served at 25 pictures a second.

    python -m benchmarks.viewers [VIEWERS ...] [--seconds S]

The physical limit: a viewer's own share of the work is its packets' encryption and one system call each; that
is measured first, without any of our code. The signer signs all the while. Viewers are real aiortc peers in
another process that decrypt and count what arrives and decode nothing, so that they cost this machine little.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import time

import aiohttp
import numpy as np
import pylibsrtp

from benchmarks.serving import ServerProcess, where
from tests.stream.viewer import Viewer

FPS = 25.0
TARGET_CPU_PERCENT = 0.5
TARGET_MB = 2.0
WARM_S = 10.0
TEXT = "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG " * 8


def limit_percent(packets_per_s: float, octets: int) -> float:
    """Per cent of a core to encrypt and send one viewer's packets, and nothing else."""
    policy = pylibsrtp.Policy(
        key=b"0" * 30,
        ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND,
        srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    )
    session = pylibsrtp.Session(policy)
    head, payload = b"\x80\x61", b"\0" * 8 + b"x" * octets
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


async def measure(server: ServerProcess, counts: list[int], seconds: float) -> list[dict[str, float]]:
    """Processor time, memory and delivered pictures at each number of viewers."""
    rows = []
    viewers: list[Viewer] = []
    async with aiohttp.ClientSession() as http:
        try:
            await sign(http, server.url)
            await asyncio.sleep(WARM_S)  # clips of the text are loaded, caches filled
            for count in counts:
                while len(viewers) < count:
                    viewers.append(await Viewer(server.url, decode=False, http=http).connect())
                await asyncio.sleep(2.0)
                await sign(http, server.url)
                cpu_s, begun_s = server.cpu_s(), time.monotonic()
                before = [(v.frames, v.packets, v.octets) for v in viewers]
                await asyncio.sleep(seconds)
                wall_s = time.monotonic() - begun_s
                fps = [(v.frames - b[0]) / wall_s for v, b in zip(viewers, before, strict=True)]
                packets = sum(v.packets - b[1] for v, b in zip(viewers, before, strict=True))
                octets = sum(v.octets - b[2] for v, b in zip(viewers, before, strict=True))
                rows.append(
                    {
                        "viewers": count,
                        "cpu_percent": round((server.cpu_s() - cpu_s) / wall_s * 100, 2),
                        "memory_mb": round(server.memory_bytes() / 1e6, 1),
                        "fps_mean": round(float(np.mean(fps)), 2),
                        "fps_least": round(min(fps), 2),
                        "packets_per_s": round(packets / count / wall_s, 1),
                        "kbit_per_s": round(octets * 8 / count / wall_s / 1000),
                    }
                )
                print("  ".join(f"{name} {value:g}" for name, value in rows[-1].items()), flush=True)
        finally:
            await asyncio.gather(*(v.close() for v in viewers), return_exceptions=True)
    return rows


async def sign(http: aiohttp.ClientSession, url: str) -> None:
    """Have the signer sign the text from its beginning."""
    async with http.post(f"{url}signers/main/interrupt") as response:
        response.raise_for_status()
    async with http.post(f"{url}signers/main/text", json={"text": TEXT}) as response:
        response.raise_for_status()


def main() -> None:
    parser = argparse.ArgumentParser(description="what one more viewer costs")
    parser.add_argument("viewers", type=int, nargs="*", default=[1, 16, 32, 64])
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    most = str(max(args.viewers))
    print(f"limit: {limit_percent(2 * FPS, 700):.2f}% of a core a viewer, to encrypt and send 50 packets/s")
    with ServerProcess("--max-viewers", most) as server:
        rows = asyncio.run(measure(server, sorted(args.viewers), args.seconds))
    counts = [row["viewers"] for row in rows]
    per_viewer, megabytes = (
        float(np.polyfit(counts, [row[what] for row in rows], 1)[0]) if len(rows) > 1 else 0.0
        for what in ("cpu_percent", "memory_mb")
    )
    ratio = per_viewer / rows[0]["cpu_percent"]
    limit = limit_percent(rows[-1]["packets_per_s"], 700)
    print(
        f"each more viewer: {per_viewer:.2f}% of a core (target {TARGET_CPU_PERCENT}, limit {limit:.2f}), "
        f"{megabytes:.2f} MB (target {TARGET_MB}); {ratio:.3f} of what the first costs"
    )
    line = {
        "benchmark": "viewers",
        "sink": "aiortc peers in another process, packets decrypted and counted, not decoded",
        "rows": rows,
        "cpu_percent_per_viewer": round(per_viewer, 3),
        "mb_per_viewer": round(megabytes, 3),
        "cpu_ratio_to_first": round(ratio, 4),
        "limit_percent_per_viewer": round(limit, 3),
        "seconds": args.seconds,
        **where(),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
