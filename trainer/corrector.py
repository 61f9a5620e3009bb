"""Trains the corrector: motion that agrees, disturbed or generated anew, and back to the truth.

Enters: clips of vectors (composed, and generated ones beside them), a `CorrectorTraining`. Leaves: a task for
`trainer.loop`, and the model. Does not know files of corpora or command lines.

Two kinds of input. Disturbed: the truth with each modality spoiled on its own (see `corrector_disturbance`);
in half of the rows the truth itself first wanders off the recordings, so that the body's geometry is learned
and not the recordings by heart. Generated: the generator's own frames, run free over the true lengths of the
glosses and compared with the truth frame by frame along the cheapest way through both
(`trainer.corrector_clips`): when something is signed is not the corrector's to mend. No inference path reads
any of this.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engine.corrector import Corrector, CorrectorConfig
from engine.features import MODALITIES, SLICES, Normaliser, unpack_motion
from engine.nn.correction_geometry import folded
from engine.signals import FloatArray
from trainer.corrector_disturbance import Disturbance, DisturbanceConfig
from trainer.corrector_losses import Weighting
from trainer.loop import Loop, LoopConfig
from trainer.metrics.agreement import agreement

log = logging.getLogger(__name__)

_LITTLE = 1e-3
"""Shoulder widths, summed over a batch: keeps a share of nothing a number."""


@dataclass(frozen=True)
class CorrectorTraining:
    """One training. A batch is so many crops of so many frames.

    weighting: `paper`, `entropy`, `uncertainty` or `equal` (see `corrector_losses`); strength: of the
    entropy term; haste: how much faster than the network its three numbers learn. agreement: weight of the
    share of the disagreement (after forward kinematics) that is left, beside the paper's loss (0: off);
    enough: less than this share earns nothing more. place: weight of the share of the distance from the
    truth (hand keypoints of body and picture) that is left (0: off). half: the weights are saved as float16.
    generated: share of rows that the generator made, where
    there are such clips. wander: how far (radians) the truth may leave the recordings. development: clips
    held back for looking. most: at most so many clips are read (0: all).
    """

    corrector: CorrectorConfig = field(default_factory=CorrectorConfig)
    disturbance: DisturbanceConfig = field(default_factory=DisturbanceConfig)
    weighting: str = "uncertainty"
    strength: float = 1.0
    haste: float = 10.0
    agreement: float = 3.0
    enough: float = 0.35
    place: float = 1.0
    generated: float = 0.5
    wander: float = 0.25
    batch: int = 16
    frames: int = 32
    steps_an_epoch: int = 50
    development: int = 8
    most: int = 400
    half: bool = False
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            epochs=30, learning_rate=2e-3, warmup_steps=60, schedule="cosine", floor=0.02, average=0.99
        )
    )

    def __post_init__(self) -> None:
        for name in ("batch", "steps_an_epoch", "development"):
            if getattr(self, name) < 1:
                raise ValueError(f"CorrectorTraining.{name}: got {getattr(self, name)}, expected at least 1")
        if self.frames < 8:
            raise ValueError(f"CorrectorTraining.frames: got {self.frames}, expected at least 8")
        if not 0 <= self.generated <= 1 or min(self.agreement, self.place, self.wander, self.most) < 0:
            raise ValueError(
                f"CorrectorTraining: got generated={self.generated}, agreement={self.agreement}, "
                f"wander={self.wander}, most={self.most}; expected a share 0..1, and none negative"
            )
        Weighting(self.weighting, self.strength, self.haste)


@dataclass(frozen=True, eq=False)
class Clip:
    """The truth [T, 694], and what the generator made of it on the same lengths [T, 694], if it did."""

    truth: FloatArray
    generated: FloatArray | None = None


@dataclass(frozen=True)
class Batch:
    """spoiled, truth [B, T, 694]; whole [B, T]: frames that exist; disturbed: so many rows are that, the
    others are generated."""

    spoiled: Tensor
    truth: Tensor
    whole: Tensor
    disturbed: int


class Learner(nn.Module):
    """What the loop trains: the corrector, and the loss's own three numbers."""

    def __init__(self, corrector: Corrector, weighting: Weighting) -> None:
        super().__init__()
        self.corrector, self.weighting = corrector, weighting


class _Batches(Sequence[Batch]):
    """Batches made when they are asked for."""

    def __init__(self, task: CorrectorTask, epoch: int) -> None:
        self.task, self.epoch = task, epoch

    def __len__(self) -> int:
        return self.task.config.steps_an_epoch

    def __getitem__(self, number):  # type: ignore[no-untyped-def]
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self.task.make(self.epoch, number)


