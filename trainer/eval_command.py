"""`handstream eval`: a table of what can be measured.

Enters: arguments. Leaves: an exit code; figures on standard output. Does not know the figures.
"""

from __future__ import annotations

import argparse
import importlib

MEASURES: dict[str, tuple[str, str]] = {
    "corrector": ("trainer.corrector_eval", "a corrector on disturbed motion, and on generated"),
    "ablation": ("trainer.ablation_command", "with and without co-generation and correction, in one table"),
    "glosser": ("trainer.glosser_eval", "a glosser model against reference glosses"),
    "cogeneration": (
        "trainer.motion_eval_command",
        "generated spelling of held-back words against recordings",
    ),
    "renderer": ("trainer.renderer.eval_command", "a video model on motion and signers held out"),
    "pictures": ("trainer.motion_eval_pictures", "SSIM, PSNR and Fréchet distance of two videos"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The measures as subcommands."""
    choices = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    for name, (module, summary) in MEASURES.items():
        importlib.import_module(module).add_arguments(
            choices.add_parser(name, help=summary, description=summary)
        )


def main(args: argparse.Namespace) -> int:
    """Measure what was asked for."""
    return int(importlib.import_module(MEASURES[args.what][0]).main(args))
