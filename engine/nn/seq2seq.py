"""A small T5-style encoder-decoder: token numbers in, scores of the next token out.

Enters: source tokens [B, S] and what was decoded so far. Leaves: logits over the target vocabulary.
Does not know what the tokens mean, nor how the next one is chosen (see `decoding`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.nn.blocks import DecoderBlock, Dropout, EncoderBlock, Norm
from engine.nn.relative import RelativeBias, sinusoids

PAD = 0
"""Token number of padding, in source and target; also what the decoder starts from, as in T5."""

PLACE = 0.5
"""Strength of the absolute positions added to embeddings: relative ones alone tell the attention to the
source nothing, and that glosses mostly follow the order of the text was learned only slowly."""


@dataclass(frozen=True)
class Seq2SeqConfig:
    """Sizes of the encoder-decoder; widths in numbers, dropout as a probability."""

    source_tokens: int
    target_tokens: int
    width: int = 256
    heads: int = 4
    encoder_layers: int = 2
    decoder_layers: int = 2
    inner: int = 1024
    dropout: float = 0.2

    def __post_init__(self) -> None:
        for name in (
            "source_tokens",
            "target_tokens",
            "width",
            "heads",
            "encoder_layers",
            "decoder_layers",
            "inner",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"Seq2SeqConfig.{name}: got {getattr(self, name)}, expected >= 1")
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"Seq2SeqConfig: width {self.width} is odd or no multiple of heads {self.heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"Seq2SeqConfig.dropout: got {self.dropout}, expected 0 <= dropout < 1")


@dataclass
class DecoderState:
    """Streaming state of a batch of hypotheses: caches per layer, preallocated, and the position reached.

    caches: per layer keys and values, each [B, H, capacity, Dh]. memory: per layer keys and values of the
    source [B, H, S, Dh]. memory_bias [B, 1, 1, S]: 0 where the source is, -inf where it is padding.
    bias [1, H, capacity, capacity] and places [capacity, D]: relative and absolute positions, made once.
    looked [B, S]: where in the source the last step looked, mean of heads and layers, if it is to be watched.
    """

    caches: list[tuple[Tensor, Tensor]]
    memory: list[tuple[Tensor, Tensor]]
    memory_bias: Tensor
    bias: Tensor
    places: Tensor
    watch: bool = False
    looked: Tensor | None = None
    position: int = 0

    def rewind(self, positions: int) -> None:
        """Forget the last `positions` steps; what they wrote is overwritten by the next ones."""
        if not 0 <= positions <= self.position:
            raise ValueError(
                f"rewind: got {positions}, expected 0..{self.position} (what was stepped so far)"
            )
        self.position -= positions

    def reorder(self, rows: Tensor, *, same_source: bool = False) -> None:
        """Make row i a copy of row rows[i] (beam search). same_source: the memory of these rows is alike."""
        past = self.position
        for keys, values in self.caches:
            keys[:, :, :past] = keys[rows, :, :past]
            values[:, :, :past] = values[rows, :, :past]
        if not same_source:
            self.memory = [(keys[rows], values[rows]) for keys, values in self.memory]
            self.memory_bias = self.memory_bias[rows]


class Seq2Seq(nn.Module):
    """Pre-norm encoder-decoder, positions shared by the layers, target embedding tied to the output."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        self.scale = c.width**0.5
        self.source = nn.Embedding(c.source_tokens, c.width)
        self.target = nn.Embedding(c.target_tokens, c.width)
        self.encoder_bias = RelativeBias(c.heads, both_ways=True)
        self.decoder_bias = RelativeBias(c.heads, both_ways=False)
        self.encoder = nn.ModuleList(
            EncoderBlock(c.width, c.heads, c.inner, c.dropout) for _ in range(c.encoder_layers)
        )
        self.decoder = nn.ModuleList(
            DecoderBlock(c.width, c.heads, c.inner, c.dropout) for _ in range(c.decoder_layers)
        )
        self.encoder_norm, self.decoder_norm = Norm(c.width), Norm(c.width)
        self.drop = Dropout(c.dropout)
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=c.width**-0.5)
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    def _embed(self, table: nn.Embedding, tokens: Tensor, positions: Tensor) -> Tensor:
        """Tokens [B, T] at positions [T] -> [B, T, D]."""
        embedded: Tensor = table(tokens) * self.scale
        return embedded + PLACE * sinusoids(positions, self.config.width)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Source tokens [B, S] -> states [B, S, D] and a mask bias [B, 1, 1, S] (0, or -inf where padded)."""
        padded = self.source.weight.new_zeros(source.shape).masked_fill(source == PAD, -torch.inf)
        padded = padded[:, None, None, :]  # [B, 1, 1, S]
        positions = torch.arange(source.shape[1], device=source.device)
        bias = self.encoder_bias(positions, positions)[None] + padded  # [B, H, S, S]
        x = self.drop(self._embed(self.source, source, positions))
        for block in self.encoder:
            x = block(x, bias)
        return self.drop(self.encoder_norm(x)), padded

    def decode(self, target: Tensor, memory: Tensor, memory_bias: Tensor) -> Tensor:
        """Target inputs [B, T] (starting with PAD) -> decoder states [B, T, D], all positions at once."""
        positions = torch.arange(target.shape[1], device=target.device)
        future = positions[None, :] > positions[:, None]  # [T, T]
        bias = self.decoder_bias(positions, positions).masked_fill(future, -torch.inf)[None]
        x = self.drop(self._embed(self.target, target, positions))
        for block in self.decoder:
            assert isinstance(block, DecoderBlock)
            x = block(x, bias, block.cross.keys_values(memory), memory_bias)
        states: Tensor = self.decoder_norm(x)
        return states

    def logits(self, states: Tensor) -> Tensor:
        """Decoder states [..., D] -> scores [..., V]."""
        scores: Tensor = self.drop(states) @ self.target.weight.T
        return scores

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits [B, T, V] for source [B, S] and target inputs [B, T] (shifted right, first is PAD)."""
        return self.logits(self.decode(target, *self.encode(source)))

    def open(self, source: Tensor, capacity: int, copies: int = 1, watch: bool = False) -> DecoderState:
        """Encode source [B, S] once; state for B * copies hypotheses of at most `capacity` steps.

        watch: keep where each step looks, in `DecoderState.looked`.
        """
        memory, padded = self.encode(source)
        pairs = []
        for block in self.decoder:
            assert isinstance(block, DecoderBlock)
            keys, values = block.cross.keys_values(memory)
            pairs.append((keys.repeat_interleave(copies, 0), values.repeat_interleave(copies, 0)))
        c = self.config
        shape = (len(source) * copies, c.heads, capacity, c.width // c.heads)
        caches = [(memory.new_zeros(shape), memory.new_zeros(shape)) for _ in range(c.decoder_layers)]
        padded = padded.repeat_interleave(copies, 0)
        positions = torch.arange(capacity, device=source.device)
        bias = self.decoder_bias(positions, positions)[None]
        places = PLACE * sinusoids(positions, c.width)
        return DecoderState(caches, pairs, padded, bias, places, watch)

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Feed one token per hypothesis [B]; scores of the next one [B, V]. Advances `state` in place."""
        at = state.position
        bias = state.bias[:, :, at : at + 1, : at + 1]
        x = (self.target(tokens) * self.scale + state.places[at])[:, None]
        looks = []
        for block, cache, memory in zip(self.decoder, state.caches, state.memory, strict=True):
            assert isinstance(block, DecoderBlock)
            x, looked = block.step(x, bias, cache, at, memory, state.memory_bias, state.watch)
            if looked is not None:
                looks.append(looked)
        if looks:
            state.looked = torch.stack(looks).mean(0)
        state.position += 1
        return self.logits(self.decoder_norm(x))[:, 0]
