"""`handstream eval ablation`: with and without co-generation and correction, in one table.

Enters: arguments. Leaves: the table, `ablation.csv` and `weights.png` in the folder. Does not know the rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "--model", type=Path, required=True, metavar="FOLDER", help="where everything goes; resumes"
    )
    parser.add_argument(
        "--data", type=Path, action="append", default=[], metavar="FOLDER", help="prepared sequences"
    )
    parser.add_argument("--language", default="ase", help="signed language of the words (default ase)")
    parser.add_argument("--texts", type=int, default=160, help="without --data: texts to compose")
    parser.add_argument("--words", type=int, default=24, help="held-back words to measure on (default 24)")
    parser.add_argument("--config", type=Path, metavar="FILE.json", help="settings of the trainings")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one, as corrector.loop.epochs=4"
    )
    parser.add_argument("--threads", type=int, default=1, help="cores to use (default 1)")


def main(args: argparse.Namespace) -> int:
    """Compose, train, measure."""
    import torch

    from trainer.ablation import AblationConfig, ablate
    from trainer.configuration import configured, read_settings
    from trainer.corrector_clips import composed, held_back

    if args.texts < 1 or args.words < 1:
        raise ValueError(f"ablation: got --texts {args.texts} --words {args.words}; expected at least 1")
    torch.set_num_threads(max(1, args.threads))
    config = configured(AblationConfig, read_settings(args.config, args.set))
    folders = args.data or [composed(args.model / "composed", [args.language], args.texts)]
    words = held_back(args.model / f"held-back-{args.words}", args.language, args.words)
    rows = ablate(folders, words, args.model, config, lambda table: print(table, "\n", flush=True))
    print(f"{len(rows)} rows, weights over training: {args.model / 'weights.png'}")
    return 0
