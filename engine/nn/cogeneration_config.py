"""Sizes of the joint generator, and how progress within a gloss is told to it.

Enters: numbers. Leaves: a checked configuration; features of progress. Does not know weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

STREAMS = 3
BLANK, OTHER, REST = 0, 1, 2
"""Tokens: nothing known; a gloss the model has no word for; going to rest."""
SPECIALS = 3
PROGRESS = 16
"""How many numbers describe progress, see `progress_features`."""
_LARGEST = 1 << 16


@dataclass(frozen=True)
class CogenerationConfig:
    """Sizes. channels: moving channels of pose, hands, smplx. context: frames that self-attention sees;
    sinks: first frames that it never loses. around: glosses before and after the present one that are seen.
    anchors: learned frames of each token.
    """

    tokens: int
    languages: int = 1
    channels: tuple[int, int, int] = (56, 96, 140)
    width: int = 128
    heads: int = 4
    layers: int = 3
    inner: int = 256
    encoder_width: int = 64
    encoder_layers: int = 2
    around: int = 3
    context: int = 24
    sinks: int = 2
    anchors: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        sizes = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "channels"}
        for name, got in [*sizes.items(), *(("channels", c) for c in self.channels)]:
            least = {"tokens": SPECIALS + 1, "around": 2, "sinks": 0}.get(name, 1)
            if isinstance(got, bool) or not isinstance(got, int) or not least <= got <= _LARGEST:
                raise ValueError(
                    f"CogenerationConfig.{name}: got {got!r}, expected a whole number {least}..{_LARGEST}"
                )
        if len(self.channels) != STREAMS:
            raise ValueError(f"CogenerationConfig.channels: got {self.channels}, expected {STREAMS} numbers")
        for name, width in (("width", self.width), ("encoder_width", self.encoder_width)):
            if width % self.heads:
                raise ValueError(f"CogenerationConfig.{name}: got {width}, no multiple of heads={self.heads}")
        if self.parameters > 2e9:
            raise ValueError(
                f"CogenerationConfig: these sizes make {self.parameters / 1e9:.1f} thousand million weights; "
                "expected at most 2, about 0.0015 are shipped"
            )

    @property
    def window(self) -> int:
        """Tokens in a window."""
        return 2 * self.around + 1

    @property
    def widest(self) -> int:
        """Channels of the widest modality; the others are padded with zeros."""
        return max(self.channels)

    @property
    def parameters(self) -> int:
        """About how many weights."""
        block = self.width * (4 * self.width + self.inner) + (2 * self.width + self.inner) * self.width
        block += 2 * self.encoder_width * self.width
        ends = (4 * self.widest + PROGRESS + 3 * self.encoder_width) * self.width
        encoder = self.encoder_layers * 8 * self.encoder_width**2 + self.tokens * self.encoder_width
        table = self.tokens * STREAMS * self.anchors * self.widest
        return STREAMS * (self.layers * block + ends) + encoder + table


def progress_features(progress: Tensor, elapsed: Tensor, left: Tensor, log_rate: Tensor) -> Tensor:
    """[..., 16] of progress 0..1, frames elapsed (1 is the first), frames left after this one, log rate."""
    turns = [progress * (math.pi * k) for k in (1, 2, 4)]
    waves = [wave for turn in turns for wave in (turn.sin(), turn.cos())]
    total = elapsed + left
    near = [(elapsed / 12).clamp(max=1), (left / 12).clamp(max=1), (-elapsed / 2).exp(), (-left / 2).exp()]
    near += [(-elapsed / 6).exp(), (-left / 6).exp()]
    return torch.stack([progress, progress**2, *waves, *near, total.log() - 2, log_rate], -1)
