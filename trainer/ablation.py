"""What co-generation and correction are good for: the same words, with and without, from one command.

Enters: composed sequences to learn from, held-back words to measure on, settings all trainings share, a
folder. Leaves: `ablation.csv`, `weights.png`, a table. What is trained or measured already is not done again.

The rows, in the order of SignAligner's own table:

    separate decoders     three generators that know nothing of each other, one modality of each, each on its
                          own time (without co-generation)
    body only             the body's decoder alone; pose and hands follow by forward kinematics
    without correction    one generator, three decoders on one text and one time
    paper weights         corrected by a corrector whose loss weighs as the paper does
    entropy, uncertainty  corrected by correctors whose weights are guarded (see `corrector_losses`)

All on the generators' own time: nothing of the truth is read before it is compared.
"""

from __future__ import annotations

import csv
import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from engine.choreography.cogeneration_model import CogenerationModel
from engine.corrector import Corrector, CorrectorConfig
from engine.features import SLICES, unpack_motion
from engine.nn.correction_geometry import Geometry
from engine.signals import FloatArray, Motion
from trainer.cogeneration import CogenerationTraining
from trainer.cogeneration import train as train_generator
from trainer.corrector import Clip, CorrectorTraining
from trainer.corrector import train as train_corrector
from trainer.corrector_clips import clips_of, performed, utterances
from trainer.corrector_plot import plot_weights
from trainer.data.sequences import SequenceStore
from trainer.loop import LoopConfig
from trainer.metrics.agreement import agreement
from trainer.metrics.motion import dtw_mje, ndtwp, path_length_ratio, plane, points

log = logging.getLogger(__name__)

FORMS = ("paper", "entropy", "uncertainty")
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
            rollout=0.0,
            steps_an_epoch=30,
            loop=LoopConfig(
                epochs=4,
                learning_rate=4e-3,
                warmup_steps=20,
                schedule="cosine",
                average=0.95,
                evaluate_every=4,
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
            steps_an_epoch=10,
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
    measured = folder / "ablation.csv"
    rows: list[dict[str, str]] = []

    def add(name: str, clips: Sequence[FloatArray], weights: Mapping[str, float] | None = None) -> None:
        figures = {"row": name, **{k: f"{v:.4f}" for k, v in _figures(clips, truths).items()}}
        rows.append(figures | {k: f"{v:.3f}" for k, v in (weights or {}).items()})
        with measured.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(rows)
        tell(table(rows))

    add("separate decoders", [_mixed(parts) for parts in zip(*together, strict=True)])
    add("body only", [_from_body(clip) for clip in together[0]])
    add("without correction", together[0])
    logs: dict[str, Path] = {}
    clips: list[Clip] = []
    for form in FORMS:
        place = folder / f"corrector-{form}"
        settings = dataclasses.replace(config.corrector, weighting=form)
        if not (place / "config.json").exists():
            clips = clips or clips_of(folders, settings.most, folder / "generator-0")
            train_corrector(clips, settings, place)
        corrector = Corrector.open(place)
        with torch.inference_mode():
            fixed = [corrector(torch.from_numpy(clip)[None])[0].numpy() for clip in together[0]]
        logs[form] = place / "log.csv"
        with logs[form].open(newline="") as file:
            last = list(csv.DictReader(file))[-1]
        add(f"{form} weights", fixed, {k: float(v) for k, v in last.items() if k.startswith("weight_")})
    plot_weights(logs, folder / "weights.png")
    return rows


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


def _figures(clips: Sequence[FloatArray], truths: Sequence[Motion]) -> dict[str, float]:
    """Means over clips; ndtwp is of the body's hands, ndtwp_pose of the picture's."""
    ours = [unpack_motion(clip, truth.fps) for clip, truth in zip(clips, truths, strict=True)]
    agreed = [agreement(motion) for motion in ours]
    flat = [(plane(a), plane(b)) for a, b in zip(ours, truths, strict=True)]
    solid = [(points(a), points(b)) for a, b in zip(ours, truths, strict=True)]
    return {
        "wrist": float(np.mean([a.mean_wrist for a in agreed])),
        "fingertip": float(np.mean([a.mean_fingertip for a in agreed])),
        "ndtwp": float(np.mean([ndtwp(a, b) for a, b in solid])),
        "ndtwp_pose": float(np.mean([ndtwp(a, b) for a, b in flat])),
        "dtw_mje": float(np.mean([dtw_mje(a, b) for a, b in solid])),
        "path_length_ratio": path_length_ratio([a for a, _ in solid], [b for _, b in solid]),
    }


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """The rows as text."""
    lines = [f"{'':22s}" + "".join(f"{name:>18s}" for name in COLUMNS[1:])]
    lines += [f"{row['row']:22s}" + "".join(f"{row.get(n, ''):>18s}" for n in COLUMNS[1:]) for row in rows]
    return "\n".join(lines)
