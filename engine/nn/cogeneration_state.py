"""What the joint generator keeps between two steps, row by row: the ring, the latest frames, the present
gloss.

Enters: rows that begin anew, go back, or come to another gloss. Leaves: the same memory, updated in place.
Does not know weights.

M = 3 modalities, B rows (signers), C channels (of the widest modality), N tokens of a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.nn.ring import Ring


@dataclass
class Focus:
    """What a gloss gives to every frame of it.

    bias [M, B, D]; keys, values [layers, M, B, H, N, Dh]; anchors [M, B, 3 A, C] of the gloss before, the
    present one and the next.
    """

    bias: Tensor
    keys: Tensor
    values: Tensor
    anchors: Tensor

    def of(self, rows: Tensor) -> Focus:
        """The focus of some rows, in that order."""
        index = rows
        return Focus(
            self.bias[:, index], self.keys[:, :, index], self.values[:, :, index], self.anchors[:, index]
        )

    def put(self, rows: Sequence[int] | Tensor, other: Focus) -> None:
        """Overwrite the focus of `rows` by another one of as many rows."""
        index = torch.as_tensor(rows, device=self.bias.device)
        self.bias.index_copy_(1, index, other.bias)
        self.keys.index_copy_(2, index, other.keys)
        self.values.index_copy_(2, index, other.values)
        self.anchors.index_copy_(1, index, other.anchors)


@dataclass
class CogenerationState:
    """Streaming state of B rows: preallocated, updated in place.

    history [M, B, rewind + 2, C]: latest frames, normalised. biases [layers, phases, M, H, slots]: attention
    bias of every phase of the ring. ring: keys and values. focus: of the present gloss of each row.
    """

    ring: Ring
    history: Tensor
    focus: Focus
    biases: Tensor
    memory_bias: Tensor  # [layers, M, 1, H, 1, N]

    def reset(self, frame: Tensor, rows: Tensor | None = None) -> None:
        """Begin anew from a normalised frame [M, B, C], standing still (rows [B] bool; None: all)."""
        self.ring.reset(rows)
        wide = frame.unsqueeze(2)  # [M, B, 1, C]
        if rows is None:
            self.history.copy_(wide.expand_as(self.history))
        else:
            self.history.copy_(torch.where(rows[:, None, None], wide, self.history))

    def rewind(self, steps: int, rows: Tensor | None = None) -> None:
        """As if the last `steps` steps had never happened. The focus is the caller's to put back."""
        self.ring.rewind(steps, rows)

    def latest(self) -> tuple[Tensor, Tensor]:
        """The latest frame and the one before it, each [M, B, C]."""
        held = self.history.shape[2]
        together = self.ring.common
        if together is not None:
            return self.history[:, :, (together - 1) % held], self.history[:, :, (together - 2) % held]
        return self.latest_by_tensors()

    def latest_by_tensors(self) -> tuple[Tensor, Tensor]:
        """As `latest`, whether rows are in step or not."""
        held, at, rows = self.history.shape[2], self.ring.position, self.ring.row_numbers
        return self.history[:, rows, (at - 1) % held], self.history[:, rows, (at - 2) % held]