class CorrectorTask:
    """The corrector's side of the training loop."""

    def __init__(
        self,
        clips: Sequence[Clip],
        config: CorrectorTraining,
        device: str = "cpu",
        before: Corrector | None = None,
    ) -> None:
        if len(clips) <= config.development:
            raise ValueError(
                f"corrector: got {len(clips)} clips and development={config.development}; expected more of "
                "them than are held back"
            )
        self.config, self.device = config, device
        every = len(clips) // config.development
        self.dev = list(clips[::every][: config.development])
        held = {id(clip) for clip in self.dev}
        self.train = [clip for clip in clips if id(clip) not in held]
        self.made = [clip for clip in self.train if clip.generated is not None]
        torch.manual_seed(config.loop.seed)
        normaliser = before.normaliser if before else Normaliser.learn(clip.truth for clip in self.train)
        corrector = Corrector(config.corrector, normaliser)
        if before is not None:
            if before.config != config.corrector:
                raise ValueError(f"corrector: got a start of {before.config}, expected {config.corrector}")
            corrector.load_state_dict(before.state_dict())
        self.model = Learner(corrector, Weighting(config.weighting, config.strength, config.haste)).to(device)
        moving = torch.from_numpy(normaliser.moving)
        self.counted = [moving[SLICES[name]].nonzero()[:, 0].to(device) for name in MODALITIES]

    def batches(self, epoch: int) -> Sequence[Batch]:
        """Crops and disturbances drawn from the seed and the epoch."""
        return _Batches(self, epoch)

    def make(self, epoch: int, number: int) -> Batch:
        c = self.config
        rng = np.random.default_rng([c.loop.seed, epoch, number])
        disturb = Disturbance(c.disturbance, torch.Generator().manual_seed(int(rng.integers(2**62))))
        from_made = round(c.generated * c.batch) if self.made else 0
        composed = [
            _crop(self._any(self.train, rng).truth, c.frames, rng) for _ in range(c.batch - from_made)
        ]
        truth, whole = (torch.from_numpy(np.stack(part)) for part in zip(*composed, strict=True))
        with torch.no_grad():
            geometry = self.model.corrector.geometry.to("cpu")
            half = truth[1::2]
            wandering = disturb.wander(half, c.wander)
            wandering[..., :312] += geometry.disagreements(wandering)[..., :312]  # the others follow the body
            truth[1::2] = wandering
            spoiled = disturb(truth)
            self.model.corrector.geometry.to(self.device)
        if from_made:
            pairs = [self._any(self.made, rng) for _ in range(from_made)]
            both = [np.concatenate([clip.generated, clip.truth], -1) for clip in pairs]
            cut = [_crop(pair, c.frames, rng) for pair in both]
            made, there = (torch.from_numpy(np.stack(part)) for part in zip(*cut, strict=True))
            width = truth.shape[-1]
            spoiled = torch.cat([spoiled, made[..., :width]])
            truth, whole = torch.cat([truth, made[..., width:]]), torch.cat([whole, there])
        return Batch(spoiled, truth, whole, c.batch - from_made)

    @staticmethod
    def _any(clips: Sequence[Clip], rng: np.random.Generator) -> Clip:
        return clips[int(rng.integers(len(clips)))]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted squared errors in spreads of the truth (equation 8), and the disagreement that is left."""
        corrector = self.model.corrector
        spoiled, truth, whole = (x.to(self.device) for x in (batch.spoiled, batch.truth, batch.whole))
        corrected = corrector(spoiled, whole.sum(1))
        off = corrector.normaliser.apply(corrected) - corrector.normaliser.apply(truth)
        per_modality = [
            ((off[..., SLICES[name]][..., used] ** 2).mean(-1) * whole).sum() / whole.sum()
            for name, used in zip(MODALITIES, self.counted, strict=True)
        ]
        loss = self.model.weighting(torch.stack(per_modality))
        figures = {f"error_{name}": e for name, e in zip(MODALITIES, per_modality, strict=True)}
        if self.config.agreement or self.config.place:
            every_other = [x[:, ::2] for x in (spoiled, corrected, truth, whole)]
            rows = {"disturbed": slice(0, batch.disturbed), "generated": slice(batch.disturbed, None)}
            for kind, own in rows.items():
                if not len(spoiled[own]):
                    continue
                left = self._shares(*(x[own] for x in every_other))
                figures |= {f"{kind}_{name}": share for name, share in left.items()}
                enough = (left["apart"] - self.config.enough).clamp(min=0)
                place = (left["body"] + left["picture"]) / 2
                loss = loss + (self.config.agreement * enough + self.config.place * place) / len(rows)
        weights = self.model.weighting.weights().detach()
        figures |= {f"weight_{name}": w for name, w in zip(MODALITIES, weights, strict=True)}
        return {"loss": loss, **figures}

    def _shares(self, spoiled: Tensor, corrected: Tensor, truth: Tensor, whole: Tensor) -> dict[str, Tensor]:
        """What is left of the disagreement, and of the distances from the truth of the body's hands and of
        the picture's: over all rows together, as they are measured in the end."""
        geometry = self.model.corrector.geometry
        hands = slice(18, 60)
        with torch.no_grad():
            apart_before, points_before = geometry.compare(spoiled)
            goal = geometry.compare(truth)[1][..., hands, :]
        apart, points = geometry.compare(corrected)
        apart, apart_before = _apart(apart, points), _apart(apart_before, points_before)
        body, body_before = (
            (p[..., hands, :] - goal).square().sum(-1).add(1e-12).sqrt().mean(-1)
            for p in (points, points_before)
        )
        picture, picture_before = (
            folded((v - truth)[..., 36:120], 42, 2).norm(dim=-1).mean(-1) for v in (corrected, spoiled)
        )
        pairs = {
            "apart": (apart, apart_before),
            "body": (body, body_before),
            "picture": (picture, picture_before),
        }
        return {
            name: (after * whole).sum() / ((before * whole).sum() + _LITTLE)
            for name, (after, before) in pairs.items()
        }

    @torch.no_grad()
    def evaluate(self, model: Learner) -> dict[str, float]:
        """Disagreement after correction over that before, on held-back clips: disturbed ones, generated
        ones."""
        generator = torch.Generator().manual_seed(1)
        disturb = Disturbance(self.config.disturbance, generator)
        figures = {}
        spoiled = [disturb(torch.from_numpy(clip.truth)[None])[0] for clip in self.dev]
        made = [torch.from_numpy(clip.generated) for clip in self.dev if clip.generated is not None]
        for name, clips in (("disturbed", spoiled), ("generated", made)):
            if not clips:
                continue
            fixed = [model.corrector(clip[None].to(self.device))[0].cpu() for clip in clips]
            before, after = (disagreement([x.numpy() for x in some]) for some in (clips, fixed))
            for kind in ("wrist", "fingertip"):
                figures[f"{name}_{kind}"] = after[kind] / before[kind]
        return figures


