"""How fast does the video renderer draw: motion frame in, I420 out, by steps, mode and backend?

Run: `python -m benchmarks.video_renderer [--size tiny] [--device auto] [--frames 200] [--model FOLDER]`.
Without a model one of that size is made with random weights: it costs the same. Begins with what the
network's multiplications alone cost, ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.frame_budget import motion, summary
from renderer.diffusion.config import SIZES, VideoConfig
from renderer.diffusion.denoiser import Denoiser
from renderer.diffusion.model import VideoModel
from renderer.diffusion.renderer import VideoRenderer
from renderer.diffusion.streaming import FrameStream

WARM_UP = 10


def flops(model: VideoModel) -> tuple[float, float]:
    """Of one step, and of a frame's pose and maps beside the steps: floating-point operations."""
    size = model.config.size
    network = model.denoiser.float().cpu()
    drawn = model.config.map_size
    maps, picture = torch.zeros(1, 3, 3, drawn, drawn), torch.zeros(1, 3, size, size)
    with torch.inference_mode():
        reference = network.open(picture, maps)
        stream = FrameStream(network, "student", reference, 0, 1, stream=False)
        counted = []
        for call in (lambda: network(*stream.examples()[0]), lambda: network.pose(maps)):  # type: ignore[misc]
            with FlopCounterMode(display=False) as counter:
                call()
            counted.append(float(counter.get_total_flops()))
    return counted[0] - 2 * counted[1], counted[1]  # `examples` makes two poses too


def matrix_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product here."""
    side = 8192 if device.type == "cuda" else 1024
    a = torch.randn(side, side, device=device, dtype=dtype)
    best = 1e9
    for _ in range(5):
        _wait(device)
        started = time.perf_counter()
        a @ a
        _wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(config: VideoConfig, frames: int) -> dict[str, object]:
    """One way of drawing, frame after frame."""
    renderer = VideoRenderer(config)
    renderer.open()
    try:
        moved = list(motion(frames + WARM_UP))
        for frame in moved[:WARM_UP]:
            renderer.render(frame)
        cuda = torch.cuda.is_available() and config.device != "cpu"
        before = torch.cuda.memory_allocated() if cuda else 0
        times = []
        for frame in moved[WARM_UP:]:
            started = time.perf_counter()
            renderer.render(frame)
            times.append((time.perf_counter() - started) * 1e3)
        told = summary(times)
        return {
            "steps": config.steps, "mode": config.mode, "backend": config.backend, "drew": renderer.device,
            "ms": told, "frames_a_second": round(1e3 / told["p50"], 1),
            "p99_over_p50": round(told["p99"] / told["p50"], 2),
            "grew_bytes": torch.cuda.memory_allocated() - before if cuda else None,
        }  # fmt: skip
    finally:
        renderer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="tiny", choices=tuple(SIZES))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if options.device != "cpu" and torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as made:
        folder = options.model or VideoModel(Denoiser(SIZES[options.size]), "student", 4).save(
            Path(made) / "m"
        )
        model = VideoModel.open(folder)
        step, beside = flops(model)
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        rate = matrix_flops(device, dtype)
        size = model.config.size
        print(f"limit: a step is {step / 1e9:.2f} GFLOP, the pose {beside / 1e9:.2f}; matrix products run "
              f"at {rate / 1e9:.0f} GFLOP/s: at least {(step + beside) / rate * 1e3:.2f} ms at one step, "
              f"{(4 * step + beside) / rate * 1e3:.2f} at four")  # fmt: skip
        backends = ("eager", "compile", "graphs", "tensorrt") if device.type == "cuda" else ("eager",)
        rows = []
        for backend in backends:
            for steps, mode in ((1, "direct"), (2, "direct"), (4, "direct"), (4, "stream")):
                config = VideoConfig(
                    folder,
                    width=size,
                    height=size,
                    steps=steps,
                    mode=mode,
                    backend=backend,
                    device=device.type,
                )
                rows.append(measure(config, options.frames))
                print(rows[-1], flush=True)
    told = {
        "benchmark": "video_renderer", "size": size, "device": _name(device),
        "limit_gflop": round(step / 1e9, 3), "rows": rows, "commit": _commit(),
    }  # fmt: skip
    print(json.dumps(told))


def _name(device: torch.device) -> str:
    return (
        torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    )


def _commit() -> str:
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return told.stdout.strip()


if __name__ == "__main__":
    main()
