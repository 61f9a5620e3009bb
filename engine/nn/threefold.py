"""Several decoders of one shape, side by side: one batched product does what each would do alone.

Enters: states [M, ..., D] of M decoders. Leaves: the same shape. Does not know what the decoders decode.

On a CPU a step of one small decoder is mostly the cost of calling operations; three of them one after the
other cost three times that. Here the weights of the M decoders are stacked ([M, in, out]), so all step
together.

A block is parallel (Chowdhery et al. 2022, PaLM, section 2): self-attention, attention to a memory and
feed-forward read the same normed state, so that their projections are one product in and one product out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Stacked(nn.Module):
    """M linear maps: x [M, ..., in] -> [M, ..., out]."""

    def __init__(self, streams: int, inside: int, outside: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(streams, inside, outside) * (gain * inside**-0.5))
        self.bias = nn.Parameter(torch.zeros(streams, 1, outside))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1, -2)  # [M, N, in]
        out: Tensor = torch.baddbmm(self.bias, flat, self.weight).view(*x.shape[:-1], -1)
        return out


def normed(x: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the last axis; the gain is left to the product that follows."""
    return functional.layer_norm(x, x.shape[-1:])


class ParallelBlock(nn.Module):
    """Causal self-attention, attention to a memory of N entries, and feed-forward, side by side."""

    def __init__(
        self, streams: int, width: int, heads: int, inner: int, memory_width: int, depth: int
    ) -> None:
        super().__init__()
        self.heads = heads
        self.parts = [width, width, width, width, inner]  # query, key, value, query of the memory, feed
        self.grow = Stacked(streams, width, sum(self.parts))
        self.shrink = Stacked(streams, 2 * width + inner, width, gain=(2 * depth) ** -0.5)
        self.remember = Stacked(streams, memory_width, 2 * width)

    def split(self, x: Tensor) -> Tensor:
        """[M, B, T, D] -> [M, B, H, T, Dh]."""
        return x.view(*x.shape[:-1], self.heads, -1).transpose(2, 3)

    def memory(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [M, B, H, N, Dh] of a memory [B, N, E] that all decoders share."""
        both = self.remember(memory.expand(self.remember.weight.shape[0], *memory.shape))
        keys, values = both.chunk(2, -1)
        return self.split(keys), self.split(values)

    def forward(self, x: Tensor, bias: Tensor, memory: tuple[Tensor, Tensor], memory_bias: Tensor) -> Tensor:
        """States [M, B, T, D], all positions at once; biases broadcast to [M, B, H, T, keys]."""
        query, key, value, ask, feed = self.grow(normed(x)).split(self.parts, -1)
        seen = self._attend(self.split(query), self.split(key), self.split(value), bias)
        told = self._attend(self.split(ask), *memory, memory_bias)
        joined = [y.transpose(2, 3).flatten(3) for y in (seen, told)]
        after: Tensor = x + self.shrink(torch.cat([*joined, functional.relu(feed)], -1))
        return after

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """One position: states [M, B, D] to query, key, value, memory query [M, B, H, Dh], feed [M, B, I]."""
        query, key, value, ask, feed = self.grow(normed(x)).split(self.parts, -1)
        shape = (*x.shape[:-1], self.heads, -1)
        return query.view(shape), key.view(shape), value.view(shape), ask.view(shape), feed

    def finish(
        self,
        x: Tensor,
        query: Tensor,
        held: tuple[Tensor, Tensor],
        bias: Tensor,
        ask: Tensor,
        memory: tuple[Tensor, Tensor],
        memory_bias: Tensor,
        feed: Tensor,
    ) -> Tensor:
        """The rest of the step: states [M, B, D] after attention over all that is held."""
        seen = self._glance(query, *held, bias)
        told = self._glance(ask, *memory, memory_bias)
        after: Tensor = x + self.shrink(torch.cat([seen, told, functional.relu(feed)], -1))
        return after

    @staticmethod
    def _glance(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        """One query [M, B, H, Dh] over keys and values [M, B, H, Tk, Dh], in one kernel: [M, B, D]."""
        rows = (query.shape[0], query.shape[1])
        bias = bias.expand(*rows, *bias.shape[2:]).flatten(0, 1)
        query, keys, values = query.unsqueeze(-2).flatten(0, 1), keys.flatten(0, 1), values.flatten(0, 1)
        seen = functional.scaled_dot_product_attention(query, keys, values, bias)  # [M B, H, 1, Dh]
        return seen.view(*rows, -1)

    @staticmethod
    def _attend(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        """[M, B, H, Tq, Dh] over keys and values [M, B, H, Tk, Dh]."""
        scores = torch.matmul(query * query.shape[-1] ** -0.5, keys.transpose(-1, -2)) + bias
        return torch.matmul(scores.softmax(-1), values)
