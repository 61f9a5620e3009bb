"""Distils a teacher of many steps into a student of few: consistency distillation with a critic.

Enters: a teacher, clips, a `DistilTraining`. Leaves: a `VideoModel` of kind student. Does not know command
lines or where clips come from.

The student's guess from a noisy picture is to be its own guess from one step of the teacher's nearer to the
picture (Song et al. 2023); with the true picture (L_rec) that is not enough to stay sharp, so the critic says
whether the guess looks true (lambda L_adv, as in adversarial diffusion distillation, Sauer et al. 2023). Both
are told previous pictures that the student drew itself, so that what is served does not drift.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from renderer.diffusion.denoiser import Denoiser
from renderer.diffusion.model import VideoModel
from renderer.diffusion.samplers import cleaned, few_step, noised, schedule
from trainer.loop import Loop, LoopConfig
from trainer.renderer.card import write_card
from trainer.renderer.clips import PictureClip
from trainer.renderer.critic import adversarial
from trainer.renderer.footage import Draw, Examples, Footage
from trainer.renderer.losses import hand_weight, own_previous, predictor, styled
from trainer.renderer.training import Duel, held_out_psnr

log = logging.getLogger(__name__)
HUBER = 0.03
"""Where the loss turns from square to straight (pseudo-Huber, Song and Dhariwal 2024), for pictures -1..1."""


@dataclass(frozen=True)
class DistilTraining:
    """One distillation. intervals: the teacher's steps between noise and picture. rec: weight of the true
    picture. adversarial: of the critic. student_steps: how many the student is to be served with. Others as
    in `RendererTraining`."""

    signers: int = 24
    clips: int = 480
    frames: int = 8
    batch: int = 8
    steps: int = 100
    intervals: int = 16
    rec: float = 0.5
    adversarial: float = 0.01
    hands: float = 4.0
    shuffle: float = 0.0
    rollout: float = 0.5
    student_steps: int = 4
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            epochs=15, learning_rate=2e-4, warmup_steps=50, average=0.99, schedule="cosine", floor=0.05
        )
    )

    def __post_init__(self) -> None:
        if self.intervals < 2 or not 1 <= self.student_steps <= 8:
            raise ValueError(
                f"DistilTraining: got intervals={self.intervals}, student_steps={self.student_steps}; "
                "expected at least 2 intervals and 1 to 8 steps"
            )
        if min(self.batch, self.steps, self.signers, self.clips) < 1 or self.frames < 2:
            raise ValueError("DistilTraining: batch, steps, signers and clips must be >= 1, frames >= 2")
        for name in ("rec", "adversarial", "hands", "shuffle", "rollout"):
            if getattr(self, name) < 0:
                raise ValueError(f"DistilTraining.{name}: got {getattr(self, name)}, expected >= 0")


class StudentTask:
    """The student's side of the training loop; it begins as a copy of the teacher."""

    def __init__(
        self,
        teacher: VideoModel,
        train: Sequence[PictureClip],
        held_out: Sequence[PictureClip],
        config: DistilTraining,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(config.loop.seed)
        self.config = config
        self.teacher = teacher.denoiser.to(device).requires_grad_(False).eval()
        student = Denoiser(teacher.config)
        student.load_state_dict(teacher.denoiser.state_dict())
        self.model = Duel(student).to(device)
        self.footage = Footage(train, teacher.config.styles, device)
        self.held_out = Footage(held_out, teacher.config.styles, device) if held_out else None

    def batches(self, epoch: int) -> Sequence[Draw]:
        """Draws of the epoch; they follow from the seed and the epoch alone."""
        c = self.config
        return self.footage.draws(c.steps, c.batch, c.shuffle, c.rollout, (c.loop.seed, epoch, 1))

    def loss(self, batch: Draw) -> dict[str, Tensor]:
        """Consistency with the teacher, the true picture, and the critic."""
        c, student = self.config, self.model.denoiser
        examples = self.footage.examples(batch)
        picture, previous, before = styled(examples)
        previous = own_previous(student, examples, previous, before)
        noise = torch.randn_like(picture)
        number = torch.randint(1, c.intervals + 1, (len(picture),), device=picture.device)
        number = torch.where(torch.rand_like(noise[:, 0, 0, 0]) < 0.2, c.intervals, number)
        sigma, lower = (torch.sin(math.pi / 2 * n / c.intervals) for n in (number, number - 1))
        x = noised(picture, noise, sigma)
        v = predictor(student, examples, previous, examples.known)(x, sigma)
        guess = cleaned(x, v, sigma)
        target = self._target(x, sigma, lower, examples, previous)
        weight = hand_weight(examples.hands, self.footage.size, c.hands)
        own = (_huber(guess - target) * weight).mean()
        true = (_huber(guess - picture) * weight).mean()
        losses = {"consistency": own, "rec": true, "loss": own + c.rec * true}
        if c.adversarial:
            fooled, told = adversarial(self.model.critic, guess, picture, examples.maps)
            losses |= {"adv": fooled, "critic": told}
            losses["loss"] = losses["loss"] + c.adversarial * fooled + told
        return losses

    @torch.no_grad()
    def _target(
        self, x: Tensor, sigma: Tensor, lower: Tensor, examples: Examples, previous: Tensor
    ) -> Tensor:
        """The student's guess one of the teacher's steps further on; at the end that step itself."""
        known = examples.known
        v = predictor(self.teacher, examples, previous, known)(x, sigma)
        s = sigma[:, None, None, None]
        left = (1 - s * s).clamp(min=0).sqrt() * v + s * x
        nearer = noised(cleaned(x, v, sigma), left, lower)
        guess = predictor(self.model.denoiser, examples, previous, known)(nearer, lower)
        return cleaned(nearer, guess, lower)

    def evaluate(self, model: Duel) -> dict[str, float]:
        """PSNR of frames held out, at the student's steps."""
        sigmas = schedule(self.config.student_steps)
        return held_out_psnr(
            model.denoiser, self.held_out, lambda predict, noise: few_step(predict, noise, sigmas)
        )


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
    for clip in (*clips, *held_out):
        if clip.size != teacher.config.size:
            raise ValueError(
                f"{clip.name}: got pictures of {clip.size} pixels, expected the teacher's "
                f"{teacher.config.size}"
            )
    task = StudentTask(teacher, clips, held_out, config, device)
    log.info("distil: %d clips, %d frames, %d steps", len(clips), len(task.footage), config.student_steps)
    loop = Loop(task, config.loop, folder)
    figures = loop.run()
    model = VideoModel(loop.averaged.denoiser.eval(), "student", config.student_steps)
    model.save(folder, training=dataclasses.asdict(config), figures=figures)
    write_card(folder, "student", model.steps, clips, figures, device)
    return model
