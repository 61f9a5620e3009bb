"""What a training is shown when it is given no pictures: the avatar, signing letters of every alphabet.

Enters: numbers. Leaves: clips to learn from, and clips of letters and of signers that are not among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.signals import Motion
from trainer.renderer.clips import PictureClip, Studio, alphabet_motions, avatar_clips, windows
from trainer.renderer.looks import PLAIN, Look, looks

EVERY = 8
"""One recording of so many is held out."""
HELD_OUT_SIGNERS = 3


@dataclass(frozen=True, eq=False)
class Material:
    """train; new_motion: held-out letters by signers of the training; new_signers: held-out letters and
    signers. What is held out is drawn in the light and place that are served."""

    train: list[PictureClip]
    new_motion: list[PictureClip]
    new_signers: list[PictureClip]


def split(motions: Sequence[Motion]) -> tuple[list[Motion], list[Motion]]:
    """To learn from, and held out. Raises ValueError for fewer than two recordings."""
    if len(motions) < 2:
        raise ValueError(f"renderer: got {len(motions)} recordings, expected at least two")
    held = motions[EVERY // 2 :: EVERY] or motions[-1:]
    return [m for m in motions if not any(m is h for h in held)], list(held)


def signers_of(count: int) -> tuple[list[Look], list[Look]]:
    """The signers of a training, and those held out."""
    made = looks(count + HELD_OUT_SIGNERS)
    return made[:count], made[count:]


def served(
    motions: Sequence[Motion], count: int, frames: int, size: int, who: Sequence[Look]
) -> list[PictureClip]:
    """Clips in the light and place that are served."""
    with Studio(size) as studio:
        return [
            studio.clip(f"held-{n:03d}", part, who[n % len(who)], PLAIN)
            for n, part in enumerate(windows(motions, count, frames, 1))
        ]


def avatar_material(
    size: int,
    signers: int,
    clips: int,
    frames: int,
    seed: int = 0,
    languages: Sequence[str] = (),
    held: int = 12,
    plain: float = 0.4,
) -> Material:
    """Drawn by the avatar. languages: whose alphabets (none: all). held: how many clips of each kind. plain:
    share of clips to learn from that are in the avatar's own light and place."""
    motions, kept_back = split(alphabet_motions(languages))
    seen, unseen = signers_of(signers)
    return Material(
        list(avatar_clips(motions, clips, frames, size, seen, seed, plain)),
        served(kept_back, held, frames, size, seen),
        served(kept_back, held, frames, size, unseen),
    )
