"""`handstream train glosser`: one command from a corpus to a model folder; also the ablation.

Enters: arguments. Leaves: a model folder, `log.csv`, figures on standard output.
Does not know how the model learns (see `trainer.glosser`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from trainer.configuration import configured, read_settings
from trainer.data.pairs import read_corpus
from trainer.data.phoenix import Pair
from trainer.glosser import GlosserConfig, train
from trainer.glosser_distil import back_translated, retold, reversed_pairs, train_distilled


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        required=True,
        metavar="FOLDER",
        help="PHOENIX-2014T text files, or train.tsv and dev.tsv; repeat for more languages",
    )
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="where the model goes; a killed run resumes from here",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE.json", help="settings; default: the best we know"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one setting over it, such as loop.epochs=10 or objective.sagm=1",
    )
    parser.add_argument("--seed", type=int, help="seed of weights, order and noise")
    parser.add_argument(
        "--teacher",
        type=Path,
        action="append",
        default=[],
        metavar="MODEL",
        help="learn also what these models say of the training text; repeat for an ensemble",
    )
    parser.add_argument(
        "--distil",
        type=int,
        default=0,
        metavar="N",
        help="train N models of successive seeds first, then one that also learns what they say together",
    )
    parser.add_argument(
        "--reverse",
        action="store_true",
        help="learn the other direction, glosses to text: a model for --back-translation",
    )
    parser.add_argument(
        "--back-translation",
        type=Path,
        metavar="MODEL",
        help="learn also from other texts for the same glosses, as this --reverse model says them",
    )
    parser.add_argument(
        "--start",
        type=Path,
        metavar="MODEL",
        help="go on from this model's weights (--ablation: each run does)",
    )
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--threads", type=int, default=0, help="cores to use on the CPU; 0: all")
    parser.add_argument(
        "--ablation",
        action="store_true",
        help="train every loss combination with several seeds, and print the table",
    )
    parser.add_argument("--seeds", type=int, default=3, help="seeds a setting, with --ablation")
    parser.add_argument("--only", action="append", metavar="SETTING", help="with --ablation: only this one")


def read_all(folders: Sequence[Path], split: str) -> list[Pair]:
    """One split of all corpora, one after the other."""
    return [pair for folder in folders for pair in read_corpus(folder, split)]


def main(args: argparse.Namespace) -> int:
    """Train one model, or run the ablation."""
    if args.threads:
        torch.set_num_threads(args.threads)
    settings: dict[str, Any] = read_settings(args.config, args.set)
    if args.seed is not None:
        settings.setdefault("loop", {})["seed"] = args.seed
    pairs, dev = read_all(args.data, "train"), read_all(args.data, "dev")
    if args.ablation:
        from trainer.glosser_ablation import SETTINGS, ablate

        unknown = set(args.only or ()) - set(SETTINGS)
        if unknown:
            raise ValueError(f"--only: got {sorted(unknown)}, expected some of {list(SETTINGS)}")
        compared = {name: SETTINGS[name] for name in args.only or SETTINGS}
        ablate(pairs, dev, settings, args.model, args.seeds, compared, args.start)
        return 0
    config = configured(GlosserConfig, settings)
    if args.reverse:
        pairs, dev = reversed_pairs(pairs), reversed_pairs(dev)
    further = retold(pairs, args.teacher) if args.teacher else []
    if args.back_translation:
        further += back_translated(pairs, args.back_translation)
    if args.distil:
        if further or args.start:
            raise ValueError("--distil makes its own teachers and start; leave --teacher and --start out")
        train_distilled(pairs, dev, config, args.model, args.distil, args.device)
    else:
        train(pairs, dev, config, args.model, args.device, args.start, further)
    from trainer.glosser_eval import figures_of, shown

    if dev:
        print(shown(figures_of([args.model], dev, beam=5)))
    return 0
