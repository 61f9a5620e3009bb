"""Pre-norm transformer blocks with `forward` over a sequence and `step` over one position.

Enters: states [B, T, D] and additive masks. Leaves: states of the same shape.
Does not know about vocabularies; caches are arguments, never members.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def dropped(x: Tensor, probability: float) -> Tensor:
    """Dropout: x with a share of its elements set to 0, the others scaled up; same shape.

    One random byte an element instead of torch's one draw each, for drawing took a seventh of a training
    step on the CPU. So the share is a multiple of 1/256 (0.2 acts as 51/256), and the scale is that share's.
    """
    zeros = round(256 * probability)
    if zeros == 0:
        return x
    words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None)  # all 64 bits
    kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= zeros
    return x * (kept * (256 / (256 - zeros)))


class Dropout(nn.Module):
    """`dropped` while training, nothing otherwise."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        return dropped(x, self.probability) if self.training else x


class Norm(nn.Module):
    """Root-mean-square norm: rescales, does not shift (as in T5)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True) + 1e-6
        scaled: Tensor = x / length * (self.weight * x.shape[-1] ** 0.5)
        return scaled  # for one token, less than half the time of torch's own rms_norm


class Attention(nn.Module):
    """Multi-head attention without linear biases. Keys and values are made once by `keys_values`."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def split(self, x: Tensor) -> Tensor:
        """[B, T, D] -> [B, H, T, Dh]."""
        rows, length, width = x.shape
        return x.view(rows, length, self.heads, width // self.heads).transpose(1, 2)

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each [B, H, T, Dh], of states [B, T, D]."""
        keys, values = self.key_value(x).chunk(2, dim=-1)
        return self.split(keys), self.split(values)

    def weigh(self, x: Tensor, keys: Tensor, bias: Tensor) -> Tensor:
        """Where states [B, Tq, D] look: weights [B, H, Tq, Tk]; bias broadcasts to that shape."""
        queries = self.split(self.query(x))
        scores: Tensor = queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5 + bias
        return scores.softmax(-1)

    def mix(self, weights: Tensor, values: Tensor) -> Tensor:
        """What they see there: [B, Tq, D] from weights [B, H, Tq, Tk] and values [B, H, Tk, Dh]."""
        if self.training:
            weights = dropped(weights, self.dropout)
        mixed: Tensor = self.out((weights @ values).transpose(1, 2).flatten(2))
        return mixed

    def attend(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        """Attention of states [B, Tq, D] over given keys and values."""
        return self.mix(self.weigh(x, keys, bias), values)

    def glance(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        """Like `attend`, for inference: one fused kernel, no dropout, and nobody learns where it looked."""
        queries = self.split(self.query(x))
        mixed: Tensor = self.out(
            functional.scaled_dot_product_attention(queries, keys, values, bias).transpose(1, 2).flatten(2)
        )
        return mixed


class FeedForward(nn.Module):
    """Two linear maps with a rectifier between them. No dropout inside: it costs a tenth of a step."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.grow = nn.Linear(width, inner, bias=False)
        self.shrink = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        shrunk: Tensor = self.shrink(functional.relu(self.grow(x)))
        return shrunk


class EncoderBlock(nn.Module):
    """Self-attention, then feed-forward, each behind its norm and added back."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention, self.norm_feed = Norm(width), Norm(width)
        self.attention = Attention(width, heads, dropout)
        self.feed = FeedForward(width, inner)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        normed = self.norm_attention(x)
        x = x + self.drop(self.attention.attend(normed, *self.attention.keys_values(normed), bias))
        summed: Tensor = x + self.drop(self.feed(self.norm_feed(x)))
        return summed


class DecoderBlock(nn.Module):
    """Causal self-attention, attention to a memory, feed-forward."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention, self.norm_cross, self.norm_feed = Norm(width), Norm(width), Norm(width)
        self.attention = Attention(width, heads, dropout)
        self.cross = Attention(width, heads, dropout)
        self.feed = FeedForward(width, inner)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor, memory: tuple[Tensor, Tensor], memory_bias: Tensor) -> Tensor:
        """States [B, T, D]; bias [1, H, T, T] holds the causal mask; memory: keys, values of the source."""
        normed = self.norm_attention(x)
        x = x + self.drop(self.attention.attend(normed, *self.attention.keys_values(normed), bias))
        x = x + self.drop(self.cross.attend(self.norm_cross(x), *memory, memory_bias))
        summed: Tensor = x + self.drop(self.feed(self.norm_feed(x)))
        return summed

    def step(
        self,
        x: Tensor,
        bias: Tensor,
        cache: tuple[Tensor, Tensor],
        position: int,
        memory: tuple[Tensor, Tensor],
        memory_bias: Tensor,
        watch: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """One position x [B, 1, D]: its new state, and, to `watch`, where in the memory it looked [B, S].

        Writes its key and value into `cache` (each [B, H, capacity, Dh]) in place. For inference: no dropout.
        """
        normed = self.norm_attention(x)
        keys, values = self.attention.keys_values(normed)
        cache[0][:, :, position : position + 1] = keys
        cache[1][:, :, position : position + 1] = values
        past = slice(0, position + 1)
        x = x + self.attention.glance(normed, cache[0][:, :, past], cache[1][:, :, past], bias)
        keys, values = memory
        normed, looked = self.norm_cross(x), None
        if watch:
            weights = self.cross.weigh(normed, keys, memory_bias)
            x, looked = x + self.cross.mix(weights, values), weights[:, :, 0].mean(1)
        else:
            x = x + self.cross.glance(normed, keys, values, memory_bias)
        return x + self.feed(self.norm_feed(x)), looked
