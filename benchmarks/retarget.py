"""How fast recordings become motion, against how fast they could.

    python -m benchmarks.retarget [language]

The physical limit: the fit evaluates hand kinematics and its gradient a fixed number of times; the time of
that arithmetic alone, over one large batch, is what no bookkeeping can beat.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

# As `handstream serve` sets it: one core, and no second thread spinning beside it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from engine.body import load_body
from engine.retarget import METHOD, LiftingConfig, measure_source, read_pose, retarget
from engine.retarget.hand import ANGLES, hand_rig
from engine.retarget.model import HandModel
from engine.retarget.source import own_hand

ITERATIONS = 2 * LiftingConfig().iterations  # lifting and contacts
TARGET_FPS = 100.0


def limit_fps(frames: int = 4096) -> float:
    """Frames a second of one hand, were kinematics and their gradient all there is."""
    rig = hand_rig(load_body())
    model = HandModel(rig, *own_hand(rig), np.broadcast_to(np.eye(3), (frames, 3, 3)).copy())
    angles, force = np.full((ANGLES, frames), 0.1), np.ones((3, 21, frames))
    model.pull(angles, model.points(angles) + force)
    begun = time.perf_counter()
    for _ in range(5):
        model.pull(angles, model.points(angles) + force)
    return 5 * frames / (time.perf_counter() - begun) / ITERATIONS


def main() -> None:
    language = sys.argv[1] if len(sys.argv) > 1 else "ase"
    folder = Path(str(files("spoken_to_signed"))) / "assets" / "fingerspelling_lexicon"
    with (folder / "index.csv").open() as index:
        paths = [folder / row["path"] for row in csv.DictReader(index) if row["signed_language"] == language]
    ceiling = limit_fps()
    print(f"limit: {ceiling:7.0f} frames/s for one hand, kinematics and gradient alone, {ITERATIONS} a frame")

    begun = time.perf_counter()
    recordings = [read_pose(path) for path in paths]
    reading_s = time.perf_counter() - begun
    begun = time.perf_counter()
    source = measure_source(recordings)
    source_s = time.perf_counter() - begun
    frames = sum(map(len, recordings))
    print(
        f"{language}: {len(paths)} clips, {frames} frames; reading {reading_s:.2f} s, source {source_s:.2f} s"
    )
    retarget(recordings[0], source=source)  # warm

    result: dict[str, float] = {}
    for name, options in (
        ("closed_form", {"lifting": None, "contacts": False}),
        ("lifted", {"contacts": False}),
        ("default", {}),
    ):
        times = []
        for recording in recordings:
            begun = time.perf_counter()
            retarget(recording, source=source, **options)  # type: ignore[arg-type]
            times.append((time.perf_counter() - begun) * 1000)
        result[f"{name}_fps"] = round(frames / sum(times) * 1000, 1)
        p50, p95, worst = np.percentile(times, (50, 95, 100))
        print(
            f"{name:12s} {result[f'{name}_fps']:7.1f} frames/s; a clip p50 {p50:.0f} ms, p95 {p95:.0f} ms, "
            f"worst {worst:.0f} ms"
        )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    print(
        json.dumps(
            {
                "benchmark": "retarget",
                "method": METHOD,
                "language": language,
                "clips": len(paths),
                "frames": frames,
                "limit_fps": round(ceiling, 1),
                **result,
                "target_fps": TARGET_FPS,
                "reached": result["default_fps"] >= TARGET_FPS,
                "device": platform.processor() or platform.machine(),
                "commit": commit.stdout.strip(),
            }
        )
    )


if __name__ == "__main__":
    main()
