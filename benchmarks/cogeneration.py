"""How fast motion is generated: three modalities and their correction, one core, one signer and four.

Run: `nice -n -10 python -m benchmarks.cogeneration [--model FOLDER] [--frames 10000]`; with `--speeds` only
the ways of stepping are compared, each proven equal to plain torch or replaced by it, saying why. Times are
given twice: wall, and the calling thread's own CPU time, which says what a core of its own would do when
others compete for this machine.

What is measured: the decoders' step with correction (vectors in, corrected vectors out), at the beginning
and after thousands of frames; the same decoders recomputing the prefix at frame 300, as one would without a
cache; four signers in one batch; the whole choreography, glosses to `MotionFrame`, idle life and all; and
ticks of a scheduler with four and eight such signers, text to `MotionFrame`, as a server has them, together
and each alone.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from engine.choreography.cogeneration import CORRECTOR, CogenerationChoreography
from engine.choreography.cogeneration_lanes import CHOICES, Lanes, device_for
from engine.choreography.cogeneration_model import CogenerationModel
from engine.corrector import Corrector, CorrectorConfig
from engine.glossing import PlainGlosser
from engine.lexicon import Lexicon
from engine.nn.cogeneration import PROGRESS, STREAMS
from engine.nn.cogeneration_quick import QuickStep
from engine.scheduler import Scheduler
from engine.signals import Caption, FloatArray, Gloss
from engine.signer import Signer

GOAL_FPS, GOAL_P99_MS = 200.0, 15.0
SIGNERS = 4
WORDS = ("quick", "brown", "foxes", "jump", "lazily", "over", "dozing", "hounds", "vexing", "pickle")
PREFIX = 300


class Times:
    """Wall and CPU milliseconds of calls."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def of(self, call: Callable[[], object]) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        call()
        self.cpu.append((time.thread_time() - cpu) * 1e3)
        self.wall.append((time.perf_counter() - wall) * 1e3)

    def part(self, first: int, last: int) -> dict[str, float]:
        found = {}
        for name, values in (("wall", self.wall), ("cpu", self.cpu)):
            for q in (50, 95, 99):
                found[f"{name}_p{q}_ms"] = round(float(np.percentile(values[first:last], q)), 3)
        return found


def correctors(model: CogenerationModel) -> tuple[Corrector, str]:
    """The shipped corrector, or an untrained one of the same size: it takes as long."""
    if (CORRECTOR / "config.json").exists():
        return Corrector.open(CORRECTOR), "shipped"
    return Corrector(CorrectorConfig(), model.channels.normaliser).eval(), "untrained"


def stream(model: CogenerationModel, corrector: Corrector | None, rows: int, frames: int) -> Times:
    """`frames` steps of `rows` signers: decode all three modalities, correct them, by hand."""
    state = model.network.open(rows, rewind=9)
    correction = None if corrector is None else corrector.open_state(rows)
    told = torch.randn(64, rows, PROGRESS)
    times = Times()
    with torch.inference_mode():
        state.focus.bias.normal_()
        quick = QuickStep(model.network, state)
        for number in range(frames):

            def step(number: int = number) -> None:
                vectors = model.channels.widen(quick.step(told[number % 64].numpy()))
                if corrector is not None and correction is not None:
                    corrector.push(torch.from_numpy(vectors), correction)

            times.of(step)
    return times


def without_cache(model: CogenerationModel, calls: int = 20) -> Times:
    """Frame 300 made by going through all 300 again, the whole past being looked at by the same decoders."""
    net = model.network
    c = net.config
    before = torch.randn(3, 1, PREFIX + 1, c.widest)
    progress, owner = torch.randn(1, PREFIX, PROGRESS), torch.arange(PREFIX)[None] // 9
    glosses = int(owner.max()) + 1
    tokens = torch.randint(3, c.tokens, (1, glosses, c.window))
    times = Times()
    with torch.inference_mode():
        memory = net.encode(tokens[0], torch.zeros(glosses, dtype=torch.long), torch.zeros(glosses, c.window))
        for _ in range(calls + 2):
            times.of(lambda: net(before, progress, memory[None], tokens, owner))
    times.wall, times.cpu = times.wall[2:], times.cpu[2:]
    return times


def whole(choreography: CogenerationChoreography, glosses: list[Gloss], frames: int) -> Times:
    """The choreography's step, with glosses always waiting."""
    state = choreography.open()
    times, index = Times(), 0
    for _ in range(frames):
        if state.pending < 12:
            choreography.append(list(enumerate(glosses, index)), state)
            index += len(glosses)
        times.of(lambda: choreography.step(state, 0))
    return times


def ticks(choreography: CogenerationChoreography, lexicon: Lexicon, signers: int, frames: int) -> Times:
    """Ticks of a scheduler whose signers spell without a pause, each its own words."""
    scheduler, times = Scheduler(), Times()
    cast = {f"s{k}": Signer(lexicon, PlainGlosser(lexicon), language="ase", choreography=choreography)
            for k in range(signers)}  # fmt: skip
    for name, signer in cast.items():
        scheduler.add(name, signer, lambda frame: None)
    for number in range(frames):
        for k, signer in enumerate(cast.values()):
            if signer.pending < 12:
                word = WORDS[(number + k) % len(WORDS)]
                signer.say(Caption(word, "ase", seq=number, final=True))
        times.of(lambda: scheduler.tick(0))
    scheduler.close()
    return times


