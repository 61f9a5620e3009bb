"""A trained video model in a folder: the denoiser, what it was made for, and who may be drawn with it.

Enters: a folder, or a denoiser. Leaves: the other. Does not know serving or training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch

from engine.checkpoint import open_checkpoint, save_checkpoint
from renderer.diffusion.config import MOST_STEPS, DenoiserConfig
from renderer.diffusion.denoiser import Denoiser

FORMAT: Final = "handstream.video"
VERSION: Final = 3
Kind = Literal["teacher", "student"]


@dataclass(frozen=True, eq=False)
class VideoModel:
    """kind: `teacher` is sampled by DDIM, `student` by few steps. steps: how many it was made for."""

    denoiser: Denoiser
    kind: Kind
    steps: int

    @property
    def config(self) -> DenoiserConfig:
        return self.denoiser.config

    def style(self, name: str) -> int:
        """The token of a style. Raises ValueError for one the model never saw."""
        styles = self.config.styles
        if name not in styles:
            raise ValueError(f"style: this model does not know {name!r}; choose one of {', '.join(styles)}")
        return styles.index(name)

    def save(self, folder: Path, *, half: bool = False, **notes: Any) -> Path:
        """Write it into `folder`; notes are kept in `config.json` beside the weights. half: as float16."""
        kind = torch.float16 if half else torch.float32
        settings = {
            "format": FORMAT,
            "version": VERSION,
            "kind": self.kind,
            "steps": self.steps,
            "denoiser": dataclasses.asdict(self.config),
        }
        weights = {name: value.to(kind) for name, value in self.denoiser.state_dict().items()}
        return save_checkpoint(folder, weights, {**settings, **notes})

    @classmethod
    def open(cls, folder: Path, size: int = 0) -> VideoModel:
        """Raises ValueError for a folder that holds no model, one of another version or kind, damaged
        weights, or (where `size` is given) one for pictures of another size."""
        tensors, config = open_checkpoint(folder)
        if config.get("format") != FORMAT:
            raise ValueError(
                f"{folder}: got a checkpoint of {config.get('format', 'another kind')!r}, expected a video "
                "model; make one with `handstream train renderer`"
            )
        if config.get("version") != VERSION:
            raise ValueError(
                f"{folder}: got version {config.get('version')!r} of the video model, expected {VERSION}; "
                "train it again, or use the Handstream it was made with"
            )
        if config.get("kind") not in ("teacher", "student"):
            raise ValueError(f"{folder}: got kind {config.get('kind')!r}, expected teacher or student")
        steps = config.get("steps")
        if not isinstance(steps, int) or not 1 <= steps <= MOST_STEPS:
            raise ValueError(
                f"{folder}: got {steps!r} steps, expected 1 to {MOST_STEPS}; copy the whole folder again, or "
                "train the model anew"
            )
        shape = _shape(folder, config.get("denoiser"))
        if size and shape.size != size:
            raise ValueError(
                f"{folder}: got a model for pictures of {shape.size}x{shape.size}, expected {size}x{size}; "
                "give a model of that size, or train one with --size"
            )
        denoiser = Denoiser(shape)
        try:
            denoiser.load_state_dict(tensors)
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise ValueError(
                f"{folder}: the weights do not fit the network in config.json ({first}); copy the whole "
                "folder again, or train the model anew"
            ) from error
        return cls(denoiser.eval().requires_grad_(False), config["kind"], steps)


def _shape(folder: Path, settings: object) -> DenoiserConfig:
    if not isinstance(settings, Mapping):
        raise ValueError(f"{folder}: config.json describes no network; train the model anew")
    try:
        return DenoiserConfig(**settings)
    except TypeError as error:
        raise ValueError(f"{folder}: config.json describes another network ({error})") from error
