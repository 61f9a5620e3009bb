"""Clips laid out for training: tensors on a device, maps drawn once where they fit, and draws of examples.

Enters: `PictureClip`s. Leaves: `Examples`, batches of everything a loss needs. Does not know losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.signals import Motion, MotionFrame
from renderer.diffusion.maps import draw_maps, hand_places
from trainer.renderer.clips import PictureClip

MOST_KEPT_BYTES = 6 << 30
"""Maps up to this size are drawn once and kept; beyond it they are drawn for each batch."""


@dataclass(frozen=True)
class Draw:
    """Which examples: frames, and for each how many frames earlier the previous picture is (0: none), its
    style, and for each modality the frame whose map is shown (its own, or, shuffled, another)."""

    frames: tuple[int, ...]
    lags: tuple[int, ...]
    styles: tuple[int, ...]
    shown: tuple[tuple[int, int, int], ...]
    rollout: bool


@dataclass(frozen=True, eq=False)
class Examples:
    """B examples. pictures, previous, before [B, 3, S, S] -1..1 (before: the one before `previous`); maps
    [B, 3, 3, M, M] (M: `map_size`); previous_maps: those of `previous`; known, known_before [B]: 1 where
    there is a `previous`, a `before`, else 0; style [B];
    reference and its maps; hands [B, 2, 3]: pixel x, y and reach of both hands; rollout: `previous` is to be
    the model's own."""

    pictures: Tensor
    previous: Tensor
    before: Tensor
    known: Tensor
    known_before: Tensor
    maps: Tensor
    previous_maps: Tensor
    style: Tensor
    names: tuple[str, ...]
    reference: Tensor
    reference_maps: Tensor
    hands: Tensor
    rollout: bool


class Footage:
    """All frames of all clips, one after the other. fineness: how many times finer maps are, a side."""

    def __init__(
        self,
        clips: Sequence[PictureClip],
        styles: tuple[str, ...],
        device: str = "cpu",
        fineness: int = 1,
    ) -> None:
        if not clips:
            raise ValueError("renderer: got no clips to train on, expected at least one")
        if len({clip.size for clip in clips}) != 1:
            raise ValueError(f"renderer: got clips of sizes {sorted({c.size for c in clips})}, expected one")
        self.size, self.styles, self.device = clips[0].size, styles, device
        self.clip = np.concatenate([np.full(len(c.motion), n) for n, c in enumerate(clips)])
        self.first = np.cumsum([0, *(len(c.motion) for c in clips[:-1])])
        self.map_size = self.size * fineness
        self.pictures = torch.from_numpy(np.concatenate([c.pictures for c in clips])).permute(0, 3, 1, 2)
        self.references = torch.from_numpy(np.stack([c.reference for c in clips])).permute(0, 3, 1, 2)
        self.hands = torch.from_numpy(np.concatenate([hand_places(c.motion, self.size) for c in clips]))
        self._motions = [_frame(c.motion, t) for c in clips for t in range(len(c.motion))]
        self._reference_motions = [_frame(c.reference_motion, 0) for c in clips]
        count = len(self._motions) + len(self._reference_motions)
        self._kept: Tensor | None = None
        if count * 9 * self.map_size**2 <= MOST_KEPT_BYTES:
            self._kept = self._drawn([*self._motions, *self._reference_motions])

    def __len__(self) -> int:
        return len(self._motions)

    def draws(
        self,
        count: int,
        batch: int,
        shuffle: float,
        rollout: float,
        seed: tuple[int, ...],
        styled: float = 0.4,
    ) -> list[Draw]:
        """So many batches, a share `styled` of any style; which ones follows from the seed alone."""
        rng = np.random.default_rng(list(seed))
        made = []
        for _ in range(count):
            frames = rng.integers(len(self), size=batch)
            lags = np.where(rng.random(batch) < 0.6, 1, rng.integers(1, 5, batch))
            lags = np.minimum(lags, frames - self.first[self.clip[frames]])
            lags = np.where(rng.random(batch) < 0.1, 0, lags)
            styles = np.where(rng.random(batch) < styled, rng.integers(len(self.styles), size=batch), 0)
            shown = np.repeat(frames[:, None], 3, 1)
            mixed = rng.random((batch, 3)) < shuffle
            shown = np.where(mixed, rng.integers(len(self), size=(batch, 3)), shown)
            made.append(
                Draw(
                    tuple(map(int, frames)),
                    tuple(map(int, lags)),
                    tuple(map(int, styles)),
                    tuple((int(a), int(b), int(c)) for a, b, c in shown),
                    bool(rng.random() < rollout),
                )
            )
        return made

    def examples(self, draw: Draw) -> Examples:
        """Lay out a draw on the device, natural pictures (styles are the loss's business)."""
        frames, lags = np.array(draw.frames), np.array(draw.lags)
        previous = frames - lags
        before = np.maximum(previous - np.maximum(lags, 1), self.first[self.clip[frames]])
        clip = self.clip[frames]
        shown = np.array(draw.shown)
        if (shown == frames[:, None]).all():
            maps = self.maps(frames)
        else:
            maps = torch.stack([self.maps(shown[:, m])[:, m] for m in range(3)], 1)
        return Examples(
            pictures=self._picture(self.pictures, frames),
            previous=self._picture(self.pictures, previous),
            before=self._picture(self.pictures, before),
            known=self._flags(lags > 0),
            known_before=self._flags(before < previous),
            maps=maps,
            previous_maps=self.maps(previous) if draw.rollout else torch.empty(0),
            style=torch.tensor(draw.styles, device=self.device),
            names=tuple(self.styles[s] for s in draw.styles),
            reference=self._picture(self.references, clip),
            reference_maps=self.maps(len(self) + clip),
            hands=self.hands[frames].to(self.device),
            rollout=draw.rollout,
        )

    def _flags(self, which: np.ndarray) -> Tensor:  # type: ignore[type-arg]
        return torch.from_numpy(which.astype(np.float32)).to(self.device)

    def maps(self, frames: np.ndarray) -> Tensor:  # type: ignore[type-arg]
        """Of frames, or of references (numbered after all frames): [n, 3, 3, M, M] 0..1."""
        if self._kept is not None:
            return self._kept[torch.from_numpy(np.asarray(frames))].to(self.device).float().mul_(1 / 255)
        every = [
            self._motions[n] if n < len(self) else self._reference_motions[n - len(self)] for n in frames
        ]
        return draw_maps(every, self.map_size, self.device)

    def _drawn(self, frames: Sequence[MotionFrame]) -> Tensor:
        kept = torch.empty(len(frames), 3, 3, self.map_size, self.map_size, dtype=torch.uint8)
        for at in range(0, len(frames), 16):  # more at once draw no faster
            kept[at : at + 16] = draw_maps(frames[at : at + 16], self.map_size).mul_(255).round_()
        return kept

    def _picture(self, among: Tensor, which: np.ndarray) -> Tensor:  # type: ignore[type-arg]
        return among[torch.from_numpy(which)].to(self.device).float() / 127.5 - 1


def _frame(motion: Motion, t: int) -> MotionFrame:
    return MotionFrame(t, t, motion.pose[t], motion.hands[t], motion.smplx[t], motion.expression[t])
