"""For as long as you like: captions keep coming, viewers come and go, one measures. Does anything grow?

The limit: nothing may. Told are the slopes of the delay (ms a minute) and of memory (MB a minute, judged in
runs of ten minutes and more), and what is left when everybody has gone: tasks, threads, open files. At the
end, connects and closes in quick succession. Two delays: the age of every picture at the viewer that stays
(drawn to decoded), and, of captions that find the signer at rest, text posted to first picture of the first
sign. Every minute the renderer is killed: how many frames had no new picture?
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field

import aiohttp

from stream.bench.chaos import MOST_FRAMES, longest_run
from stream.bench.latency import LETTERS, post
from stream.bench.outcome import Outcome, Plot, Row, Series, percentiles, slope
from stream.bench.peers import AiortcPeer, Sample
from stream.bench.serving import StampedServer
from stream.bench.viewer import Viewer

MOST_MS_PER_MINUTE = 1.0
MOST_MB_PER_HOUR = 20.0
MOST_MB_AFTER_CONNECTS = 10.0
WARMING_MINUTES = 10.0
"""Letters are signed for the first time, first visitors come: a shorter run says nothing of memory."""
SAMPLE_S = 10.0
LEFT = {"tasks": "handstream_tasks", "threads": "handstream_threads", "files": "process_open_fds"}
POOL = 'handstream_threads{kind="asyncio"}'
"""Idle workers that the event loop keeps for later; at most four more than there are cores."""
SETTLE_S = 60.0
SEEN_S = 3.0
"""Before and after the renderer was killed: pictures that are looked at."""
REMEMBERED = 1000
WARM_VISITS = 20


@dataclass
class Diary:
    """What was seen, by seconds since the beginning."""

    memory: list[tuple[float, float]] = field(default_factory=list)
    ages: list[tuple[float, float]] = field(default_factory=list)
    delays: list[tuple[float, float]] = field(default_factory=list)
    missed: list[int] = field(default_factory=list)
    """Frames in a row without a new picture after each time that the renderer was killed."""
    missed_before: list[int] = field(default_factory=list)
    recent: list[Sample] = field(default_factory=list)
    pictures: int = 0
    captions: int = 0
    comers: int = 0
    refused: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=30.0, help="default %(default)s")
    parser.add_argument("--guests", type=int, default=2, help="viewers that come and go at any time")
    parser.add_argument("--kill-every", type=float, default=60.0, metavar="SECONDS",
                        help="how often the renderer is killed, 0: never; default %(default)s")  # fmt: skip
    parser.add_argument("--connects", type=int, default=200, help="connects and closes at the end")


def run(args: argparse.Namespace) -> Outcome:
    print("limit: nothing may grow: 0 ms and 0 MB a minute, nothing left")
    with StampedServer("--max-viewers", "64") as server:
        server.until_ready()
        return asyncio.run(measure(server, args))


async def measure(server: StampedServer, args: argparse.Namespace) -> Outcome:
    async with aiohttp.ClientSession(
        server.url
    ) as http:  # whatever is made once is there: clips of every letter
        await post(http, " ".join(LETTERS))
    for _ in range(WARM_VISITS):
        await visit(server.url)
    empty = await settled(server, None)
    diary = Diary()
    peer = await AiortcPeer(server.url).open()
    began_s = time.monotonic()
    work = [
        asyncio.create_task(speak(server.url, peer, diary, began_s)),
        asyncio.create_task(watch(server, peer, diary, began_s)),
        asyncio.create_task(kill(server, peer, diary, args.kill_every)),
        *(asyncio.create_task(come_and_go(server.url, diary, seed)) for seed in range(args.guests)),
    ]
    done, _ = await asyncio.wait(work, timeout=args.minutes * 60, return_when=asyncio.FIRST_EXCEPTION)
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    for task in done:
        task.result()
    unread = peer.unread
    await peer.close()
    after = await settled(server, empty)
    connects_mb = await connects(server, args.connects) if args.connects else 0.0
    left = await settled(server, empty)
    return told(args, diary, empty, after, left, connects_mb, unread)


async def speak(url: str, peer: AiortcPeer, diary: Diary, began_s: float) -> None:
    """Captions of one to six letters, each after the one before was signed."""
    rng = random.Random(1)
    async with aiohttp.ClientSession(url) as http:
        while True:
            await asyncio.sleep(0.5 + rng.random())
            posted_ns = time.monotonic_ns()
            said = await post(http, " ".join(rng.choices(LETTERS, k=rng.randint(1, 6))))
            first = said["glosses"][0]["index"] % 16383
            shown = await peer.first_showing(first, 60)
            diary.captions += 1
            diary.delays.append((time.monotonic() - began_s, (shown.shown_ns - posted_ns) / 1e6))
            peer.viewer.events.clear()
            peer.viewer.arrivals.clear()
            await peer.viewer.until(lambda: bool(peer.viewer.of_type("idle")), 60)


async def watch(server: StampedServer, peer: AiortcPeer, diary: Diary, began_s: float) -> None:
    """Memory and picture ages, every few seconds."""
    while True:
        await asyncio.sleep(SAMPLE_S)
        at_s = time.monotonic() - began_s
        metrics = await asyncio.to_thread(server.metrics)
        diary.memory.append((at_s, metrics["process_resident_memory_bytes"] / 1e6))
        samples, peer.samples[:] = list(peer.samples), peer.samples[-1:]
        diary.pictures += len(samples)
        diary.recent = [*diary.recent, *samples][-REMEMBERED:]
        if samples:
            ages = sorted(sample.age_ms for sample in samples)
            diary.ages.append((at_s, ages[len(ages) // 2]))


async def kill(server: StampedServer, peer: AiortcPeer, diary: Diary, every_s: float) -> None:
    """Have the renderer die again and again, and count what the viewer that stays missed."""

    def missed(from_ns: int, until_ns: int) -> int:
        samples = (*diary.recent, *peer.samples)
        return longest_run([sample for sample in samples if from_ns <= sample.shown_ns < until_ns])

    seen_ns = round(SEEN_S * 1e9)
    while True:
        await asyncio.sleep(max(0.0, every_s - SEEN_S) if every_s else 3600.0)
        if every_s:
            began_ns = time.monotonic_ns()
            server.fault("raise")
            await asyncio.sleep(SEEN_S)
            diary.missed_before.append(missed(began_ns - seen_ns, began_ns))
            diary.missed.append(missed(began_ns - seen_ns // 10, began_ns + seen_ns))


async def come_and_go(url: str, diary: Diary, seed: int) -> None:
    """A guest: comes, stays up to fifteen seconds, and leaves, in order or without a word."""
    rng = random.Random(seed)
    while True:
        viewer = Viewer(url, decode=False)
        try:
            await viewer.connect()
            await asyncio.sleep(1 + rng.random() * 14)
        except (ConnectionError, aiohttp.ClientError, TimeoutError):
            diary.refused += 1
        finally:
            await viewer.close(delete=rng.random() < 0.8)
        diary.comers += 1
        await asyncio.sleep(rng.random() * 3)


async def visit(url: str) -> None:
    """One viewer that waits for a few pictures."""
    viewer = Viewer(url, decode=False)
    await viewer.connect()
    with contextlib.suppress(TimeoutError):
        await viewer.until(lambda: viewer.frames >= 3, 20)
    await viewer.close()


async def connects(server: StampedServer, count: int) -> float:
    """Megabytes that many connects and closes leave behind."""
    for _ in range(WARM_VISITS):
        await visit(server.url)  # memory that is kept for reuse
    await settled(server, None)
    before = server.memory_bytes()
    for _ in range(count):
        await visit(server.url)
    await settled(server, None)
    return (server.memory_bytes() - before) / 1e6


async def settled(server: StampedServer, empty: dict[str, float] | None) -> dict[str, float]:
    """Tasks, threads and files once nobody watches and all else is as `empty`, or after a minute."""
    until_s = time.monotonic() + SETTLE_S
    while True:
        await asyncio.sleep(1.0)
        metrics = await asyncio.to_thread(server.metrics)
        counts = _counts(metrics)
        calm = metrics["handstream_viewers"] == 0
        if calm and (empty is None or all(counts[w] <= empty[w] for w in LEFT)):
            if empty is None:
                await asyncio.sleep(5.0)  # threads that end by themselves after a while
                metrics = await asyncio.to_thread(server.metrics)
                counts = _counts(metrics)
            return counts
        if time.monotonic() > until_s:
            return counts


def _counts(metrics: dict[str, float]) -> dict[str, float]:
    counts = {what: metrics[name] for what, name in LEFT.items()}
    return counts | {"threads": counts["threads"] - metrics.get(POOL, 0.0)}


def told(
    args: argparse.Namespace,
    diary: Diary,
    empty: dict[str, float],
    after: dict[str, float],
    left: dict[str, float],
    connects_mb: float,
    unread: int,
) -> Outcome:
    """What the diary amounts to. The first minute is left out of slopes where there are more than three."""
    skip_s = 60.0 if args.minutes > 3 else 0.0

    def series(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
        kept = [(s / 60, y) for s, y in pairs if s >= skip_s]
        return [x for x, _ in kept], [y for _, y in kept]

    delay, age, memory = series(diary.delays), series(diary.ages), series(diary.memory)
    slopes = {
        "delay_ms_per_minute": round(slope(*delay), 3),
        "age_ms_per_minute": round(slope(*age), 3),
        "memory_mb_per_hour": round(slope(*memory) * 60, 3),
    }
    more = {what: left[what] - empty[what] for what in LEFT}
    rows: list[Row] = [
        {"what": what, "before": empty[what], "after": after[what], "at the end": left[what]} for what in LEFT
    ]
    plots = [
        Plot("Text to first picture", "minutes", "milliseconds", [Series("captions", *delay)], kind="points",
             note=f"slope {slopes['delay_ms_per_minute']} ms a minute"),
        Plot("Age of pictures at the viewer that stays (median of 10 s)", "minutes", "milliseconds",
             [Series("drawn to decoded", *age)], note=f"slope {slopes['age_ms_per_minute']} ms a minute"),
        Plot("Memory of the server", "minutes", "MB", [Series("resident", *memory)],
             note=f"slope {slopes['memory_mb_per_hour']} MB an hour"),
    ]  # fmt: skip
    grown = [
        name for name in ("delay_ms_per_minute", "age_ms_per_minute") if slopes[name] > MOST_MS_PER_MINUTE
    ]
    reached = {
        f"delay grows at most {MOST_MS_PER_MINUTE:.0f} ms a minute": (
            f"captions {slopes['delay_ms_per_minute']}, pictures {slopes['age_ms_per_minute']}",
            not grown,
        ),
        "no tasks, threads or files left": (
            ", ".join(f"{what} {count:+.0f}" for what, count in more.items()),
            all(count <= 0 for count in more.values()),
        ),
        f"renderer killed {len(diary.missed)} times: at most {MOST_FRAMES} frame without a new picture": (
            f"most {max(diary.missed, default=0)}; before it, most {max(diary.missed_before, default=0)}",
            max(diary.missed, default=0) <= MOST_FRAMES,
        ),
        f"{args.connects} connects leave less than {MOST_MB_AFTER_CONNECTS:.0f} MB": (
            f"{connects_mb:.1f} MB",
            connects_mb < MOST_MB_AFTER_CONNECTS,
        ),
    }
    if args.minutes >= WARMING_MINUTES:
        reached[f"memory flat (at most {MOST_MB_PER_HOUR:.0f} MB an hour)"] = (
            f"{slopes['memory_mb_per_hour']} MB an hour",
            slopes["memory_mb_per_hour"] <= MOST_MB_PER_HOUR,
        )
    figures = {
        "minutes": args.minutes,
        "captions": diary.captions,
        "pictures": diary.pictures,
        "unread_stamps": unread,
        "guests": diary.comers,
        "guests_refused": diary.refused,
        "delay_ms": percentiles(delay[1]),
        "picture_age_ms": percentiles(age[1]),
        **slopes,
        "left": more,
        "killed": {"missed": diary.missed, "missed_before": diary.missed_before},
        "connects": args.connects,
        "connects_mb": round(connects_mb, 2),
    }
    return Outcome("soak", figures, rows, plots, reached)
