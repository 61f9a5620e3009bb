"""How long a sentence takes to be glossed, on one core, against how long its arithmetic would take.

    python -m benchmarks.glosser --model FOLDER < sentences

Sentences are taken one by one, as they come in a stream. The physical limit: every weight is read once for
each token decoded, so size over memory bandwidth, times tokens, is what no bookkeeping can beat. Goals: 10 ms
greedy, 40 ms with a beam of 5, 40 MB on disk. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from engine.glossing.slul_model import SlulModel

GOALS_MS = {1: 10.0, 5: 40.0}
GOAL_MB = 40.0


def bandwidth(megabytes: int = 256) -> float:
    """Bytes a second that one core reads from memory."""
    block = torch.ones(megabytes * 2**18)
    block.sum()
    begun = time.perf_counter()
    for _ in range(3):
        block.sum()
    return 3 * block.numel() * 4 / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=200)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = SlulModel.open(args.model)
    language = model.language()
    sentences = [line for line in sys.stdin.read().splitlines() if line.strip()][: args.sentences]
    if not sentences:
        raise SystemExit("no sentences on standard input; give some, one a line")
    files = [path for path in args.model.iterdir() if path.is_file() and path.name != "log.csv"]
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    weights = next(args.model.glob("weights-*.safetensors")).stat().st_size
    tokens = sum(len(said) + 1 for said in model.gloss(sentences, language, beam=1)) / len(sentences)
    limit_ms = 1e3 * tokens * weights / bandwidth()
    print(f"limit: {limit_ms:.2f} ms a sentence of {tokens:.1f} glosses, were every weight read once a gloss")
    print(f"size:  {megabytes:.1f} MB on disk (goal {GOAL_MB:.0f})")
    record: dict[str, object] = {"limit_ms": round(limit_ms, 3), "megabytes": round(megabytes, 2)}
    for beam, goal in GOALS_MS.items():
        for sentence in sentences[:10]:
            model.gloss([sentence], language, beam=beam)
        spent = []
        for sentence in sentences:
            begun = time.thread_time()
            model.gloss([sentence], language, beam=beam)
            spent.append(1e3 * (time.thread_time() - begun))
        p50, p95, p99 = np.percentile(spent, (50, 95, 99))
        mean = float(np.mean(spent))
        missed = sum(ms > goal for ms in spent)
        name = "greedy" if beam == 1 else f"beam {beam}"
        print(
            f"{name}: mean {mean:.1f} ms, p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f}; "
            f"{missed} of {len(spent)} above {goal:.0f} ms"
        )
        record[f"beam{beam}_ms"] = {
            "mean": round(mean, 2),
            "p50": round(float(p50), 2),
            "p95": round(float(p95), 2),
        }
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    print(
        json.dumps(
            {**record, "clock": "cpu time of the thread", "device": platform.processor(), "commit": commit}
        )
    )


if __name__ == "__main__":
    main()
