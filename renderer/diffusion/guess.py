"""What a picture may be painted with, made once for a signer: the reference, the place behind, its colours.

Enters: a reference picture and the maps of its pose. Leaves: the place without the signer; a palette. Does
not know noise. A network that must say colours learns them slowly and wrongly; one that only says where each
of these belongs begins with the right ones (benchmarks/LOG.md).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

REACH = 1 / 12
"""Of the picture's side: hair and clothes stand out of the body map by no more than so much."""


def behind(picture: Tensor, maps: Tensor) -> Tensor:
    """The place [B, 3, S, S] without the signer of `picture`, who is where the maps [B, 3, 3, S, S] say."""
    reach = 2 * round(picture.shape[-1] * REACH / 2) + 1
    body = (maps[:, 2].amax(1, keepdim=True) > 0).to(picture.dtype)
    body = functional.max_pool2d(body, reach, 1, reach // 2).cummax(2).values  # and everything below it
    return _filled(picture, 1 - body)


def _filled(picture: Tensor, there: Tensor) -> Tensor:
    """The picture where it is there (1, not 0), elsewhere continued from around (pull-push, Gortler 1996)."""
    weighed = picture * there
    if picture.shape[-1] % 2 or picture.shape[-1] <= 4:
        mean = weighed.mean((2, 3), keepdim=True) / there.mean((2, 3), keepdim=True).clamp(min=1e-4)
        return weighed + (1 - there) * mean
    weight = functional.avg_pool2d(there, 2)
    coarse = functional.avg_pool2d(weighed, 2) / weight.clamp(min=1e-4)
    below = _filled(coarse, (weight > 0).to(picture.dtype))
    grown = functional.interpolate(below, scale_factor=2.0, mode="bilinear", align_corners=False)
    return weighed + (1 - there) * grown


def palette(picture: Tensor, chosen: Tensor) -> Tensor:
    """Colours [B, K, 3]: each a mean over the places that chosen [B, K, h, w] (before softmax) prefers."""
    small = functional.adaptive_avg_pool2d(picture, (chosen.shape[2], chosen.shape[3]))
    return torch.einsum("bkn,bcn->bkc", chosen.flatten(2).softmax(2), small.flatten(2))
