"""The `handstream` command: a table of lazily imported entry points.

Enters: command-line arguments. Leaves: an exit code. Does not know what the commands do; each module named
here has `add_arguments(parser)` and `main(args) -> int`, and is imported only when its command is called,
so `handstream --help` answers at once. The trainer is named here only, and only by string.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from stream import logs

COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("stream.serve_command", "start the server and the web page"),
    "kiosk": ("stream.kiosk_command", "drive full-screen kiosks over MQTT"),
    "render": ("stream.render_command", "draw a signer of another server here, and pass the picture on"),
    "say": ("stream.say_command", "sign text into a file: video, .pose, .npz or contact sheet"),
    "lexicon": ("stream.lexicon_command", "list, add to, show or check a motion lexicon"),
    "gloss": ("stream.gloss_command", "turn sentences into glosses, one line in, one line out"),
    "train": ("trainer.train_command", "train a model from a corpus of your own"),
    "eval": ("trainer.eval_command", "measure a trained model"),
    "bench": ("stream.bench_command", "measure: latency, captions, viewers, soak, chaos"),
    "doctor": ("stream.doctor", "tell what is present, what is missing and what follows"),
}
FRAME_BY_FRAME = ("serve", "kiosk", "render", "say")
"""Commands of many small steps: a second BLAS thread wins nothing and spins through a whole core."""


SWITCH_S = 0.0005
"""A thread that computes lets others go on after so long. With Python's own 5 ms the event loop waits that
long for its turn at each step of an answer, while the inference thread is busy."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="handstream",
        description="A streaming signing avatar: text in while it is spoken, a signer out in any browser.",
    )
    parser.add_argument("--version", action="version", version=f"handstream {version('handstream')}")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--log-format", default="text", choices=logs.FORMATS, help="json: an object a line")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 could not, 2 wrong arguments, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = next((a for a in arguments if a in COMMANDS), None)
    if chosen in FRAME_BY_FRAME:
        for library in ("OPENBLAS", "OMP", "MKL"):  # read once, when numpy and torch are first imported
            os.environ.setdefault(f"{library}_NUM_THREADS", "1")
        sys.setswitchinterval(SWITCH_S)
    parser = _parser()
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    entry = None
    for name, (module, summary) in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen:
            entry = importlib.import_module(module)
            entry.add_arguments(sub)
    args = parser.parse_args(arguments)
    logs.configure(args.log_level, args.log_format)
    assert entry is not None, "argparse accepts only the commands of the table"
    try:
        return int(entry.main(args))
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (or the interpreter complains at exit)
        return 0
    except (ValueError, RuntimeError, OSError) as error:
        if args.log_level == "debug":
            raise
        told = str(error).removeprefix(f"{args.command}: ")
        print(f"handstream {args.command}: {told}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
