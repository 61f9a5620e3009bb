"""The pose gate: three maps in, one map of features out, each modality weighed at every place.

Enters: maps, side by side. Leaves: features for every U-Net level, and the weights. Does not know noise.
After RealisDance (arXiv 2409.06202): grouped convolutions keep the modalities apart, a small network looks at
all of them and says for each place, with a sigmoid, how far each is to be believed.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from renderer.diffusion.config import DenoiserConfig

GROUPS = 3


class PoseGate(nn.Module):
    """See the module. What leaves goes into the U-Net through convolutions that begin at zero."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        halvings, channels = (config.patch * config.fineness).bit_length() - 1, 3
        for number, width in enumerate(config.stem):
            stride = 2 if number < halvings else 1
            layers += [
                nn.Conv2d(GROUPS * channels, GROUPS * width, 3, stride, 1, groups=GROUPS),
                nn.SiLU(),
            ]
            channels = width
        self.stem = nn.Sequential(*layers)
        hidden = config.gate
        self.gate = nn.Sequential(
            nn.Conv2d(GROUPS * channels, hidden, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(hidden, GROUPS, 7, padding=3),
        )
        self.join = nn.Conv2d(GROUPS * channels, config.widths[0], 1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in itertools.pairwise(config.widths))
        self.inject = nn.ModuleList(zeroed(nn.Conv2d(w, w, 1)) for w in config.widths)

    def weights(self, features: Tensor) -> Tensor:
        """How far each modality is believed at each place: [B, 3, h, w], 0..1."""
        return torch.sigmoid(self.gate(features))

    def forward(self, maps: Tensor) -> tuple[Tensor, ...]:
        """maps [B, 9, M, M] -1..1 -> one [B, width, h, w] a level, to be added there."""
        features = self.stem(maps)
        gate = self.weights(features)
        weighed = features.unflatten(1, (GROUPS, -1)) * gate[:, :, None]
        level = nn.functional.silu(self.join(weighed.flatten(1, 2)))
        out = [self.inject[0](level)]
        for down, inject in zip(self.down, self.inject[1:], strict=True):
            level = nn.functional.silu(down(level))
            out.append(inject(level))
        return tuple(out)


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with nothing in it: it adds nothing until it has learned something."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
