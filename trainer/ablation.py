"""What co-generation and correction are good for: the same words, with and without, from one command.

Enters: composed sequences to learn from, held-back words to measure on, settings all trainings share, a
folder. Leaves: `ablation.csv`, `weights.png`, a table. What is trained or measured already is not done again.

The rows, in the order of SignAligner's own table:

    separate decoders     three generators that know nothing of each other, one modality of each, each on its
                          own time (without co-generation)
    body only             the body's decoder alone; pose and hands follow by forward kinematics
    without correction    one generator, three decoders on one text and one time
    untrained             corrected by a corrector that has learned nothing: everything meets half way
    paper's form          its loss weighs as the paper does, and it does not see where modalities disagree
    paper weights         its loss weighs as the paper does
    entropy, uncertainty  its weights are guarded (see `corrector_losses`)
    as shipped            guarded by uncertainty, and the loss has terms for agreement and place

All on the generators' own time: nothing of the truth is read before it is compared.
"""

from __future__ import annotations

import csv
import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.choreography.cogeneration_model import CogenerationModel
from engine.corrector import Corrector, CorrectorConfig
from engine.features import SLICES
from engine.nn.correction_geometry import Geometry
from engine.signals import FloatArray
from trainer.cogeneration import CogenerationTraining
from trainer.cogeneration import train as train_generator
from trainer.corrector import Clip, CorrectorTraining
from trainer.corrector import train as train_corrector
from trainer.corrector_clips import clips_of, performed, utterances
from trainer.corrector_eval import corrected, measured
from trainer.corrector_plot import plot_weights
from trainer.data.sequences import SequenceStore
from trainer.loop import LoopConfig

log = logging.getLogger(__name__)

CORRECTORS: dict[str, dict[str, Any]] = {
    "paper's form": {"weighting": "paper", "geometry": False},
    "paper weights": {"weighting": "paper"},
    "entropy weights": {"weighting": "entropy"},
    "uncertainty weights": {"weighting": "uncertainty"},
    "as shipped": {"weighting": "uncertainty", "agreement": 8.0, "enough": 0.3, "place": 4.0},
}
"""Rows with a trained corrector, and what their trainings differ in."""
COLUMNS = (
    "row", "wrist", "fingertip", "ndtwp", "ndtwp_pose", "dtw_mje", "path_length_ratio",
    "weight_pose", "weight_hands", "weight_smplx",
)  # fmt: skip


@dataclass(frozen=True)
class AblationConfig:
    """Small trainings that take minutes. agreement is off in the correctors, so that the loss is the paper's
    own and only its weights differ."""

    generator: CogenerationTraining = field(
        default_factory=lambda: CogenerationTraining(
            width=64,
            layers=2,
            inner=128,
            batch=8,
            frames=32,
            most=120,
            development=4,
            rollout=0.3,
            steps_an_epoch=30,
            loop=LoopConfig(
                epochs=10,
                learning_rate=4e-3,
                warmup_steps=20,
                schedule="cosine",
                average=0.95,
                evaluate_every=10,
            ),
        )
    )
    corrector: CorrectorTraining = field(
        default_factory=lambda: CorrectorTraining(
            corrector=CorrectorConfig(width=48, inner=96),
            agreement=0.0,
            place=0.0,
            batch=8,
            frames=24,
            most=40,
            development=4,
            steps_an_epoch=25,
            loop=LoopConfig(
                epochs=12,
                learning_rate=4e-3,
                warmup_steps=10,
                schedule="cosine",
                average=0.95,
                evaluate_every=12,
            ),
        )
    )


def ablate(
    folders: Sequence[Path],
    held_back: Path,
    folder: Path,
    config: AblationConfig,
    tell: Callable[[str], None] = print,
) -> list[dict[str, str]]:
    """Train what is missing, measure, tell the table after each row. Returns the rows."""
    store = SequenceStore(held_back)
    truths = [store[i].motion for i in range(len(store))]
    generators = [_generator(folders, folder / f"generator-{seed}", config, seed) for seed in range(3)]
    together = [performed(model, utterances(model, store)) for model in generators]
    rows: list[dict[str, str]] = []

    def add(name: str, clips: Sequence[FloatArray], weights: Mapping[str, float] | None = None) -> None:
        figures = {k: f"{v:.4f}" for k, v in measured(clips, truths).items() if k in COLUMNS}
        rows.append({"row": name} | figures | {k: f"{v:.3f}" for k, v in (weights or {}).items()})
        with (folder / "ablation.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(rows)
        tell(table(rows))

    add("separate decoders", [_mixed(parts) for parts in zip(*together, strict=True)])
    add("body only", [_from_body(clip) for clip in together[0]])
    add("without correction", together[0])
    untrained = Corrector(config.corrector.corrector, generators[0].channels.normaliser).eval()
    add("untrained", corrected(untrained, together[0]))
    logs: dict[str, Path] = {}
    clips: list[Clip] = []
    for name, over in CORRECTORS.items():
        place = folder / f"corrector-{name.replace(' ', '-')}"
        if not (place / "config.json").exists():
            clips = clips or clips_of(folders, config.corrector.most, folder / "generator-0")
            train_corrector(clips, _differing(config.corrector, **over), place)
        logs[name] = place / "log.csv"
        with logs[name].open(newline="") as file:
            last = list(csv.DictReader(file))[-1]
        weights = {k: float(v) for k, v in last.items() if k.startswith("weight_")}
        add(name, corrected(Corrector.open(place), together[0]), weights)
    plot_weights(logs, folder / "weights.png")
    return rows


def _differing(config: CorrectorTraining, geometry: bool = True, **over: Any) -> CorrectorTraining:
    sizes = dataclasses.replace(config.corrector, geometry=geometry)
    return dataclasses.replace(config, corrector=sizes, **over)


def _generator(folders: Sequence[Path], folder: Path, config: AblationConfig, seed: int) -> CogenerationModel:
    if not (folder / "config.json").exists():
        loop = dataclasses.replace(config.generator.loop, seed=seed)
        train_generator(folders, dataclasses.replace(config.generator, loop=loop), folder)
    return CogenerationModel.open(folder)


def _mixed(parts: Sequence[FloatArray]) -> FloatArray:
    """One modality of each of three clips; a shorter one stands still at its end."""
    longest = max(map(len, parts))
    padded = [np.concatenate([p, np.repeat(p[-1:], longest - len(p), 0)]) for p in parts]
    return np.concatenate([p[:, where] for p, where in zip(padded, SLICES.values(), strict=True)], -1)


def _from_body(clip: FloatArray) -> FloatArray:
    """Pose and hands as the body has them."""
    followed = clip.copy()
    followed[:, :312] += Geometry().disagreements(torch.from_numpy(clip))[:, :312].numpy()
    return followed


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """The rows as text."""
    lines = [f"{'':22s}" + "".join(f"{name:>18s}" for name in COLUMNS[1:])]
    lines += [f"{row['row']:22s}" + "".join(f"{row.get(n, ''):>18s}" for n in COLUMNS[1:]) for row in rows]
    return "\n".join(lines)
