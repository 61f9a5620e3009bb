"""Where the time of one picture goes: motion frame in, I420 out, stage by stage.

Run: `python benchmarks/frame_budget.py [--signer NAME] [--size 512x512] [--background plain] [--frames 300]`.
Times are given twice: wall, and the calling thread's own CPU time, which says what a core of its own would
do when
others compete for this machine. LP_NUM_THREADS=0 (the default) keeps llvmpipe's rasteriser in the calling
thread.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# As `handstream serve` sets it: one core, and no second thread spinning beside it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from engine.body import load_body
from engine.signals import MotionFrame
from engine.skeleton import FACE, JOINT
from renderer.avatar import SIGNERS, AvatarConfig, AvatarRenderer
from renderer.avatar import renderer as renderer_module

BUDGET_MS = 40.0
STAGES = ("pose and units", "matrices", "morph", "upload", "draw and read back", "shrink to I420")


def motion(count: int) -> Iterator[MotionFrame]:
    """Both arms signing, a dozen face units moving: never twice the same frame."""
    rng = np.random.default_rng(0)
    for i in range(count):
        smplx, t = rng.normal(0, 0.02, (55, 3)).astype(np.float32), i / 25
        for side, sign in (("left", 1), ("right", -1)):
            smplx[JOINT[f"{side}_shoulder"]] += (0.1, -0.5 * sign, -0.8 * sign)
            smplx[JOINT[f"{side}_elbow"]] += (0, sign * (-1.6 + 0.4 * np.sin(5 * t + sign)), 0)
        units = np.zeros(52, np.float32)
        names = ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "browInnerUp", "browOuterUpLeft",
        "browOuterUpRight",
                 "cheekSquintLeft", "cheekSquintRight", "eyeSquintLeft", "eyeSquintRight", "mouthPucker",
                 "eyeBlinkLeft")  # fmt: skip
        for k, name in enumerate(names):
            units[FACE[name]] = 0.3 + 0.3 * np.sin(7 * t + k)
        yield load_body().frame(smplx, units, seq=i, pts_ns=round(i * 4e7), gloss=-1)


class Watch:
    """Collects wall and CPU milliseconds of named calls."""

    def __init__(self) -> None:
        self.wall: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}

    def wrap(self, owner: Any, method: str, stage: str) -> None:
        inner: Callable[..., Any] = getattr(owner, method)

        def timed(*values: Any) -> Any:
            wall, cpu = time.perf_counter(), time.thread_time()
            out = inner(*values)
            self.cpu.setdefault(stage, []).append((time.thread_time() - cpu) * 1e3)
            self.wall.setdefault(stage, []).append((time.perf_counter() - wall) * 1e3)
            return out

        setattr(owner, method, timed)


def copy_bandwidth_gb_s() -> float:
    """Memory bandwidth of one core copying, GB/s (read plus write)."""
    source = np.ones(64 * 2**20, np.uint8)
    target = np.empty_like(source)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - start)
    return 2 * source.nbytes / min(times) / 1e9


def summary(values: list[float]) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(values, q)), 2) for q in (50, 95, 99)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signer", default=next(iter(SIGNERS)), choices=tuple(SIGNERS))
    parser.add_argument("--size", default="512x512")
    parser.add_argument("--background", default="plain")
    parser.add_argument("--supersample", type=float, default=0.0)
    parser.add_argument("--frames", type=int, default=300)
    options = parser.parse_args()
    width, height = (int(x) for x in options.size.split("x"))
    config = AvatarConfig(options.signer, width, height, options.background, options.supersample)
    drawn_width, drawn_height = config.drawn_size
    bandwidth = copy_bandwidth_gb_s()
    read_back = drawn_width * drawn_height * 4
    print(
        f"limit: {BUDGET_MS:.0f} ms a frame at 25 fps; one core copies {bandwidth:.1f} GB/s, so reading back"
    )
    print(f"       {drawn_width}x{drawn_height} RGBA costs at least {2 * read_back / bandwidth / 1e6:.2f} ms")

    renderer = AvatarRenderer(config)
    renderer.open()
    watch = Watch()
    try:
        watch.wrap(renderer_module, "drawn", STAGES[0])
        watch.wrap(renderer._bones, "matrices", STAGES[1])
        watch.wrap(renderer_module, "morphed", STAGES[2])
        watch.wrap(renderer._scene, "set_face", STAGES[3])
        watch.wrap(renderer._scene, "draw", STAGES[4])
        watch.wrap(renderer._shrinker, "i420", STAGES[5])
        watch.wrap(renderer, "render", "whole frame")
        frames = list(motion(options.frames + 25))
        for frame in frames[:25]:
            renderer.render(frame)
        watch.wall.clear()
        watch.cpu.clear()
        for frame in frames[25:]:
            renderer.render(frame)
        device = renderer.device
    finally:
        renderer.close()
    for stage in (*STAGES, "whole frame"):
        wall, cpu = summary(watch.wall[stage]), summary(watch.cpu[stage])
        print(
            f"{stage:20s} wall p50 {wall['p50']:6.2f}  p99 {wall['p99']:6.2f}   cpu p50 {cpu['p50']:6.2f} ms"
        )
    whole = watch.wall["whole frame"]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    ).stdout.strip()
    print(json.dumps({
        "benchmark": "frame_budget", "device": device, "commit": commit or "unknown",
        "signer": options.signer,
        "size": options.size, "drawn": f"{drawn_width}x{drawn_height}", "background": options.background,
        "frames": len(whole), "wall_ms": summary(whole), "cpu_ms": summary(watch.cpu["whole frame"]),
        "missed_deadlines": sum(ms > BUDGET_MS for ms in whole),
        "stages_cpu_p50_ms": {s: summary(watch.cpu[s])["p50"] for s in STAGES},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
