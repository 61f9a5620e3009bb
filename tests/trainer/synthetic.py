"""A small invented language pair, and a glosser trained on it in seconds.

Text `<time> <weather> es [nicht] im <place>` becomes `TIME PLACE WEATHER [NICHT]`: words move, one
is dropped, some are names alike on both sides.
"""

from __future__ import annotations

import functools
import random
from pathlib import Path

import torch

from engine.glossing.slul_model import SlulModel
from trainer.data.phoenix import Pair
from trainer.glosser import GlosserConfig, train
from trainer.glosser_losses import Objective
from trainer.glosser_noise import NoiseConfig
from trainer.loop import LoopConfig

TIMES = {"morgen": "MORGEN", "heute": "HEUTE", "abends": "ABEND"}
WEATHERS = {"regnet": "REGEN", "schneit": "SCHNEE", "stürmt": "STURM"}
PLACES = {"norden": "NORD", "süden": "SUED", "bayern": "BAYERN", "hamburg": "HAMBURG", "sachsen": "SACHSEN"}


def pairs(count: int, seed: int = 0) -> list[Pair]:
    """Sentences of the invented language."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        time, weather, place = (rng.choice(sorted(words)) for words in (TIMES, WEATHERS, PLACES))
        denied = rng.random() < 0.4
        text = (time, weather, "es", *(["nicht"] if denied else []), "im", place)
        glosses = (TIMES[time], PLACES[place], WEATHERS[weather], *(["NICHT"] if denied else []))
        made.append(Pair(text, glosses))
    return made


def config(**over: object) -> GlosserConfig:
    """A training of a second or two."""
    settings: dict[str, object] = {
        "pieces": 80,
        "width": 32,
        "heads": 2,
        "inner": 64,
        "dropout": 0.0,
        "batch": 16,
        "noise": NoiseConfig(name_share=0.3),
        "calm_epochs": 0,
        "objective": Objective(),
        "loop": LoopConfig(epochs=14, learning_rate=6e-3, warmup_steps=20, average=0.9, evaluate_every=14),
    }
    return GlosserConfig(**(settings | over))  # type: ignore[arg-type]


@functools.cache
def trained(folder: Path) -> SlulModel:
    """The model, trained once a test session, and saved in `folder`."""
    torch.set_num_threads(1)
    return train(pairs(300), [], config(), folder)
