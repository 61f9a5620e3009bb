"""Distils a teacher of many steps into a student of few: consistency distillation with a critic.

Enters: a teacher, clips, a `DistilTraining`. Leaves: a `VideoModel` of kind student. Does not know command
lines or where clips come from.

The student's guess from a noisy picture is to be its own guess from one step of the teacher's nearer to the
picture (Song et al. 2023); with the true picture (L_rec) that is not enough to stay sharp, so the critic says
whether the guess looks true (lambda L_adv, as in adversarial diffusion distillation, Sauer et al. 2023). Both
are told previous pictures that the student drew itself, so that what is served does not drift.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from renderer.diffusion.denoiser import Denoiser
from renderer.diffusion.model import VideoModel
from renderer.diffusion.samplers import Predict, cleaned, ddim_step, few_step, noised, schedule
from trainer.loop import LoopConfig
from trainer.renderer.clips import PictureClip
from trainer.renderer.footage import Draw, Examples
from trainer.renderer.losses import hand_weight, own_previous, predictor, styled
from trainer.renderer.shared import PictureTask, PictureTraining, run

HUBER = 0.03
"""Where the loss turns from square to straight (pseudo-Huber, Song and Dhariwal 2024), for pictures -1..1."""


@dataclass(frozen=True)
class DistilTraining(PictureTraining):
    """One distillation. intervals: the teacher's steps between noise and picture. rec: weight of the true
    picture. student_steps: how many the student is to be served with."""

    intervals: int = 16
    rec: float = 0.5
    shuffle: float = 0.0
    rollout: float = 0.5
    student_steps: int = 4
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            epochs=15, learning_rate=2e-4, warmup_steps=50, average=0.99, schedule="cosine", floor=0.05
        )
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.intervals < 2 or not 1 <= self.student_steps <= 8 or self.rec < 0:
            raise ValueError(
                f"DistilTraining: got intervals={self.intervals}, student_steps={self.student_steps}, rec="
                f"{self.rec}; expected at least 2 intervals, 1 to 8 steps, rec >= 0"
            )


class StudentTask(PictureTask):
    """The student's side of the training loop; it begins as a copy of the teacher."""

    kind = "student"
    stream = (1,)

    def __init__(
        self,
        teacher: VideoModel,
        train: Sequence[PictureClip],
        held_out: Sequence[PictureClip],
        config: DistilTraining,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(config.loop.seed)
        student = Denoiser(teacher.config)
        student.load_state_dict(teacher.denoiser.state_dict())
        super().__init__(student, train, held_out, config, device)
        self.config = config
        self.teacher = teacher.denoiser.to(device).requires_grad_(False).eval()

    def loss(self, batch: Draw) -> dict[str, Tensor]:
        """Consistency with the teacher, the true picture, and the critic."""
        c, student = self.config, self.model.denoiser
        examples = self.footage.examples(batch)
        picture, previous, before = styled(examples)
        previous = own_previous(student, examples, previous, before, c.blur)
        noise = torch.randn_like(picture)
        number = torch.randint(1, c.intervals + 1, (len(picture),), device=picture.device)
        number = torch.where(torch.rand_like(noise[:, 0, 0, 0]) < c.terminal, c.intervals, number)
        sigma, lower = (torch.sin(math.pi / 2 * n / c.intervals) for n in (number, number - 1))
        x = noised(picture, noise, sigma)
        v = predictor(student, examples, previous, examples.known)(x, sigma)
        guess = cleaned(x, v, sigma)
        target = self._target(x, sigma, lower, examples, previous)
        weight = hand_weight(examples.hands, self.footage.size, c.hands)
        own = (_huber(guess - target) * weight).mean()
        true = (_huber(guess - picture) * weight).mean()
        losses = {"consistency": own, "rec": true, "loss": own + c.rec * true}
        return self.judged(losses, guess, examples, picture)

    @torch.no_grad()
    def _target(
        self, x: Tensor, sigma: Tensor, lower: Tensor, examples: Examples, previous: Tensor
    ) -> Tensor:
        """The student's guess one of the teacher's steps further on; at the end that step itself."""
        known = examples.known
        v = predictor(self.teacher, examples, previous, known)(x, sigma)
        nearer = ddim_step(x, v, x, sigma, lower)
        guess = predictor(self.model.denoiser, examples, previous, known)(nearer, lower)
        return cleaned(nearer, guess, lower)

    def sample(self, predict: Predict, noise: Tensor) -> Tensor:
        """At the student's steps."""
        return few_step(predict, noise, schedule(self.served_steps))

    @property
    def served_steps(self) -> int:
        return self.config.student_steps


def _huber(error: Tensor) -> Tensor:
    """[B, 1, S, S]: mean over colours."""
    return ((error.square() + HUBER**2).sqrt() - HUBER).mean(1, keepdim=True)


def distil(
    teacher: VideoModel,
    clips: Sequence[PictureClip],
    held_out: Sequence[PictureClip],
    config: DistilTraining,
    folder: Path,
    device: str = "cpu",
) -> VideoModel:
    """Distil a student into `folder`, resuming what it holds. Returns the averaged model.

    Raises ValueError where the pictures are not of the teacher's size.
    """
    return run(StudentTask(teacher, clips, held_out, config, device), clips, folder)
