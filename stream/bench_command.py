"""`handstream bench`: measure a server of its own, in a process of its own, with real peers.

Enters: arguments. Leaves: a table, a JSON line, a page of plots where one is asked for; exit code 1 when a
goal was missed. Does not know what is measured: a table of modules, imported when called.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
from pathlib import Path

BENCHMARKS = {
    "latency": ("stream.bench.latency", "from text to the first picture of its sign, stage by stage"),
    "captions": (
        "stream.bench.captions",
        "a live feed: lag, omissions, every word accounted for",
    ),
    "kiosk": ("stream.bench.kiosk", "commands over MQTT: how soon acknowledged; brokers killed; many kiosks"),
    "viewers": ("stream.bench.viewers", "what one more viewer costs"),
    "soak": ("stream.bench.soak", "for as long as you like: does anything grow?"),
    "loss": ("stream.bench.loss", "packets that get lost, a pulled cable: when is the picture clean again?"),
    "chaos": ("stream.bench.chaos", "renderers, encoders and viewers that fail: does the stream go on?"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="benchmark", metavar="BENCHMARK", required=True)
    for name, (module, summary) in BENCHMARKS.items():
        sub = kinds.add_parser(name, help=summary, description=summary[0].upper() + summary[1:])
        sub.add_argument("--html", type=Path, metavar="FILE", help="write a page of plots, one file")
        sub.add_argument("--json", type=Path, metavar="FILE", help="append the JSON line to this file too")
        try:
            importlib.import_module(module).add_arguments(sub)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise


def main(args: argparse.Namespace) -> int:
    from stream.bench.outcome import where

    for library in ("OPENBLAS", "OMP", "MKL"):  # the server under test inherits them
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    outcome = importlib.import_module(BENCHMARKS[args.benchmark][0]).run(args)
    for row in outcome.table:
        print("  ".join(f"{name} {_told(value)}" for name, value in row.items()))
    for goal, (figure, reached) in outcome.reached.items():
        print(f"{'reached' if reached else 'MISSED ':8} {goal}: {figure}")
    facts = where()
    line = json.dumps({"benchmark": outcome.name, **outcome.figures, **facts})
    if args.html is not None:
        from stream.bench.page import write_page

        write_page(args.html, outcome, facts)
        print(f"plots: {args.html}")
    if args.json is not None:
        with args.json.open("a") as file:
            file.write(line + "\n")
    print(line, flush=True)
    return 0 if all(reached for _, reached in outcome.reached.values()) else 1


def _told(value: object) -> str:
    return f"{value:8.2f}" if isinstance(value, float) else f"{value!s:13}"
