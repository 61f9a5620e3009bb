"""How much later a picture is seen that `handstream render` draws elsewhere than one drawn at the signer.

    python -m benchmarks.remote [--seconds S] [--buffers MS ...] [--loss PERCENT]

The physical limit: the buffer that was asked for, and one trip of a datagram. Both servers draw the number of
each motion frame as bars, so that two viewers can tell when the same motion was seen; what is left out is the
avatar, which both would draw equally fast.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import random

import numpy as np

from engine.signals import MotionFrame
from stream.bench.outcome import percentiles, where
from stream.config import Config
from stream.remote.source import RemoteSource
from stream.server import Server
from tests.stream.stand_ins import BarRenderer, light_cast, read_bars
from tests.stream.viewer import Viewer


async def measure(buffer_ms: float, seconds: float, loss: float) -> dict[str, object]:
    """One run: both ends, a viewer at each."""
    near = Server(Config(port=0, width=128, height=64), light_cast())
    await near.start()
    config = Config(port=0, width=128, height=64)
    source = RemoteSource(config, f"{near.address}whep/main", delay_ms=buffer_ms)
    cast = dataclasses.replace(source.cast(), avatars={"bars": "sixteen"}, renderer=lambda _: BarRenderer())
    far = Server(config, cast, (source,))
    await far.start()
    rng, arrive = random.Random(1), source.link._on_motion

    def lossy(frame: MotionFrame, now_ns: int) -> None:
        if rng.random() >= loss:
            arrive(frame, now_ns)

    source.link._on_motion = lossy
    viewers = [await Viewer(s.address, keep_pictures=True).connect() for s in (near, far)]
    try:
        await asyncio.sleep(3.0)  # both begin with a keyframe, and the buffer learns the way
        for viewer in viewers:
            viewer.pictures.clear()
        await asyncio.sleep(seconds)
        seen = [_seen(viewer) for viewer in viewers]
        assert source.scheduler is not None
        stats = source.scheduler.stats()
    finally:
        for viewer in viewers:
            await viewer.close()
        for server in (far, near):
            await server.close()
    later = [(seen[1][n] - seen[0][n]) * 1e3 for n in seen[0] if n in seen[1]]
    span = range(min(seen[0]), max(seen[0]) - 10)
    return {
        "buffer_ms": buffer_ms,
        "loss_percent": loss * 100,
        **{f"later_ms_{k}": v for k, v in percentiles(later).items()},
        "pictures_seen_percent": round(100 * float(np.mean([n in seen[1] for n in span])), 1),
        "filled": stats["filled"],
    }


def _seen(viewer: Viewer) -> dict[int, float]:
    """When each number was first seen."""
    found: dict[int, float] = {}
    for pts, picture in viewer.pictures:
        found.setdefault(read_bars(picture[:64]), viewer.arrivals.get(pts, 0.0))
    return {number: at for number, at in found.items() if at}


def main() -> None:
    parser = argparse.ArgumentParser(description="what drawing elsewhere adds to the delay")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--buffers", type=float, nargs="*", default=[0.0, 50.0, 90.0])
    parser.add_argument("--loss", type=float, nargs="*", default=[0.0, 5.0], help="per cent of motion frames")
    args = parser.parse_args()
    print("limit: the buffer, and one trip")
    rows = [
        asyncio.run(measure(buffer_ms, args.seconds, loss / 100))
        for buffer_ms in args.buffers
        for loss in args.loss
    ]
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    print(json.dumps({"benchmark": "remote", "rows": rows, **where()}))


if __name__ == "__main__":
    main()
