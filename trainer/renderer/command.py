"""`handstream train renderer`: pictures and their motion to a teacher of the video renderer.

Enters: arguments. Leaves: a model folder and `log.csv`. Does not know how the model learns.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.renderer.material import Material
    from trainer.renderer.shared import PictureTraining


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    add_shared_arguments(parser)
    parser.add_argument(
        "--size", choices=("tiny", "small", "base", "large"), help="64, 96, 256 or 512 pixels; default tiny"
    )


def add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `distill` too."""
    parser.add_argument(
        "--data", type=Path, action="append", default=[], metavar="FOLDER",
        help="pictures, from `handstream train prepare pictures | videos`; repeat for more; "
        "without any the avatar draws letters of every alphabet",
    )  # fmt: skip
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER",
                        help="where the model goes; a killed run resumes from here")  # fmt: skip
    parser.add_argument("--config", type=Path, metavar="FILE.json", help="settings over the defaults")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="one setting over them, such as loop.epochs=10 or adversarial=0")  # fmt: skip
    parser.add_argument("--language", action="append", default=[], metavar="CODE",
                        help="the avatar signs this alphabet only (repeatable); default all")  # fmt: skip
    parser.add_argument("--seed", type=int, help="seed of weights, order and noise")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--threads", type=int, default=0, help="cores to use on the CPU; 0: all")


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that the arguments ask for. Raises ValueError where a device is not there."""
    import torch

    from trainer.configuration import read_settings

    if args.device != "cpu" and not torch.cuda.is_available():
        raise ValueError(
            f"--device {args.device}: this machine has no CUDA device; leave it out to use the CPU"
        )
    if args.threads:
        torch.set_num_threads(args.threads)
    settings = read_settings(args.config, args.set)
    if args.seed is not None:
        settings.setdefault("loop", {})["seed"] = args.seed
    return settings


def material_of(args: argparse.Namespace, size: int, config: PictureTraining) -> Material:
    """The pictures given, one clip of each ten held out, or the avatar's."""
    from trainer.renderer.clips import open_clips
    from trainer.renderer.material import Material, avatar_material

    if not args.data:
        return avatar_material(
            size,
            config.signers,
            config.clips,
            config.frames,
            args.seed or 0,
            args.language,
            plain=config.plain,
            spelled=config.spelled,
        )
    given = [clip for folder in args.data for clip in open_clips(folder, size)]
    held = given[5::10] or given[-1:]
    return Material([c for c in given if all(c is not h for h in held)] or given, held, [])


def main(args: argparse.Namespace) -> int:
    """Train one teacher."""
    from trainer.configuration import configured
    from trainer.renderer.training import RendererTraining, train
    from trainer.team import own_device

    settings = settings_of(args)
    if args.size:
        settings["size"] = args.size
    config = configured(RendererTraining, settings)
    material = material_of(args, config.denoiser.size, config)
    train(material.train, material.new_motion, config, args.model, own_device(args.device))
    print(f"{args.model}: a teacher of {config.sampler_steps} steps; next: "
          f"`handstream train distill --teacher {args.model} --model STUDENT`")  # fmt: skip
    return 0
