"""A trained `Seq2Seq` arranged for decoding: the same numbers in half the time.

Enters: a model that no longer changes; source tokens, then one token a hypothesis. Leaves: scores of the
next one. Does not know what tokens mean, and cannot be trained: the weights are copies.

One step of a small model on a CPU is mostly the cost of calling operations. So there are fewer here: norms'
weights are folded into the maps behind them, query, key and value are one map, residuals are added by the map
itself, positions and their biases are looked up. Beams of one sentence share its keys and values: they are
queries side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, scaled_dot_product_attention

from engine.nn.blocks import DecoderBlock, EncoderBlock, Norm
from engine.nn.relative import RelativeBias, sinusoids
from engine.nn.seq2seq import PAD, PLACE, Seq2Seq

AT_ONCE = 64
"""Positions looked up beforehand; longer inputs make the tables grow."""


def _folded(norm: Norm, *maps: nn.Linear) -> Tensor:
    """What stands behind a norm, side by side, with the norm's weights in it: [D, sum of outputs]."""
    weights = torch.cat([linear.weight for linear in maps]) * (norm.weight * len(norm.weight) ** 0.5)
    turned: Tensor = weights.T.contiguous()
    return turned


def _normed(x: Tensor) -> Tensor:
    """Rows [N, D] of length 1; the rest of the norm is in the map that follows."""
    normed: Tensor = x / torch.linalg.vector_norm(x, dim=-1, keepdim=True).add_(1e-6)
    return normed


@dataclass(frozen=True, slots=True)
class _Layer:
    """Weights of a block, each [D in, D out]; cross and cross_out only in a decoder's."""

    query_key_value: Tensor
    out: Tensor
    grow: Tensor
    shrink: Tensor
    cross: Tensor
    cross_out: Tensor

    @classmethod
    def of(cls, block: EncoderBlock | DecoderBlock) -> _Layer:
        own, feed = block.attention, block.feed
        cross = cross_out = own.out.weight.new_zeros(0)
        if isinstance(block, DecoderBlock):
            cross = _folded(block.norm_cross, block.cross.query)
            cross_out = block.cross.out.weight.T.contiguous()
        return cls(
            _folded(block.norm_attention, own.query, own.key_value),
            own.out.weight.T.contiguous(),
            _folded(block.norm_feed, feed.grow),
            feed.shrink.weight.T.contiguous(),
            cross,
            cross_out,
        )

    def fed(self, x: Tensor) -> Tensor:
        """The feed-forward half: rows [N, D] and what they become."""
        return torch.addmm(x, torch.mm(_normed(x), self.grow).relu_(), self.shrink)


@dataclass
class FrozenState:
    """Streaming state of R hypotheses of B sentences, R = B * copies, those of a sentence side by side.

    caches: per layer keys and values [R, 2, H, capacity, Dh]. memory: per layer keys and values of the
    source, each [B, H, S, Dh]. memory_bias [B, 1, 1, S], or None where nothing is padded. looked [R, S]: see
    `DecoderState`.
    """

    caches: list[Tensor]
    memory: list[tuple[Tensor, Tensor]]
    memory_bias: Tensor | None
    copies: int
    watch: bool = False
    looked: Tensor | None = None
    position: int = 0

    @torch.inference_mode()
    def reorder(self, rows: Tensor, *, same_source: bool = False) -> None:
        """Make hypothesis i a copy of hypothesis rows[i]. same_source: each stays with its sentence."""
        past = self.position
        for cache in self.caches:
            cache[:, :, :, :past] = cache[rows, :, :, :past]
        if not same_source:
            sentences = rows // self.copies
            self.memory = [(keys[sentences], values[sentences]) for keys, values in self.memory]
            if self.memory_bias is not None:
                self.memory_bias = self.memory_bias[sentences]
            self.copies = 1


