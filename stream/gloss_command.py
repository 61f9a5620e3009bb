"""`handstream gloss`: sentences on standard input, glosses on standard output, line for line.

Enters: text lines and a model folder. Leaves: as many lines, in order; an empty line for an empty one.
Does not know lexicons: what cannot be signed is not asked here.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from engine.glossing.slul_model import SlulModel

TOGETHER = 64
"""Lines glossed in one go; short enough that a pipe sees answers soon."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="a trained glosser")
    parser.add_argument("--language", help="signed or spoken language code; default: the model's first")
    parser.add_argument("--beam", type=int, default=5, help="beam width; 1 is greedy (default: 5)")
    parser.add_argument("--threads", type=int, default=0, help="cores to use; 0: all")


def main(args: argparse.Namespace) -> int:
    """Gloss standard input. Bytes that are no UTF-8 are replaced, never the line that holds them."""
    if args.beam < 1:
        raise ValueError(f"--beam: got {args.beam}, expected >= 1")
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
    model = SlulModel.open(args.model)
    language = model.language(args.language)
    lines = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace", newline="\n")
    for part in _parts(lines):
        for glosses in model.gloss(part, language, beam=args.beam):
            print(" ".join(glosses))
        sys.stdout.flush()
    return 0


def _parts(lines: io.TextIOWrapper) -> Iterator[list[str]]:
    part: list[str] = []
    for line in lines:
        part.append(line.rstrip("\r\n"))
        if len(part) == TOGETHER:
            yield part
            part = []
    if part:
        yield part
