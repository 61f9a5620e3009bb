"""What viewers see while things break: renderers die, hang or slow down, encoders fail, viewers stall.

The limit: one frame. The broken drawing is lost, the next one can be new. Counted are frames without a new
picture, from the picture numbers in the stamps that a real peer reads; a picture sent again has the old
number. Between faults the same is counted without any (`nothing`): what a busy machine loses by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import threading
import time
import urllib.request
from dataclasses import dataclass

import aiohttp

from stream.bench import stamp
from stream.bench.latency import post
from stream.bench.outcome import Outcome, Plot, Row, Series, percentiles
from stream.bench.peers import AiortcPeer, Sample
from stream.bench.serving import StampedServer

FAULTS = {
    "nothing": "",
    "renderer killed": "raise",
    "renderer hung 3 s": "hang 3",
    "renderer slow 5 s": "slow 5",
    "encoder failed": "encoder",
    "viewer stalled 5 s": "",
}
STALL = "viewer stalled 5 s"
STALL_S = 5.0
LIVE_MS = 200.0
MOST_FRAMES = 1
MOST_QUEUED = 2
TEXT = "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG " * 4


@dataclass(frozen=True, slots=True)
class Seen:
    """One fault. missed: longest run of frames without a new picture. back_ms: until the next new picture;
    after a stall, until one that is no older than `LIVE_MS`. queued: most frames that waited for the viewer.
    """

    fault: str
    missed: int
    back_ms: float
    queued: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, help="how often each fault; default %(default)s")
    parser.add_argument("--every", type=float, default=12.0, metavar="SECONDS", help="from one to the next")


def run(args: argparse.Namespace) -> Outcome:
    print("limit: 1 frame without a new picture for each drawing that is lost")
    with StampedServer() as server:
        server.until_ready()
        seen, samples = asyncio.run(measure(server, args))
        metrics = server.metrics()
    return told(args, seen, samples, metrics)


async def measure(server: StampedServer, args: argparse.Namespace) -> tuple[list[Seen], list[Sample]]:
    peer = await AiortcPeer(server.url).open()
    seen: list[Seen] = []
    every: list[Sample] = []
    try:
        await peer.viewer.until(lambda: peer.viewer.frames > 50, 60)
        async with aiohttp.ClientSession(server.url) as http:
            for fault in itertools.islice(itertools.cycle(FAULTS), args.rounds * len(FAULTS)):
                async with http.post("/signers/main/interrupt"):
                    pass
                await post(http, TEXT)
                every += peer.take()
                before, began_ns = every[-1:], time.monotonic_ns()
                looker = break_it(server, fault)
                resumed_ns = time.monotonic_ns()
                if looker is not None:
                    await peer.viewer.resync()
                await asyncio.sleep(args.every)
                queued = 0 if looker is None else await asyncio.to_thread(looker.ended)
                after = before + peer.samples
                if fault == STALL:
                    live = (s.shown_ns for s in after[1:] if s.shown_ns > resumed_ns and s.age_ms <= LIVE_MS)
                    back_ms = (next(live, resumed_ns + 10**10) - resumed_ns) / 1e6
                    seen.append(Seen(fault, 0, back_ms, queued))
                else:
                    seen.append(Seen(fault, longest_run(after), next_new_ms(after, began_ns)))
                print(f"{fault}: {seen[-1].missed} frames without a new picture", flush=True)
        every += peer.take()
    finally:
        await peer.close()
    return seen, every


def break_it(server: StampedServer, fault: str) -> _Looker | None:
    """Do it. A stalled viewer is this process, standing still; then who looked at what waits for it."""
    if fault != STALL:
        if FAULTS[fault]:
            server.fault(FAULTS[fault])
        return None
    looker = _Looker(server.url)
    looker.start()
    time.sleep(STALL_S)  # on purpose: nothing of the viewer moves
    looker.ends = True
    return looker


class _Looker(threading.Thread):
    """Asks the server how many frames wait for its viewers."""

    def __init__(self, url: str) -> None:
        super().__init__(name="looker", daemon=True)
        self._url = url
        self.most = 0
        self.ends = False

    def ended(self) -> int:
        """Most frames that waited."""
        self.join()
        return self.most

    def run(self) -> None:
        while not self.ends:
            with urllib.request.urlopen(f"{self._url}stats", timeout=10) as answer:
                peers = json.load(answer)["signers"]["main"]["peers"]
            self.most = max([self.most, *(peer["queued"] for peer in peers)])
            time.sleep(0.2)


def longest_run(samples: list[Sample]) -> int:
    """Frames in a row of which no new picture was shown."""
    wrap = 1 << stamp.SEQ_BITS
    numbers = [sample.stamp.seq for sample in samples]
    steps = ((b - a) % wrap for a, b in itertools.pairwise(numbers))
    return max((step - 1 for step in steps if 0 < step < wrap // 2), default=0)


def next_new_ms(samples: list[Sample], began_ns: int) -> float:
    """From the fault to the first picture that was drawn after it."""
    new = (s.shown_ns for s in samples if s.stamp.drawn_ns > began_ns)
    return (next(new, began_ns + 10**10) - began_ns) / 1e6


def told(
    args: argparse.Namespace, seen: list[Seen], samples: list[Sample], metrics: dict[str, float]
) -> Outcome:
    """What was seen, by fault."""
    rows: list[Row] = []
    for fault in FAULTS:
        same = [s for s in seen if s.fault == fault]
        missed = percentiles([float(s.missed) for s in same])
        back = percentiles([s.back_ms for s in same])
        rows.append(
            {
                "fault": fault,
                "times": len(same),
                "missed p50": missed.get("p50", 0.0),
                "missed max": missed.get("max", 0.0),
                "back ms p50": back.get("p50", 0.0),
                "back ms max": back.get("max", 0.0),
                "queued": max((s.queued for s in same), default=0),
            }
        )
    by_name = {row["fault"]: row for row in rows}
    killed, stalled = by_name["renderer killed"], by_name[STALL]
    began_ns = samples[0].shown_ns if samples else 0
    times = [(s.shown_ns - began_ns) / 1e9 for s in samples]
    plots = [
        Plot(
            "Frames without a new picture, worst of each fault",
            "",
            "frames",
            [Series("worst", range(len(rows)), [row["missed max"] for row in rows])],
            kind="bars",
            limit=MOST_FRAMES,
            labels=[str(row["fault"]) for row in rows],
        ),
        Plot(
            "Age of pictures while things break",
            "seconds",
            "milliseconds",
            [Series("drawn to decoded", times, [s.age_ms for s in samples])],
            kind="points",
            note=f"{args.rounds} rounds: {', '.join(FAULTS)}, {args.every:.0f} s apart",
        ),
    ]
    reached = {
        f"renderer killed: at most {MOST_FRAMES} frame without a new picture": (
            f"most {killed['missed max']:.0f}",
            killed["missed max"] <= MOST_FRAMES,
        ),
        f"viewer stalled: at most {MOST_QUEUED} frames queued": (
            f"{stalled['queued']}",
            stalled["queued"] <= MOST_QUEUED,
        ),
        f"viewer stalled: live again within {LIVE_MS:.0f} ms": (
            f"most {stalled['back ms max']:.0f} ms",
            stalled["back ms max"] <= LIVE_MS,
        ),
    }
    names = ("pictures", "render_failures", "encode_failures", "fallbacks", "repeated", "dropped")
    counted = {name: metrics.get(f"handstream_{name}_total", 0.0) for name in names}
    figures = {"rounds": args.rounds, "rows": rows, "pictures_seen": len(samples), "counted": counted}
    return Outcome("chaos", figures, rows, plots, reached)