class Frozen:
    """Decodes as the `Seq2Seq` it was made from (a test compares them). See `engine.nn.decoding.Stepper`."""

    @torch.inference_mode()
    def __init__(self, model: Seq2Seq) -> None:
        self.config = model.config
        self._source = model.source.weight * model.scale
        self._target = model.target.weight * model.scale
        self._encoder = [_Layer.of(block) for block in model.encoder if isinstance(block, EncoderBlock)]
        self._decoder = [_Layer.of(block) for block in model.decoder if isinstance(block, DecoderBlock)]
        crossed = [b.cross.key_value for b in model.decoder if isinstance(b, DecoderBlock)]
        self._memory = _folded(model.encoder_norm, *crossed)  # [D, layers * 2 * D]
        norm = model.decoder_norm.weight * model.scale
        self._logits = (model.target.weight * norm).T.contiguous()  # [D, V]
        self._biases = (model.encoder_bias, model.decoder_bias)
        self._grow_tables(AT_ONCE)

    def _grow_tables(self, length: int) -> None:
        """Absolute places [length, D] and the biases of relative ones [1, H, length, length]."""
        self._reach = length
        positions = torch.arange(length, device=self._source.device)
        self._places = PLACE * sinusoids(positions, self.config.width)
        self._encoder_bias, self._decoder_bias = (self._bias(b, positions) for b in self._biases)

    @staticmethod
    def _bias(bias: RelativeBias, positions: Tensor) -> Tensor:
        made: Tensor = bias(positions, positions)[None].contiguous()
        return made

    def _heads(self, x: Tensor, rows: int, parts: int) -> Tensor:
        """[rows * T, parts * D] -> [parts, rows, H, T, Dh]."""
        return x.view(rows, -1, parts, self.config.heads, self.config.width // self.config.heads).permute(
            2, 0, 3, 1, 4
        )

    @torch.inference_mode()
    def open(self, source: Tensor, capacity: int, copies: int = 1, watch: bool = False) -> FrozenState:
        """See `Seq2Seq.open`."""
        rows, length = source.shape
        if max(length, capacity) > self._reach:
            self._grow_tables(2 * max(length, capacity))
        c = self.config
        bias = self._encoder_bias[:, :, :length, :length]
        padding, padded = source == PAD, None
        if rows > 1 and bool(padding.any()):
            padded = self._places.new_zeros(source.shape).masked_fill(padding, -torch.inf)[:, None, None]
            bias = bias + padded
        x = (embedding(source, self._source) + self._places[:length]).view(-1, c.width)
        for layer in self._encoder:
            queries, keys, values = self._heads(torch.mm(_normed(x), layer.query_key_value), rows, 3)
            mixed = scaled_dot_product_attention(queries, keys, values, bias)
            x = torch.addmm(x, mixed.transpose(1, 2).reshape(-1, c.width), layer.out)
            x = layer.fed(x)
        kept = self._heads(torch.mm(_normed(x), self._memory), rows, 2 * len(self._decoder)).contiguous()
        memory = [(kept[at], kept[at + 1]) for at in range(0, len(kept), 2)]
        shape = (rows * copies, 2, c.heads, capacity, c.width // c.heads)
        caches = [x.new_empty(shape) for _ in self._decoder]
        return FrozenState(caches, memory, padded, copies, watch)

    @torch.inference_mode()
    def step(self, tokens: Tensor, state: FrozenState) -> Tensor:
        """See `Seq2Seq.step`."""
        at, rows, c = state.position, len(tokens), self.config
        alone = (rows, c.heads, 1, c.width // c.heads)
        bias = self._decoder_bias[:, :, at : at + 1, : at + 1]
        x = embedding(tokens, self._target) + self._places[at]
        looks = []
        for layer, cache, memory in zip(self._decoder, state.caches, state.memory, strict=True):
            made = torch.mm(_normed(x), layer.query_key_value).view(rows, 3, c.heads, -1)
            cache.select(3, at).copy_(made[:, 1:])
            keys, values = cache.narrow(3, 0, at + 1).unbind(1)
            mixed = scaled_dot_product_attention(made[:, 0].view(alone), keys, values, bias)
            x = torch.addmm(x, mixed.view(rows, -1), layer.out)
            queries = torch.mm(_normed(x), layer.cross).view(-1, state.copies, c.heads, alone[-1])
            mixed, looked = self._cross(queries.transpose(1, 2), memory, state)
            if looked is not None:
                looks.append(looked)
            x = torch.addmm(x, mixed.transpose(1, 2).reshape(rows, -1), layer.cross_out)
            x = layer.fed(x)
        if looks:
            state.looked = torch.stack(looks).mean(0)
        state.position += 1
        return torch.mm(_normed(x), self._logits)

    @staticmethod
    def _cross(
        queries: Tensor, memory: tuple[Tensor, Tensor], state: FrozenState
    ) -> tuple[Tensor, Tensor | None]:
        """What queries [B, H, copies, Dh] see in the source, and, to watch, where: mean of heads [R, S]."""
        keys, values = memory
        if not state.watch:
            return scaled_dot_product_attention(queries, keys, values, state.memory_bias), None
        scores = queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5
        weights = (scores if state.memory_bias is None else scores + state.memory_bias).softmax(-1)
        return weights @ values, weights.mean(1).flatten(0, 1)
