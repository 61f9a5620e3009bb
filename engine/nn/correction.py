"""The weights of collaborative correction: three streams, each attending to the others in a band of time.

Enters: states [3, B, T, D], pose first, then hands, then body. Leaves: states of the same shape.
Does not know motion; streaming caches are arguments (see `engine.corrector`).

SignAligner (arXiv 2506.11621), equations 7-9: p' = CA(p; h, s), h' = CA(h; p, s), s' = CA(s; p, h). Here a
layer lets frame t see the frames t - past .. t + ahead of the other two. Times enter as a learned bias of
their distance, so that a stream may run for ever.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.nn.blocks import Norm

STREAMS = 3
FAR = -1e9
"""Bias of what may not be seen; finite, so that a row that sees nothing yet stays a number."""
LITTLE = 0.02
"""A disagreement (in tenths of shoulder widths) below which its direction says little."""
HASTE = 4.0
"""Gates go from 0 to 1: with this factor they learn as fast as what need only change a little."""
_CHUNK = 64


class Linear3(nn.Module):
    """Three linear maps without bias, one a stream, in one kernel call: [3, ..., in] -> [3, ..., out]."""

    def __init__(self, width: int, out: int, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(STREAMS, width, out) * scale * width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 3:
            return torch.bmm(x, self.weight)
        mapped = torch.bmm(x.flatten(1, -2), self.weight)
        return mapped.reshape(*x.shape[:-1], mapped.shape[-1])


class Norm3(Norm):
    """Root-mean-square norm with a weight for each stream."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.weight = nn.Parameter(torch.ones(STREAMS, width))

    def forward(self, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True) + 1e-6
        weight = self.weight.view(STREAMS, *(1,) * (x.ndim - 2), -1)
        scaled: Tensor = x / length * (weight * x.shape[-1] ** 0.5)
        return scaled


class CorrectionLayer(nn.Module):
    """Cross-attention to the other two streams, then feed-forward; each behind its norm and added back."""

    def __init__(self, width: int, heads: int, inner: int, past: int, ahead: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.past, self.ahead = heads, past, ahead
        self.norm_attention, self.norm_feed = Norm3(width), Norm3(width)
        self.query_key_value = Linear3(width, 3 * width)
        self.out = Linear3(width, width, 0.5)
        self.grow, self.shrink = Linear3(width, inner), Linear3(inner, width, 0.5)
        self.distance = nn.Parameter(torch.zeros(heads, STREAMS, STREAMS, past + 1 + ahead))
        self.drop = nn.Dropout(dropout)

    def prepare(self, x: Tensor) -> Tensor:
        """Queries, keys and values of states [3, R, D] (or [3, B, T, D]) -> [3, R, 3, D] (query, key,
        value)."""
        made: Tensor = self.query_key_value(self.norm_attention(x))
        return made.reshape(*made.shape[:-1], 3, made.shape[-1] // 3)

    def biases(self) -> Tensor:
        """[H, 3, 3, past + 1 + ahead]: by distance in time; a stream does not see itself."""
        own = torch.eye(STREAMS, dtype=torch.bool, device=self.distance.device)[:, :, None]
        return self.distance.masked_fill(own, FAR)

    def finish(self, x: Tensor, seen: Tensor) -> Tensor:
        """States and what they saw there, both [3, ..., D] -> new states."""
        x = x + self.drop(self.out(seen))
        fed: Tensor = x + self.drop(self.shrink(functional.relu(self.grow(self.norm_feed(x)))))
        return fed

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """States [3, B, T, D]; lengths [B]: how many frames there are (None: all T)."""
        streams, rows, frames, width = x.shape
        query, key, value = self.prepare(x).unbind(-2)  # [3, B, T, D]

        def split(y: Tensor) -> Tensor:  # -> [B, H, 3, T, Dh]
            return y.reshape(*y.shape[:-1], self.heads, y.shape[-1] // self.heads).permute(1, 3, 0, 2, 4)

        query, key, value = split(query), split(key), split(value)
        table = self.biases()
        seen = []
        for start in range(0, frames, _CHUNK):
            end = min(start + _CHUNK, frames)
            low, high = max(0, start - self.past), min(frames, end + self.ahead)
            at = torch.arange(start, end, device=x.device)[:, None]
            of = torch.arange(low, high, device=x.device)[None]
            distance = of - at + self.past  # [Tq, Tk]
            near = (distance >= 0) & (distance < table.shape[-1])
            bias = table[..., distance.clamp(0, table.shape[-1] - 1)].masked_fill(~near, FAR)
            bias = bias.permute(0, 1, 3, 2, 4).flatten(-2).flatten(1, 2)[None]  # [1, H, 3 Tq, 3 Tk]
            if lengths is not None:
                absent = (of >= lengths[:, None]).repeat(1, STREAMS)[:, None, None]  # [B, 1, 1, 3 Tk]
                bias = bias.masked_fill(absent, FAR)
            looked = functional.scaled_dot_product_attention(
                query[..., start:end, :].flatten(2, 3),
                key[..., low:high, :].flatten(2, 3),
                value[..., low:high, :].flatten(2, 3),
                bias,
            )  # [B, H, 3 Tq, Dh]
            shape = (*looked.shape[:2], streams, end - start, looked.shape[-1])
            seen.append(looked.reshape(shape))
        mixed = torch.cat(seen, 3).permute(2, 0, 3, 1, 4).reshape(streams, rows, frames, width)
        return self.finish(x, mixed)
