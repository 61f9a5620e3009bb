"""`handstream train prepare`: corpora become folders of motion sequences.

Enters: arguments. Leaves: a folder that `trainer.data.sequences.SequenceStore` reads. Running the same
command again goes on where it was stopped. Does not know corpora: each target is a module with
`add_arguments` and `main`.
"""

from __future__ import annotations

import argparse
import importlib

TARGETS: dict[str, tuple[str, str]] = {
    "compositions": ("trainer.prepare_compositions", "spelled texts, composed from a lexicon's recordings"),
    "dgs": ("trainer.prepare_corpora", "DGS sentences with gloss timings"),
    "skels": ("trainer.prepare_corpora", "a .skels file of Progressive Transformers"),
    "poses": ("trainer.prepare_corpora", "a folder of .pose recordings"),
    "pictures": ("trainer.renderer.prepare_command", "motion drawn by the avatar, for the video renderer"),
    "videos": ("trainer.renderer.prepare_command", "your own videos of signers, for the video renderer"),
    "phoenix14t": ("trainer.prepare_phoenix", "PHOENIX14T+: three modalities from videos and result files"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The targets as subcommands."""
    choices = parser.add_subparsers(dest="corpus", metavar="CORPUS", required=True)
    for name, (module, summary) in TARGETS.items():
        importlib.import_module(module).add_arguments(
            choices.add_parser(name, help=summary, description=summary)
        )


def main(args: argparse.Namespace) -> int:
    """Prepare what was asked for."""
    return int(importlib.import_module(TARGETS[args.corpus][0]).main(args))


def told(folder: object, written: int, sequences: int, problems: list[tuple[str, str]]) -> str:
    """What a preparation came to, in a few lines."""
    lines = [f"{folder}: {sequences} sequences, {written} of them new; {len(problems)} left out"]
    lines += [f"  {name}: {reason}" for name, reason in problems[:10]]
    if len(problems) > 10:
        lines.append(f"  and {len(problems) - 10} more")
    return "\n".join(lines)
