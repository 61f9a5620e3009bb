"""What the trainings of teacher and student have in common: settings, draws of examples, looking, saving.

Enters: clips, a `PictureTraining`. Leaves: batches, figures on held-out pictures, a saved `VideoModel`. Does
not know what is descended.
"""

from __future__ import annotations

import dataclasses
import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from renderer.diffusion.denoiser import Denoiser
from renderer.diffusion.model import Kind, VideoModel
from renderer.diffusion.samplers import Predict
from trainer.loop import Loop, LoopConfig
from trainer.renderer.card import write_card
from trainer.renderer.clips import PictureClip
from trainer.renderer.critic import Critic, adversarial
from trainer.renderer.footage import Draw, Examples, Footage
from trainer.renderer.losses import predictor

log = logging.getLogger(__name__)
LOOKED_AT = 24
"""Held-out frames that the log's PSNR is of."""


@dataclass(frozen=True)
class PictureTraining:
    """Settings of both. signers, clips, frames (of a clip): drawn by the avatar where no pictures are given,
    a share `plain` in its own light and place, a share `spelled` of words with what lies around them. steps:
    batches an epoch of `loop`. adversarial: lambda of eq. 11. hands: how much more a hand's middle counts
    than the rest. terminal: share of examples that are noise alone, where every picture served begins.
    shuffle: share of maps of another frame. rollout: share of batches whose previous picture
    is the model's own. blur: most noise that is added to the previous picture (of pictures -1..1), so that it
    is no more believed than it deserves. styled: share of examples of any style, the rest is natural. half:
    the weights are saved as float16.
    """

    signers: int = 24
    clips: int = 480
    frames: int = 8
    plain: float = 0.4
    spelled: float = 0.25
    batch: int = 8
    steps: int = 100
    adversarial: float = 0.01
    hands: float = 4.0
    terminal: float = 0.2
    shuffle: float = 0.05
    rollout: float = 0.3
    blur: float = 0.0
    styled: float = 0.4
    half: bool = False
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        kind = type(self).__name__
        for name in ("signers", "clips", "batch", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{kind}.{name}: got {getattr(self, name)}, expected at least 1")
        if self.frames < 2:
            raise ValueError(f"{kind}.frames: got {self.frames}, expected at least 2: one has no previous")
        for name in ("terminal", "shuffle", "rollout", "plain", "spelled", "styled"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{kind}.{name}: got {getattr(self, name)}, expected 0..1")
        for name in ("adversarial", "hands", "blur"):
            if getattr(self, name) < 0:
                raise ValueError(f"{kind}.{name}: got {getattr(self, name)}, expected >= 0")


class Duel(nn.Module):
    """The denoiser and its critic, for one optimiser."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.critic = Critic()


class PictureTask:
    """What `trainer.loop` asks of both, but the loss. stream: tells the draws of one from the other's."""

    kind: ClassVar[Kind]
    stream: ClassVar[tuple[int, ...]] = ()

    def __init__(
        self,
        denoiser: Denoiser,
        train: Sequence[PictureClip],
        held_out: Sequence[PictureClip],
        config: PictureTraining,
        device: str,
    ) -> None:
        """Raises ValueError for pictures of another size than the denoiser's."""
        shape = denoiser.config
        for clip in (*train, *held_out):
            if clip.size != shape.size:
                raise ValueError(
                    f"{clip.name}: got pictures of {clip.size} pixels, expected {shape.size}; prepare them "
                    "in that size, or choose the model's --size"
                )
        self.settings, self.device = config, device
        # channels last: a quarter off a step on a CPU
        self.model = Duel(denoiser).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.footage = Footage(train, shape.styles, device, shape.fineness)
        self.held_out = Footage(held_out, shape.styles, device, shape.fineness) if held_out else None

    def batches(self, epoch: int) -> Sequence[Draw]:
        """Draws of the epoch; they follow from the seed and the epoch alone."""
        c = self.settings
        seed = (c.loop.seed, epoch, *self.stream)
        return self.footage.draws(c.steps, c.batch, c.shuffle, c.rollout, seed, c.styled)

    @abstractmethod
    def loss(self, batch: Draw) -> dict[str, Tensor]:
        """Scalars by name, `loss` to descend."""

    @abstractmethod
    def sample(self, predict: Predict, noise: Tensor) -> Tensor:
        """A picture, as the model will be served."""

    @property
    @abstractmethod
    def served_steps(self) -> int:
        """Steps the model is to be served with."""

    def judged(
        self, losses: dict[str, Tensor], made: Tensor, examples: Examples, true: Tensor
    ) -> dict[str, Tensor]:
        """The losses with the critic's in them, where there is one."""
        if not self.settings.adversarial:
            return losses
        fooled, told = adversarial(self.model.critic, made, true, examples.maps)
        whole = losses["loss"] + self.settings.adversarial * fooled + told
        return {**losses, "loss": whole, "adv": fooled, "critic": told}

    def evaluate(self, model: Duel) -> dict[str, float]:
        """`psnr`: of natural pictures held out, told the true previous ones; nothing where there are none."""
        footage = self.held_out
        if footage is None:
            return {}
        [draw] = footage.draws(1, min(LOOKED_AT, len(footage)), 0.0, 0.0, (1,))
        examples = footage.examples(dataclasses.replace(draw, styles=(0,) * len(draw.frames)))
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(examples.pictures.shape, generator=generator).to(footage.device)
        with torch.inference_mode():
            made = self.sample(predictor(model.denoiser, examples, examples.previous, examples.known), noise)
            error = ((made.clamp(-1, 1) - examples.pictures) / 2).square().mean((1, 2, 3))
        return {"psnr": float((-10 * error.log10()).mean())}


def run(task: PictureTask, clips: Sequence[PictureClip], folder: Path) -> VideoModel:
    """Train into `folder`, resuming what it holds. Returns the averaged model, saved with its card."""
    config = task.settings
    parameters = sum(p.numel() for p in task.model.denoiser.parameters()) / 1e6
    log.info(
        "%s: %d clips, %d frames, %.2f M parameters", task.kind, len(clips), len(task.footage), parameters
    )
    loop = Loop(task, config.loop, folder)
    figures = loop.run()
    model = VideoModel(loop.averaged.denoiser.eval(), task.kind, task.served_steps)
    if loop.team.first:
        model.save(folder, half=config.half, training=dataclasses.asdict(config), figures=figures)
        write_card(folder, task.kind, model.steps, clips, figures, task.device)
    return model
