"""Which choreography turns signs into motion: recordings from the lexicon, or the co-generation model.

Enters: arguments, or a name and a folder. Leaves: a choreography. torch is imported for the model only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.choreography import LexiconChoreography
from engine.choreography.base import AnyChoreography
from engine.choreography.store import MotionSource
from stream.config import CHOREOGRAPHIES, SPEEDS


def add_choreography_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--choreography",
        default="lexicon",
        choices=CHOREOGRAPHIES,
        help="motion from recordings, or generated (letters; signs still come from the lexicon)",
    )
    parser.add_argument(
        "--choreography-model",
        type=Path,
        metavar="FOLDER",
        help="made by `handstream train cogeneration`; default: the one that is shipped",
    )
    parser.add_argument(
        "--choreography-speed",
        default="auto",
        choices=SPEEDS,
        help="how generated motion is computed; what cannot be had here falls back to torch, saying why",
    )


def choose_choreography(
    name: str, model: Path | None, lexicon: MotionSource, fps: float, speed: str = "auto"
) -> AnyChoreography:
    """The choreography of that name; speed: how a model computes its steps.

    Raises ValueError for a model that is missing, damaged or of another version, and for a frame rate it was
    not made for.
    """
    if name != "cogeneration":
        if model is not None:
            raise ValueError("--choreography-model: give --choreography cogeneration too")
        return LexiconChoreography(lexicon, fps=fps)
    from engine.choreography.cogeneration import CogenerationChoreography

    return CogenerationChoreography.load(model, lexicon, fps=fps, speed=speed)


def remarks_of(choreography: AnyChoreography) -> list[str]:
    """What the viewer or listener should know of how it was signed."""
    remark = getattr(choreography, "remark", None)
    return [remark] if remark else []
