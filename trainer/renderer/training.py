"""Trains the teacher: clips in, a `VideoModel` of kind teacher out.

Enters: training and held-out clips, a `RendererTraining`. Leaves: a task for `trainer.loop`, and the model.
Does not know command lines or where clips come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from renderer.diffusion.config import SIZES, DenoiserConfig
from renderer.diffusion.denoiser import Denoiser
from renderer.diffusion.model import VideoModel
from renderer.diffusion.samplers import Predict, cleaned, ddim, noised, schedule, velocity
from trainer.loop import LoopConfig
from trainer.renderer.clips import PictureClip
from trainer.renderer.footage import Draw
from trainer.renderer.losses import hand_weight, noise_levels, own_previous, predictor, snr_weight, styled
from trainer.renderer.shared import PictureTask, PictureTraining, run


@dataclass(frozen=True)
class RendererTraining(PictureTraining):
    """One training of a teacher. size: of SIZES. gamma: of min-SNR. sampler_steps: it is served with."""

    size: str = "tiny"
    gamma: float = 5.0
    sampler_steps: int = 8
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            epochs=60, learning_rate=6e-4, warmup_steps=100, average=0.995, schedule="cosine", floor=0.05
        )
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size not in SIZES:
            raise ValueError(f"RendererTraining.size: got {self.size!r}, expected one of {', '.join(SIZES)}")
        if self.sampler_steps < 1 or self.gamma < 1:
            raise ValueError(
                f"RendererTraining: got sampler_steps={self.sampler_steps}, gamma={self.gamma}; expected >= 1"
            )

    @property
    def denoiser(self) -> DenoiserConfig:
        return SIZES[self.size]


class TeacherTask(PictureTask):
    """The teacher's side of the training loop."""

    kind = "teacher"

    def __init__(
        self,
        train: Sequence[PictureClip],
        held_out: Sequence[PictureClip],
        config: RendererTraining,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(config.loop.seed)
        super().__init__(Denoiser(config.denoiser), train, held_out, config, device)
        self.config = config

    def loss(self, batch: Draw) -> dict[str, Tensor]:
        """L_rec + lambda L_adv, and the critic's own."""
        c, denoiser = self.config, self.model.denoiser
        examples = self.footage.examples(batch)
        picture, previous, before = styled(examples)
        previous = own_previous(denoiser, examples, previous, before, c.blur)
        noise, sigma = torch.randn_like(picture), noise_levels(len(picture), picture.device, c.terminal)
        x = noised(picture, noise, sigma)
        v = predictor(denoiser, examples, previous, examples.known)(x, sigma)
        weight = hand_weight(examples.hands, self.footage.size, c.hands)
        error = ((v - velocity(picture, noise, sigma)).square() * weight).mean((1, 2, 3))
        rec = (error * snr_weight(sigma, c.gamma)).mean()
        return self.judged({"loss": rec, "rec": rec}, cleaned(x, v, sigma), examples, picture)

    def sample(self, predict: Predict, noise: Tensor) -> Tensor:
        """By DDIM."""
        return ddim(predict, noise, schedule(self.served_steps))

    @property
    def served_steps(self) -> int:
        return self.config.sampler_steps


def train(
    clips: Sequence[PictureClip],
    held_out: Sequence[PictureClip],
    config: RendererTraining,
    folder: Path,
    device: str = "cpu",
) -> VideoModel:
    """Train a teacher into `folder`, resuming what it holds. Returns the averaged model."""
    return run(TeacherTask(clips, held_out, config, device), clips, folder)
