"""The critic of eq. 11: is this patch of a picture, in this pose, drawn by the model or true?

Enters: pictures and maps. Leaves: a score a patch, high where it looks true. Does not know the model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional


class Critic(nn.Module):
    """Four convolutions (a PatchGAN, Isola et al. 2017), told the pose, so that a wrong hand looks wrong."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 12
        for step, out in enumerate((width, 2 * width, 4 * width)):
            layers += [nn.Conv2d(channels, out, 4, 2, 1)]
            layers += [nn.GroupNorm(8, out)] if step else []
            layers += [nn.LeakyReLU(0.2)]
            channels = out
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, pictures: Tensor, maps: Tensor) -> Tensor:
        seen = functional.adaptive_avg_pool2d(maps.flatten(1, 2), pictures.shape[-1])
        out: Tensor = self.layers(torch.cat([pictures, seen * 2 - 1], 1))
        return out


def adversarial(critic: Critic, made: Tensor, true: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """(what the model is to lower, what the critic is to lower), hinge losses (Lim and Ye 2017).

    Both can be descended at once by one optimiser: the first one's gradient does not reach the critic, the
    second one's not the model.
    """
    frozen = {name: p.detach() for name, p in critic.named_parameters()}
    fooled = -functional_call(critic, frozen, (made, maps)).mean()
    both = critic(torch.cat([true, made.detach()]), torch.cat([maps, maps]))
    is_true, is_made = both.chunk(2)
    told = functional.relu(1 - is_true).mean() + functional.relu(1 + is_made).mean()
    return fooled, told
