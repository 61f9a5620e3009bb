"""Which glosser turns text into signs: the plain one, or one learned from a corpus.

Enters: arguments, or a name and a folder. Leaves: a glosser. torch is imported for the learned one only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.glossing import PlainGlosser
from engine.lexicon import Lexicon
from engine.signer import GlosserLike
from stream.config import GLOSSERS


def add_glosser_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--glosser", default="plain", choices=GLOSSERS, help="word for word, or learned (slul)"
    )
    parser.add_argument("--glosser-model", type=Path, help="folder made by `handstream train glosser`")


def choose_glosser(name: str, model: Path | None, lexicon: Lexicon) -> GlosserLike:
    """The glosser of that name. A model that is missing or damaged gives the plain one, with a warning."""
    if name != "slul":
        return PlainGlosser(lexicon)
    from engine.glossing.slul import open_glosser

    return open_glosser(lexicon, model)
