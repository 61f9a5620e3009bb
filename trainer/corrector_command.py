"""`handstream train corrector`: from prepared sequences, and a generator's own motion, to a corrector folder.

Enters: arguments. Leaves: a model folder, `log.csv`, `weights.png` (the loss's weights over training), and
the figures on standard output. Does not know how it learns (see `trainer.corrector`).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "--model", type=Path, required=True, metavar="FOLDER", help="where the corrector goes; resumes"
    )
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="prepared sequences; repeatable; default: compose some",
    )
    parser.add_argument(
        "--language", action="append", metavar="CODE", help="without --data: compose these; default ase"
    )
    parser.add_argument("--texts", type=int, default=200, help="without --data: texts a language")
    parser.add_argument(
        "--generator", type=Path, metavar="MODEL", help="learn from this co-generation model's motion, too"
    )
    parser.add_argument("--start", type=Path, metavar="MODEL", help="go on from this corrector's weights")
    parser.add_argument("--config", type=Path, metavar="FILE.json", help="settings")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, as weighting=paper"
    )
    parser.add_argument("--seed", type=int, help="seed of weights, order and disturbances")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--threads", type=int, default=0, help="cores to use on the CPU; 0: all")


def main(args: argparse.Namespace) -> int:
    """Gather clips, train, measure."""
    import torch

    from trainer.configuration import configured, read_settings
    from trainer.corrector import CorrectorTraining, train
    from trainer.corrector_clips import clips_of, composed
    from trainer.corrector_plot import plot_weights
    from trainer.team import own_device

    if args.threads:
        torch.set_num_threads(args.threads)
    settings = read_settings(args.config, args.set)
    if args.seed is not None:
        settings.setdefault("loop", {})["seed"] = args.seed
    config = configured(CorrectorTraining, settings)
    if args.texts < 1:
        raise ValueError(f"--texts: got {args.texts}, expected at least 1")
    folders = args.data or [composed(args.model / "composed", args.language or ["ase"], args.texts)]
    clips = clips_of(folders, config.most, args.generator)
    figures = train(clips, config, args.model, own_device(args.device), args.start)
    plot_weights({config.weighting: args.model / "log.csv"}, args.model / "weights.png")
    print(json.dumps(figures))
    return 0