def _apart(disagreements: Tensor, points: Tensor) -> Tensor:
    """Mean distance of the hands' points between each pair of modalities, as `metrics.agreement` has it of
    wrists and fingertips, [..., 440] and [..., 100, 3] -> [...]."""
    own = folded(points[..., 18:60, :].flatten(-2), 2, 21, 3)
    own = (own[..., 1:, :] - own[..., :1, :]).flatten(-3, -2)  # of the body, from its wrists
    pairs = (
        folded(disagreements[..., 36:120], 42, 2),
        folded(disagreements[..., 312:392], 40, 2),
        points[..., 60:, :] - own,
    )
    return torch.stack([_length(pair) for pair in pairs]).mean(0)


def _length(vectors: Tensor) -> Tensor:
    """Mean length of [..., N, 2 or 3] -> [...], with a gradient at nothing."""
    return (vectors.square().sum(-1) + 1e-12).sqrt().mean(-1)


def disagreement(clips: Sequence[FloatArray]) -> dict[str, float]:
    """Mean wrist and fingertip distances between the modalities of clips of vectors (see
    `metrics.agreement`)."""
    each = [agreement(unpack_motion(clip, 25.0)) for clip in clips]
    return {
        "wrist": float(np.mean([a.mean_wrist for a in each])),
        "fingertip": float(np.mean([a.mean_fingertip for a in each])),
    }


def _crop(clip: FloatArray, frames: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:  # type: ignore[type-arg]
    """`frames` of a clip from anywhere, and which of them exist (a shorter clip stands still at its end)."""
    at = int(rng.integers(0, max(0, len(clip) - frames) + 1))
    cut = clip[at : at + frames]
    whole = np.arange(frames) < len(cut)
    return np.concatenate([cut, np.repeat(cut[-1:], frames - len(cut), 0)]), whole


def train(
    clips: Sequence[Clip],
    config: CorrectorTraining,
    folder: Path,
    device: str = "cpu",
    start: Path | None = None,
) -> dict[str, float]:
    """Train one corrector into `folder`, resuming what it holds; the averaged model is saved. Its figures.

    start: a corrector whose weights, and figures of normalisation, are gone on from.
    """
    before = None if start is None else Corrector.open(start)
    task = CorrectorTask(clips, config, device, before)
    loop = Loop(task, config.loop, folder)
    parameters = sum(p.numel() for p in task.model.parameters())
    log.info("corrector: %d clips, %.2f M parameters, %s", len(task.train), parameters / 1e6, folder)
    figures = loop.run()
    if loop.team.first:
        about = {"training": dataclasses.asdict(config), "figures": figures}
        loop.averaged.corrector.save(folder, half=config.half, **about)
    return figures
