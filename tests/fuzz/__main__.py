"""`python -m tests.fuzz --inputs N`, the long form: some over HTTP, some to captions, most to readers."""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time
from collections.abc import Callable
from functools import partial

from tests.fuzz.engine import Report, fuzz
from tests.fuzz.http import fuzz_http
from tests.fuzz.readers import readers
from tests.stream.captions.fuzz import fuzz as fuzz_captions


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], help="a reader, http or captions (repeatable)")
    args = parser.parse_args()
    every = readers()
    chosen = {name: reader for name, reader in every.items() if not args.only or name in args.only}
    share = {"http": 0.1, "captions": 0.1}
    share = {name: part for name, part in share.items() if not args.only or name in args.only}
    whole = 1.0 if chosen else sum(share.values())
    wanted = {name: int(args.inputs * part / whole) for name, part in share.items()}
    rest = args.inputs - sum(wanted.values())
    total, began_s = Report(), time.monotonic()
    if chosen:
        fuzz(chosen, min(2000, rest), args.seed + 1)  # caches fill
    before_mb = memory_mb()
    runs: list[Callable[[], Report]] = []
    for seed, count in enumerate(_chunks(wanted.get("captions", 0)), args.seed):
        runs.append(partial(_captions, count, seed))
    for seed, count in enumerate(_chunks(rest if chosen else 0), args.seed):
        runs.append(partial(fuzz, chosen, count, seed))
    for seed, count in enumerate(_chunks(wanted.get("http", 0)), args.seed):
        runs.append(lambda count=count, seed=seed: asyncio.run(fuzz_http(count, seed)))
    for run in runs:
        report = run()
        for name, count in report.inputs.items():
            total.inputs[name] = total.inputs.get(name, 0) + count
        for name, slowest in report.slowest_ms.items():
            total.slowest_ms[name] = max(total.slowest_ms.get(name, 0.0), slowest)
        total.crashes += report.crashes
        total.hangs += report.hangs
        so_far = {
            "inputs": sum(total.inputs.values()),
            "crashes": len(total.crashes),
            "hangs": len(total.hangs),
        }
        for trouble in report.crashes[:3] + report.hangs[:3]:
            print(trouble, flush=True)
        print(json.dumps(so_far | {"memory_growth_mb": round(memory_mb() - before_mb, 1)}), flush=True)
    figures = {
        "benchmark": "fuzz",
        "seed": args.seed,
        "inputs": sum(total.inputs.values()),
        "per_reader": total.inputs,
        "crashes": len(total.crashes),
        "hangs": len(total.hangs),
        "slowest_ms": total.slowest_ms,
        "memory_growth_mb": round(memory_mb() - before_mb, 1),
        "seconds": round(time.monotonic() - began_s),
    }
    print(json.dumps(figures))
    return 1 if total.crashes or total.hangs else 0


def _chunks(count: int, most: int = 50_000) -> list[int]:
    """Parts after each of which figures are told: a long run may be cut short."""
    return [min(most, count - at) for at in range(0, count, most)]


def _captions(inputs: int, seed: int) -> Report:
    found = fuzz_captions(inputs, seed)
    return Report({"captions": inputs}, found.crashes, found.hangs, {"captions": round(found.slowest_ms, 1)})


if __name__ == "__main__":
    raise SystemExit(main())
