"""What each style means: a picture of training in another manner.

Enters: pictures [B, 3, S, S] -1..1 and style names. Leaves: the same in that style. Does not know models. The
reference stays natural, so the style token alone says how the signer is to look.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 5
"""Tones a colour that the flat style keeps."""


def restyled(pictures: Tensor, styles: Sequence[str]) -> Tensor:
    """One style a picture. Raises ValueError for a style nobody has drawn."""
    out = pictures.clone()
    for name in set(styles):
        if name not in _DRAWN:
            raise ValueError(f"style: got {name!r}, expected one of {', '.join(_DRAWN)}")
        rows = [row for row, style in enumerate(styles) if style == name]
        out[rows] = _DRAWN[name](pictures[rows])
    return out


def _natural(pictures: Tensor) -> Tensor:
    return pictures


def _ink(pictures: Tensor) -> Tensor:
    """Dark lines on paper: where brightness changes, and a hint of shade."""
    grey = (pictures.mean(1, keepdim=True) + 1) / 2
    padded = functional.pad(grey, (1, 1, 1, 1), mode="replicate")
    across, down = (
        padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2],
        padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1],
    )
    edge = (across.square() + down.square() + 1e-8).sqrt()
    ink = (0.75 + 0.25 * grey - 2.5 * edge).clamp(0, 1) * 2 - 1
    return ink.expand_as(pictures)


def _flat(pictures: Tensor) -> Tensor:
    """Few tones, as in a screen print."""
    return torch.round((pictures + 1) / 2 * (LEVELS - 1)) / (LEVELS - 1) * 2 - 1


_DRAWN = {"natural": _natural, "ink": _ink, "flat": _flat}
