"""`handstream train cogeneration`: motion sequences to a model that generates motion from glosses.

Enters: arguments. Leaves: a model folder and `log.csv`. Does not know how the model learns (see
`trainer.cogeneration`).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        required=True,
        metavar="FOLDER",
        help="sequences, from `handstream train prepare`; repeat for more",
    )
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="where the model goes; a killed run resumes from here",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE.json", help="settings; default: those of the shipped model"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one setting over it, such as loop.epochs=10 or rollout=0",
    )
    parser.add_argument("--seed", type=int, help="seed of weights, order and noise")
    parser.add_argument("--start", type=Path, metavar="MODEL", help="go on from this model's weights")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--threads", type=int, default=0, help="cores to use on the CPU; 0: all")


def main(args: argparse.Namespace) -> int:
    """Train one model."""
    import torch

    from trainer.cogeneration import CogenerationTraining, train
    from trainer.configuration import configured, read_settings

    if args.threads:
        torch.set_num_threads(args.threads)
    settings: dict[str, Any] = read_settings(args.config, args.set)
    if args.seed is not None:
        settings.setdefault("loop", {})["seed"] = args.seed
    config = configured(CogenerationTraining, settings)
    model = train(args.data, config, args.model, args.device, args.start)
    told = f"{len(model.words)} words in {', '.join(model.languages)}"
    print(f"{args.model}: {told}; look at it with `handstream say HELLO --choreography cogeneration "
          f"--choreography-model {args.model} --out hello.mp4`")  # fmt: skip
    return 0
