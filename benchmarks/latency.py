"""Text posted to first picture of its first sign, decoded at a real WebRTC peer.

    python -m benchmarks.latency [POSTS] [--codec H264|VP8]

The physical limit: text arrives at any moment of a frame's period, so half a period passes on average before
anything can show it, and a whole one at worst. The rest is work: glossing, choreography (with the movement
from rest into the sign, as far as its first frame), drawing, encoding, the network of this machine, decoding.

How the picture is known: the `gloss` event names the RTP timestamp of the first picture that shows the sign,
and the peer notes when each timestamp left its decoder. Peer and poster share this process and its clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time

import aiohttp
import numpy as np

from benchmarks.serving import ServerProcess, where
from tests.stream.viewer import Viewer

PERIOD_MS = 40.0
TARGET_P95_MS = 250.0
LETTERS = "ABCDEFGHIKLMNOPQRSTUVWXY"
STAGES = ("glossing", "choreography", "render", "encode")


async def measure(url: str, posts: int, codec: str) -> tuple[list[float], list[dict[str, float]]]:
    """Milliseconds of each post, and the server's own account of it."""
    rng = random.Random(0)
    viewer = await Viewer(url, codecs=(codec,)).connect()
    totals: list[float] = []
    accounts: list[dict[str, float]] = []
    try:
        async with aiohttp.ClientSession(url) as http:
            await viewer.until(lambda: viewer.frames > 25 and bool(viewer.of_type("hello")), 30)
            await post(http, " ".join(LETTERS))  # warm: every clip is retargeted, cached and loaded
            await viewer.until(lambda: bool(viewer.of_type("idle")), 180)
            for _ in range(posts):
                viewer.events.clear()
                viewer.arrivals.clear()
                await asyncio.sleep(0.3 + rng.random() * PERIOD_MS / 1000)  # at any moment of the period
                posted_s = time.monotonic()
                said = await post(http, rng.choice(LETTERS))
                first = said["glosses"][0]["index"]

                def told(index: int = first) -> list[dict[str, int]]:
                    return [e for e in viewer.of_type("gloss") if e["index"] == index]

                await viewer.until(lambda told=told: bool(told()), 10)
                rtp = told()[0]["rtp"]
                await viewer.until(
                    lambda rtp=rtp: bool(viewer.shown_s(rtp) and viewer.of_type("latency")), 10
                )
                shown_s = viewer.shown_s(rtp)
                assert shown_s is not None
                totals.append((shown_s - posted_s) * 1e3)
                account = {stage: viewer.of_type("latency")[0][f"{stage}_ms"] for stage in (*STAGES, "total")}
                account["delivery"] = totals[-1] - account["total"]
                accounts.append(account)
                await viewer.until(lambda: bool(viewer.of_type("idle")), 20)
    finally:
        await viewer.close()
    return totals, accounts


async def post(http: aiohttp.ClientSession, text: str) -> dict[str, list[dict[str, int]]]:
    async with http.post("/signers/main/text", json={"text": text}) as response:
        response.raise_for_status()
        return dict(await response.json())


def percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{p}": round(float(np.percentile(values, p)), 1) for p in (50, 95, 99)}


def main() -> None:
    parser = argparse.ArgumentParser(description="text posted to first picture at a peer")
    parser.add_argument("posts", type=int, nargs="?", default=40)
    parser.add_argument("--codec", default="H264", choices=("H264", "VP8"))
    args = parser.parse_args()
    print(f"limit: half a frame's period, {PERIOD_MS / 2:.0f} ms on average, {PERIOD_MS:.0f} ms at worst")
    with ServerProcess() as server:
        totals, accounts = asyncio.run(measure(server.url, args.posts, args.codec))
    stages = {name: percentiles([a[name] for a in accounts]) for name in (*STAGES, "delivery")}
    for name, figures in stages.items():
        print(f"{name:13}", *(f"{p} {value:7.1f} ms" for p, value in figures.items()))
    total = percentiles(totals)
    print(
        f"{'total':13}",
        *(f"{p} {value:7.1f} ms" for p, value in total.items()),
        f"(target p95 {TARGET_P95_MS})",
    )
    line = {
        "benchmark": "latency",
        "posts": args.posts,
        "codec": args.codec,
        "total_ms": total,
        "stages_ms": stages,
        "limit_ms": PERIOD_MS / 2,
        "target_p95_ms": TARGET_P95_MS,
        **where(),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
