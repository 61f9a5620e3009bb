"""What a training is shown when it is given no pictures: the avatar, signing letters of every alphabet.

Enters: numbers. Leaves: clips to learn from, and clips of letters and of signers that are not among them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from engine.lexicon import Lexicon
from engine.signals import Motion
from trainer.data.compositions import Composer, CompositionConfig
from trainer.renderer.clips import PictureClip, Studio, alphabet_motions, avatar_clips, windows
from trainer.renderer.looks import PLAIN, Look, looks

EVERY = 8
"""One recording of so many is held out."""
HELD_OUT_SIGNERS = 3
MOST_WORDS = 150
"""That are made up; each gives several clips."""
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Material:
    """train; new_motion: held-out letters by signers of the training; new_signers: held-out letters and
    signers. What is held out is drawn in the light and place that are served."""

    train: list[PictureClip]
    new_motion: list[PictureClip]
    new_signers: list[PictureClip]


def split(motions: Sequence[T]) -> tuple[list[T], list[T]]:
    """Recordings (or their names) to learn from, and held out. Raises ValueError for fewer than two."""
    if len(motions) < 2:
        raise ValueError(f"renderer: got {len(motions)} recordings, expected at least two")
    held = motions[EVERY // 2 :: EVERY] or motions[-1:]
    return [m for m in motions if not any(m is h for h in held)], list(held)


def spelled_motions(languages: Sequence[str], count: int, seed: int) -> list[Motion]:
    """So many made-up words, of letters that are not held out, with what lies around them when they are
    signed: transitions, rest, breath and blinks."""
    rng = random.Random(seed)
    lexicon = Lexicon.default()
    try:
        known = list(languages) or sorted(lexicon.languages())
        _, held = split(list(dict.fromkeys(c for one in known for c in lexicon.alphabet(one).values())))
        letters = {
            one: [
                letter
                for letter, clip in lexicon.alphabet(one).items()
                if clip not in held and len(letter) == 1
            ]
            for one in known
        }
        composers = {
            one: Composer(lexicon, CompositionConfig(one, seed, idle=True)) for one in known if letters[one]
        }
        made = []
        for number in range(count):
            language, composer = rng.choice(list(composers.items()))
            word = "".join(rng.choices(letters[language], k=rng.randint(2, 5)))
            made.append(composer.spell(word, name=f"{language}/{number}").motion)
        return made
    finally:
        lexicon.close()


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
    spelled: float = 0.0,
) -> Material:
    """Drawn by the avatar. languages: whose alphabets (none: all). held: how many clips of each kind. plain,
    spelled: shares of the clips to learn from that are in the avatar's own light and place, and of words."""
    motions, kept_back = split(alphabet_motions(languages))
    seen, unseen = signers_of(signers)
    of_words = round(clips * spelled)
    train = list(avatar_clips(motions, clips - of_words, frames, size, seen, seed, plain))
    if of_words:
        words = spelled_motions(languages, min(of_words, MOST_WORDS), seed)
        train += avatar_clips(words, of_words, frames, size, seen, seed + 1, plain, len(train))
    return Material(
        train,
        served(kept_back, held, frames, size, seen),
        served(kept_back, held, frames, size, unseen),
    )
