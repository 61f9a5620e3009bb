"""`handstream train`: a table of what can be trained.

Enters: arguments. Leaves: an exit code. Does not know how anything is trained.
"""

from __future__ import annotations

import argparse
import importlib

TRAINERS: dict[str, tuple[str, str]] = {
    "glosser": ("trainer.glosser_command", "text to glosses, from pairs of sentences"),
    "cogeneration": ("trainer.cogeneration_command", "glosses to motion, from motion sequences"),
    "corrector": ("trainer.corrector_command", "motion whose modalities disagree to motion that agrees"),
    "renderer": ("trainer.renderer.command", "the video renderer's teacher, from pictures and their motion"),
    "distill": (
        "trainer.renderer.distil_command",
        "a teacher of the video renderer to a student of few steps",
    ),
    "prepare": ("trainer.prepare", "corpora and lexicons to motion sequences, for the other trainers"),
    "recogniser": ("trainer.recogniser_command", "motion to glosses: the judge of generated signing"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The trainers as subcommands."""
    choices = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    for name, (module, summary) in TRAINERS.items():
        importlib.import_module(module).add_arguments(
            choices.add_parser(name, help=summary, description=summary)
        )


def main(args: argparse.Namespace) -> int:
    """Train what was asked for."""
    return int(importlib.import_module(TRAINERS[args.what][0]).main(args))
