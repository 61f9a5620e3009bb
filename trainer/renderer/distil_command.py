"""`handstream train distill`: a teacher of the video renderer to a student of few steps.

Enters: arguments. Leaves: a model folder and `log.csv`. Does not know how the student learns.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from trainer.renderer.command import add_shared_arguments, material_of, settings_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    add_shared_arguments(parser)
    parser.add_argument("--teacher", type=Path, required=True, metavar="FOLDER",
                        help="a model of `handstream train renderer`")  # fmt: skip
    parser.add_argument("--steps", type=int, help="1, 2 or 4: how many the student is to be served with")


def main(args: argparse.Namespace) -> int:
    """Distil one student."""
    from renderer.diffusion.model import VideoModel
    from trainer.configuration import configured
    from trainer.renderer.distilling import DistilTraining, distil
    from trainer.team import own_device

    settings = settings_of(args)
    if args.steps is not None:
        settings["student_steps"] = args.steps
    config = configured(DistilTraining, settings)
    teacher = VideoModel.open(args.teacher)
    if teacher.kind != "teacher":
        raise ValueError(f"--teacher {args.teacher}: got a student; give the teacher it was distilled from")
    material = material_of(args, teacher.config.size, config)
    distil(teacher, material.train, material.new_motion, config, args.model, own_device(args.device))
    print(f"{args.model}: a student of {config.student_steps} steps; look at it with `handstream say HELLO "
          f"--renderer diffusion --renderer-model {args.model} --out hello.mp4`")  # fmt: skip
    return 0