def one_speed(folder: Path | None, speed: str, frames: int = 400) -> dict[str, object]:
    """A step of one row that way: how long it takes, and how far at most it is from plain torch's over so
    many frames, each making its own (normalised units)."""
    model = CogenerationModel.open(folder)
    model.network.to(device_for(speed))
    fast, plain = (Lanes(model.network, model.channels, None, 9, name) for name in (speed, "eager"))
    lanes = fast.take(), plain.take()
    device = model.network.distance.device
    tokens = torch.full((1, model.network.config.window), 5, device=device)
    language = torch.zeros(1, dtype=torch.int64, device=device)
    with torch.inference_mode():
        memory = model.network.encode(tokens, language, tokens == 0)
        for lane in lanes:
            lane.reset(np.zeros((STREAMS, 1, model.network.config.widest), np.float32))
            lane.focus(model.network.focus(memory, tokens))
        times, apart = Times(), 0.0
        made: list[FloatArray] = []
        for t in range(frames):
            told = ((t % 12) / 12, t % 12 + 1.0, 12.0 - t % 12, 0.0)
            times.of(lambda told=told: made.append(lanes[0].step(told)[0]))
            frame, other = (model.channels.narrow(v) for v in (made.pop(), lanes[1].step(told)[0]))
            apart = max(apart, float(np.abs(frame - other).max()))
    return {"speed": speed, "used": fast.speed, "device": str(device), "apart": apart} | times.part(
        50, frames
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--speeds", action="store_true", help="compare the ways of stepping only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = CogenerationModel.open(options.model)
    if options.speeds:
        logging.basicConfig(level="WARNING", format="%(message)s")
        for speed in CHOICES[1:]:
            print(json.dumps(one_speed(options.model, speed)), flush=True)
        return
    corrector, kind = correctors(model)
    weights = sum(p.numel() for part in (model.network, corrector) for p in part.parameters())
    print(f"limit: {weights / 1e6:.2f} M weights, read once a frame: {weights * 4 / 1e6:.1f} MB; at 10 GB/s "
          f"that is {weights * 4 / 1e7:.2f} ms.\nGoal {1000 / GOAL_FPS:g} ms p50, {GOAL_P99_MS:g} ms p99; "
          f"corrector {kind}")  # fmt: skip
    stream(model, corrector, 1, 100)
    one = stream(model, corrector, 1, options.frames)
    four = stream(model, corrector, SIGNERS, min(1000, options.frames))
    prefix = without_cache(model)
    lexicon = Lexicon.default()
    letters = [Gloss(x, "", "ase", spelled=True, word_end=i % 5 == 4)
               for i, x in enumerate("HANDSTREAMXQUICKLYJUMPZBFOGWV")]  # fmt: skip
    performed = whole(
        CogenerationChoreography(lexicon, model, corrector=corrector), letters, min(2000, options.frames)
    )
    frames = min(1000, options.frames)
    shared = {n: ticks(CogenerationChoreography(lexicon, model, corrector=corrector), lexicon, n, frames)
              for n in (SIGNERS, 2 * SIGNERS)}  # fmt: skip
    apart = CogenerationChoreography(lexicon, model, corrector=corrector)
    apart.together = lambda states: None  # type: ignore[method-assign]
    each_alone = ticks(apart, lexicon, SIGNERS, frames)
    lexicon.close()
    early, late = one.part(100, 600), one.part(options.frames - 500, options.frames)
    alone = stream(model, None, 1, 400)
    figures = {
        "decode_and_correct": one.part(0, options.frames),
        "frames_100_to_600": early,
        "last_500_frames": late,
        "decode_only": alone.part(50, 400),
        "four_signers": four.part(50, len(four.wall)),
        "prefix_recomputed_at_300": prefix.part(0, len(prefix.wall)),
        "whole_choreography": performed.part(50, len(performed.wall)),
        **{f"tick_of_{n}_signers": times.part(50, frames) for n, times in shared.items()},
        f"tick_of_{SIGNERS}_each_alone": each_alone.part(50, frames),
    }
    for name, found in figures.items():
        told = "  ".join(f"{k.removesuffix('_ms')} {v:7.2f}" for k, v in found.items())
        print(f"{name:26s} {told} ms")
    ratio = figures["prefix_recomputed_at_300"]["cpu_p50_ms"] / alone.part(50, 400)["cpu_p50_ms"]
    whole_ratio = figures["prefix_recomputed_at_300"]["wall_p50_ms"] / alone.part(50, 400)["wall_p50_ms"]
    rate = {k: 1000 / figures["decode_and_correct"][f"{k}_p50_ms"] for k in ("wall", "cpu")}
    each = {k: 1000 / figures["four_signers"][f"{k}_p50_ms"] for k in ("wall", "cpu")}
    through = 1000 / figures[f"tick_of_{SIGNERS}_signers"]["wall_p50_ms"]
    print(f"frames a second: {rate['wall']:.0f} (cpu {rate['cpu']:.0f}); "
          f"four signers {each['wall']:.0f} each (cpu {each['cpu']:.0f}); "
          f"through the scheduler {through:.0f} each; "
          f"cached over recomputed {whole_ratio:.1f}x (cpu {ratio:.1f}x)")  # fmt: skip
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            cwd=Path(__file__).parent, check=False).stdout.strip()  # fmt: skip
    record = {"benchmark": "cogeneration", "device": "cpu, one thread", "commit": commit or "unknown",
              "frames": options.frames, "weights": weights, "corrector": kind, **figures,
              "missed_deadlines": sum(ms > 40 for ms in performed.wall)}  # fmt: skip
    print(json.dumps(record))


if __name__ == "__main__":
    main()
