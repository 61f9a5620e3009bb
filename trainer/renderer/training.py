"""Trains the teacher: clips in, a `VideoModel` of kind teacher out.

Enters: training and held-out clips, a `RendererTraining`. Leaves: a task for `trainer.loop`, and the model.
Does not know command lines or where clips come from.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from renderer.diffusion.config import SIZES, DenoiserConfig
from renderer.diffusion.denoiser import Denoiser
from renderer.diffusion.model import VideoModel
from renderer.diffusion.samplers import Predict, cleaned, ddim, noised, schedule, velocity
from trainer.loop import Loop, LoopConfig
from trainer.renderer.card import write_card
from trainer.renderer.clips import PictureClip
from trainer.renderer.critic import Critic, adversarial
from trainer.renderer.footage import Draw, Footage
from trainer.renderer.losses import hand_weight, noise_levels, own_previous, predictor, snr_weight, styled

log = logging.getLogger(__name__)
LOOKED_AT = 24
"""Held-out frames that the log's PSNR is of."""


@dataclass(frozen=True)
class RendererTraining:
    """One training. signers, clips, frames (of a clip): drawn by the avatar where no pictures are given.

    size: of SIZES. steps: batches an epoch of `loop`. gamma: of min-SNR. adversarial: lambda of eq. 11.
    hands: how much more a hand's middle counts than the rest. shuffle: share of maps of another frame.
    rollout: share of batches whose previous picture is the model's own. sampler_steps: of the teacher.
    """

    size: str = "tiny"
    signers: int = 24
    clips: int = 480
    frames: int = 8
    batch: int = 8
    steps: int = 100
    gamma: float = 5.0
    adversarial: float = 0.01
    hands: float = 4.0
    shuffle: float = 0.05
    rollout: float = 0.3
    sampler_steps: int = 8
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            epochs=60, learning_rate=6e-4, warmup_steps=100, average=0.995, schedule="cosine", floor=0.05
        )
    )

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"RendererTraining.size: got {self.size!r}, expected one of {', '.join(SIZES)}")
        if min(self.batch, self.steps, self.sampler_steps, self.signers, self.clips) < 1 or self.frames < 2:
            raise ValueError(
                f"RendererTraining: got batch={self.batch}, steps={self.steps}, sampler_steps="
                f"{self.sampler_steps}, signers={self.signers}, clips={self.clips}, frames={self.frames}; "
                "expected >= 1 each, and two frames"
            )
        for name in ("shuffle", "rollout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"RendererTraining.{name}: got {getattr(self, name)}, expected 0..1")
        if self.adversarial < 0 or self.hands < 0 or self.gamma < 1:
            raise ValueError(
                f"RendererTraining: got adversarial={self.adversarial}, hands={self.hands}, gamma="
                f"{self.gamma}; expected >= 0, >= 0 and >= 1"
            )

    @property
    def denoiser(self) -> DenoiserConfig:
        return SIZES[self.size]


class Duel(nn.Module):
    """The denoiser and its critic, for one optimiser."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.critic = Critic()


class TeacherTask:
    """The teacher's side of the training loop."""

    def __init__(
        self,
        train: Sequence[PictureClip],
        held_out: Sequence[PictureClip],
        config: RendererTraining,
        device: str = "cpu",
    ) -> None:
        shape = config.denoiser
        for clip in (*train, *held_out):
            if clip.size != shape.size:
                raise ValueError(
                    f"{clip.name}: got pictures of {clip.size} pixels, expected {shape.size} for --size "
                    f"{config.size}; prepare them again"
                )
        torch.manual_seed(config.loop.seed)
        self.config, self.device = config, device
        self.model = Duel(Denoiser(shape)).to(device)
        self.footage = Footage(train, shape.styles, device)
        self.held_out = Footage(held_out, shape.styles, device) if held_out else None

    def batches(self, epoch: int) -> Sequence[Draw]:
        """Draws of the epoch; they follow from the seed and the epoch alone."""
        c = self.config
        return self.footage.draws(c.steps, c.batch, c.shuffle, c.rollout, (c.loop.seed, epoch))

    def loss(self, batch: Draw) -> dict[str, Tensor]:
        """L_rec + lambda L_adv, and the critic's own."""
        c, denoiser = self.config, self.model.denoiser
        examples = self.footage.examples(batch)
        picture, previous, before = styled(examples)
        previous = own_previous(denoiser, examples, previous, before)
        noise, sigma = torch.randn_like(picture), noise_levels(len(picture), picture.device)
        x = noised(picture, noise, sigma)
        v = predictor(denoiser, examples, previous, examples.known)(x, sigma)
        weight = hand_weight(examples.hands, self.footage.size, c.hands)
        error = ((v - velocity(picture, noise, sigma)).square() * weight).mean((1, 2, 3))
        rec = (error * snr_weight(sigma, c.gamma)).mean()
        if not c.adversarial:
            return {"loss": rec, "rec": rec}
        fooled, told = adversarial(self.model.critic, cleaned(x, v, sigma), picture, examples.maps)
        return {"loss": rec + c.adversarial * fooled + told, "rec": rec, "adv": fooled, "critic": told}

    def evaluate(self, model: Duel) -> dict[str, float]:
        """PSNR of frames held out, by the teacher's sampler."""
        steps = self.config.sampler_steps
        return held_out_psnr(
            model.denoiser, self.held_out, lambda predict, noise: ddim(predict, noise, schedule(steps))
        )


def held_out_psnr(
    denoiser: Denoiser, footage: Footage | None, sample: Callable[[Predict, Tensor], Tensor]
) -> dict[str, float]:
    """`psnr`: of natural pictures sampled so, told the true previous ones; nothing without footage."""
    if footage is None:
        return {}
    [draw] = footage.draws(1, min(LOOKED_AT, len(footage)), 0.0, 0.0, (1,))
    examples = footage.examples(dataclasses.replace(draw, styles=(0,) * len(draw.frames)))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(examples.pictures.shape, generator=generator).to(footage.device)
    with torch.inference_mode():
        made = sample(predictor(denoiser, examples, examples.previous, examples.known), noise)
        error = ((made.clamp(-1, 1) - examples.pictures) / 2).square().mean((1, 2, 3))
    return {"psnr": float((-10 * error.log10()).mean())}


def train(
    clips: Sequence[PictureClip],
    held_out: Sequence[PictureClip],
    config: RendererTraining,
    folder: Path,
    device: str = "cpu",
) -> VideoModel:
    """Train a teacher into `folder`, resuming what it holds. Returns the averaged model."""
    task = TeacherTask(clips, held_out, config, device)
    parameters = sum(p.numel() for p in task.model.denoiser.parameters())
    log.info(
        "renderer: %d clips, %d frames, %.2f M parameters", len(clips), len(task.footage), parameters / 1e6
    )
    loop = Loop(task, config.loop, folder)
    figures = loop.run()
    model = VideoModel(loop.averaged.denoiser.eval(), "teacher", config.sampler_steps)
    model.save(folder, training=dataclasses.asdict(config), figures=figures)
    write_card(folder, "teacher", model.steps, clips, figures, device)
    return model
