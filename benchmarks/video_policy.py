"""Is there a new picture every 40 ms at a real viewer, whatever becomes of the video renderer?

Run: `python -m benchmarks.video_policy [--rounds 3] [--every 12] [--model FOLDER]`.
Without a model the avatar stands in for it, on its rung and under its policy, above the avatar: who draws in
time is what this is about, not what is drawn, and few CPUs draw any model in 24 ms. Each fault is done while
the preferred renderer draws; pictures are counted at an aiortc peer, by the numbers stamped into them
(`handstream bench chaos` does the same under the avatar's own policy). Ends with one JSON line, and with 1
where a goal was missed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from pathlib import Path
from typing import Any

import aiohttp

from stream.bench.chaos import TEXT, longest_run
from stream.bench.latency import post
from stream.bench.outcome import where
from stream.bench.peers import AiortcPeer, Sample
from stream.bench.serving import StampedServer

SIZE = "256x256"
FAULTS = {"nothing": "", "killed": "raise", "hung 3 s": "hang 3", "at 2 a second for 5 s": "slow 5 0.5"}
MOST_FRAMES = 1
HEALS_S = 90.0


class UnderPolicy(StampedServer):
    """A server whose preferred renderer (the avatar, where no model is given) is under the video renderer's
    policy, but for the blend: the first two of its pictures still bear the stamp of the one they come from,
    and would count as none.
    """

    command = (
        "-c",
        "import dataclasses\n"
        "from renderer.base import VIDEO\n"
        "from stream.bench import target\n"
        "made = target.under_test\n"
        "policy = dataclasses.replace(VIDEO, dissolve_frames=0)\n"
        "target.under_test = lambda *of: dataclasses.replace(made(*of), preferred=policy)\n"
        "raise SystemExit(target.main())\n",
    )


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=float, default=12.0, metavar="SECONDS")
    parser.add_argument("--model", type=Path, metavar="FOLDER")
    parser.add_argument("--backend", default="compile", help="compile (default, takes a minute) or eager")
    args = parser.parse_args()
    options = ["--size", SIZE]
    if args.model is not None:
        options += ["--renderer", "diffusion", "--renderer-model", str(args.model), "--renderer-steps", "1"]
        options += ["--renderer-backend", args.backend]
    with UnderPolicy(*options) as server:
        server.until_ready()
        rows, ladder = asyncio.run(measure(server.url, server.fault, args))
    worst = {name: max(row["frames"] for row in rows if row["fault"] == name) for name in FAULTS}
    reached = all(most <= MOST_FRAMES for name, most in worst.items() if name != "nothing")
    names = ("rendered", "rendered_below", "renderers_healed", "render_failures_by_kind", "repeated")
    told = {"worst": worst, "rows": rows, "reached": reached, **{name: ladder[name] for name in names}}
    print(json.dumps({"benchmark": "video_policy", **told, **where()}))
    return 0 if reached else 1


async def measure(url: str, break_it: Any, args: argparse.Namespace) -> tuple[list[dict[str, Any]], Any]:
    """A row for each fault: frames without a new picture, longest time between new ones, who drew."""
    peer = await AiortcPeer(url).open()
    rows = []
    try:
        await peer.viewer.until(lambda: peer.viewer.frames > 50, 60)
        async with aiohttp.ClientSession(url) as http:
            for fault in itertools.islice(itertools.cycle(FAULTS), args.rounds * len(FAULTS)):
                before = await until_it_draws(http)
                async with http.post("/signers/main/interrupt"):
                    pass
                await post(http, TEXT)
                began = peer.take()[-1:]
                if FAULTS[fault]:
                    break_it(FAULTS[fault])
                await asyncio.sleep(args.every)
                seen, after = began + peer.samples, await state(http)
                row = {
                    "fault": fault,
                    "frames": longest_run(seen),
                    "longest_ms": round(longest_ms(seen), 1),
                    "pictures": after["rendered"] - before["rendered"],
                    "by_the_avatar": after["rendered_below"] - before["rendered_below"],
                }
                rows.append(row)
                print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
            return rows, await state(http)
    finally:
        await peer.close()


async def state(http: aiohttp.ClientSession) -> Any:
    """What the signer's renderers tell of themselves."""
    async with http.get("/stats") as answer:
        return (await answer.json())["signers"]["main"]


async def until_it_draws(http: aiohttp.ClientSession) -> Any:
    """Its state. Raises RuntimeError where the video renderer does not come back."""
    until_s = time.monotonic() + HEALS_S
    while time.monotonic() < until_s:
        now = await state(http)
        if now["drawing"] == 0:
            return now
        await asyncio.sleep(0.1)
    raise RuntimeError(
        f"the video renderer was not in time again within {HEALS_S:.0f} s ({now['render_ms_p50']} ms a "
        "picture): this machine is too slow, or too busy, for that model"
    )


def longest_ms(samples: list[Sample]) -> float:
    """Longest time at the viewer from one new picture to the next."""
    new = [b.shown_ns for a, b in itertools.pairwise(samples) if a.stamp.seq != b.stamp.seq]
    return max((b - a for a, b in itertools.pairwise(new)), default=0) / 1e6


if __name__ == "__main__":
    raise SystemExit(main())
