"""The joint generator: glosses in, the next frame of pose, hands and body out, one step at a time.

Enters: windows of gloss tokens, progress within the present gloss, normalised frames of the three
modalities. Leaves: the next frame of each, and how long a gloss takes. Does not know motion files,
vocabularies or clocks.

SignAligner (arXiv 2506.11621), equations 1 to 6: a text encoder, and one decoder per modality with causal
self-attention over its own past and cross-attention to the text, stepped together. What is different, for
streaming:

- The text is a window: the present gloss with `around` neighbours on either side. Each gloss has a memory of
  its own, made from its window when its turn comes, so that text may be appended for ever and the past is
  never recomputed. What is not known yet is a blank.
- Time is generated. `timing` says how many frames a gloss takes and when it counts as performed; progress
  (the counter) is counted along that, and the gloss stops where it is full. Nothing is read from a target.
- A frame is the meeting of two forecasts: where the hands ought to be (position), and how they go on from
  where they are (velocity); a learned gate weighs them. Position alone trembles, velocity alone drifts.
- Every token has a few anchors, learned frames along its course. The position is a blend of the anchors of
  the gloss before, the present one and the next (weighed by the decoder), and what the decoder adds to it.
  Without them all poses of all signs would have to pass through the width of the decoder, and training takes
  far longer.
- Self-attention is over a ring of the latest frames and the first ones (`engine.nn.ring`).

M = 3 modalities, B rows (signers), T frames, C channels (of the widest modality), N = 2 * around + 1 tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from engine.nn.blocks import EncoderBlock
from engine.nn.cogeneration_config import (
    BLANK,
    OTHER,
    PROGRESS,
    REST,
    SPECIALS,
    STREAMS,
    CogenerationConfig,
    progress_features,
)
from engine.nn.cogeneration_state import CogenerationState, Focus
from engine.nn.ring import Reach, Ring, bias_of_kinds
from engine.nn.threefold import ParallelBlock, Stacked, normed

__all__ = [
    "BLANK",
    "OTHER",
    "PROGRESS",
    "REST",
    "SPECIALS",
    "STREAMS",
    "CogenerationConfig",
    "CogenerationState",
    "Cogenerator",
    "Focus",
    "progress_features",
]


class Cogenerator(nn.Module):
    """See the module."""

    def __init__(self, config: CogenerationConfig) -> None:
        super().__init__()
        c = self.config = config
        self.reach = Reach(c.context, c.sinks)
        self.token = nn.Embedding(c.tokens, c.encoder_width)
        self.language = nn.Embedding(c.languages, c.encoder_width)
        self.word_end = nn.Parameter(torch.randn(c.encoder_width) * 0.3)
        self.place = nn.Parameter(torch.randn(c.window, c.encoder_width) * 0.3)
        self.encoder = nn.ModuleList(
            EncoderBlock(c.encoder_width, c.heads, 2 * c.encoder_width, 0.0) for _ in range(c.encoder_layers)
        )
        near = 3 * c.encoder_width
        self.clock = nn.Sequential(nn.Linear(near + 1, 128), nn.SiLU(), nn.Linear(128, 2))
        self.enter = Stacked(STREAMS, 2 * c.widest + PROGRESS, c.width)
        self.about = Stacked(STREAMS, near, c.width)
        self.blocks = nn.ModuleList(
            ParallelBlock(STREAMS, c.width, c.heads, c.inner, c.encoder_width, c.layers)
            for _ in range(c.layers)
        )
        self.anchors = nn.Parameter(torch.zeros(c.tokens, STREAMS, c.anchors, c.widest))
        self.parts = [
            c.widest,
            c.widest,
            3 * c.anchors,
            2,
        ]  # beside the anchors, change, anchors, gate and pace
        self.leave = Stacked(STREAMS, c.width, sum(self.parts))
        with torch.no_grad():
            self.leave.weight[:, :, : 2 * c.widest] *= 0.1  # what is added to anchors and pace begins small
        shape = (c.layers, STREAMS, c.heads)
        slope = torch.linspace(0, 0.3, c.heads)[:, None] * torch.arange(self.reach.kinds)
        self.distance = nn.Parameter((-slope).expand(*shape, -1).clone())
        self.offset = nn.Parameter(torch.zeros(*shape, c.window))

    # -- text ----------------------------------------------------------------------------------

    def encode(self, tokens: Tensor, languages: Tensor, word_ends: Tensor) -> Tensor:
        """The memory [B, N, E] of glosses from their windows: tokens [B, N], languages [B], word_ends [B,
        N]."""
        x: Tensor = self.token(tokens) + self.language(languages)[:, None] + self.place
        x = x + word_ends[..., None].to(x.dtype) * self.word_end
        nowhere = x.new_zeros(())
        for block in self.encoder:
            x = block(x, nowhere)
        return x

    def centre(self, memory: Tensor) -> Tensor:
        """The gloss before, the present one and the next, side by side: [B, 3 E]."""
        around = self.config.around
        return memory[:, around - 1 : around + 2].flatten(1)

    def timing(self, memory: Tensor, log_rate: Tensor) -> tuple[Tensor, Tensor]:
        """How many frames the gloss takes, [B], and after which share of them it counts as performed, [B]."""
        out = self.clock(torch.cat([self.centre(memory), log_rate[:, None]], -1))
        return (out[:, 0] + 2.0).exp(), out[:, 1].sigmoid()

    def focus(self, memory: Tensor, tokens: Tensor) -> Focus:
        """What the frames of glosses with these memories [B, N, E] and windows [B, N] are told."""
        pairs = [block.memory(memory) for block in self._blocks()]
        near = self.centre(memory)
        bias = self.about(near.expand(STREAMS, *near.shape))
        around = self.config.around
        anchors = self.anchors[tokens[:, around - 1 : around + 2]]  # [B, 3, M, A, C]
        anchors = anchors.permute(2, 0, 1, 3, 4).flatten(2, 3)
        return Focus(bias, torch.stack([k for k, _ in pairs]), torch.stack([v for _, v in pairs]), anchors)

    # -- all frames at once --------------------------------------------------------------------

    def forward(
        self, before: Tensor, progress: Tensor, memory: Tensor, tokens: Tensor, owner: Tensor
    ) -> tuple[Tensor, ...]:
        """Frames, forecasts of position and of velocity, each [M, B, T, C].

        before [M, B, T + 1, C]: normalised frames, from two before the first wanted to one before the last.
        progress [B, T, 16]. memory [B, G, N, E] and tokens [B, G, N] of the glosses that come; owner [B, T]:
        which of them each frame belongs to. Position 0 is the first frame wanted.
        """
        rows, frames = owner.shape
        glosses = memory.shape[1]
        flat = memory.flatten(0, 1)
        focus = self.focus(flat, tokens.flatten(0, 1))
        bias = focus.bias.view(STREAMS, rows, glosses, -1)  # [M, B, G, D]
        index = owner[None, :, :, None].expand(STREAMS, -1, -1, bias.shape[-1])
        x = self._enter(before[:, :, 1:], before[:, :, :-1], progress, bias.gather(2, index))
        positions = torch.arange(frames, device=owner.device)
        kinds = self.reach.kind(positions[:, None], positions[None, :])
        past = bias_of_kinds(self.distance, kinds)[:, :, None]  # [layers, M, 1, H, T, T]
        hidden = torch.zeros(rows, frames, glosses, device=x.device).fill_(-torch.inf)
        hidden.scatter_(2, owner[..., None], 0.0)  # a frame is told of its own gloss's window only
        hidden = hidden.repeat_interleave(self.config.window, -1)[None, :, None]  # [1, B, 1, T, G N]
        told = self.offset.repeat(1, 1, 1, glosses)[:, :, None, :, None]  # [layers, M, 1, H, 1, G N]
        for number, block in enumerate(self._blocks()):
            keys, values = (
                y[number].view(STREAMS, rows, glosses, *y.shape[3:]).transpose(2, 3).flatten(3, 4)
                for y in (focus.keys, focus.values)
            )
            x = block(x, past[number], (keys, values), told[number] + hidden)
        anchors = focus.anchors.reshape(STREAMS, rows, -1, self.config.widest)  # [M, B, G 3A, C]
        places = torch.arange(3 * self.config.anchors, device=x.device)
        places = (owner[..., None] * len(places) + places).expand(STREAMS, -1, -1, -1)

        def blend(weights: Tensor) -> Tensor:
            spread = weights.new_zeros(*weights.shape[:-1], anchors.shape[2])
            return torch.matmul(spread.scatter(3, places, weights), anchors)

        return self._leave(x, before[:, :, 1:], before[:, :, :-1], blend)

    # -- one frame -----------------------------------------------------------------------------

    def open(self, rows: int = 1, rewind: int = 1) -> CogenerationState:
        """State for `rows` signers, standing in the mean pose, told of nothing; may go back `rewind`
        frames."""
        c, like = self.config, self.distance.detach()
        ring = Ring(self.reach, rows=rows, heads=c.heads, width=c.width // c.heads, layers=c.layers,
                    streams=STREAMS, rewind=rewind, like=like)  # fmt: skip
        shape = (c.layers, STREAMS, rows, c.heads, c.window, c.width // c.heads)
        bias, anchors = like.new_zeros(STREAMS, rows, c.width), (STREAMS, rows, 3 * c.anchors, c.widest)
        focus = Focus(bias, like.new_zeros(shape), like.new_zeros(shape), like.new_zeros(anchors))
        biases = bias_of_kinds(like, ring.kinds).permute(0, 3, 1, 2, 4).contiguous()
        history = like.new_zeros(STREAMS, rows, rewind + 2, c.widest)
        return CogenerationState(ring, history, focus, biases, self.offset.detach()[:, :, None, :, None])

    def step(self, progress: Tensor, state: CogenerationState, active: Tensor | None = None) -> Tensor:
        """The next frame [M, B, C] of every row (where `active` [B]; None: all). progress [B, 16]."""
        ring = state.ring
        together = ring.common if active is None else None
        if together is None:
            frame = self.step_by_tensors(progress, state, active)
            ring.advance(active)
            return frame
        biases = state.biases[:, ring.phase_of(together), :, None, :, None]  # [layers, M, 1, H, 1, slots]
        last, before = state.latest()
        frame = self._stepped(progress, state, last, before, biases, ring.slot_of(together), None)
        state.history[:, :, together % state.history.shape[2]].copy_(frame)
        ring.advance()
        return frame

    def step_by_tensors(
        self, progress: Tensor, state: CogenerationState, active: Tensor | None = None
    ) -> Tensor:
        """As `step`, without moving the ring on: where every row is, is read from tensors alone, so that it
        may be compiled, or captured as a CUDA graph, once and for all. `state.ring.advance` is the caller's.
        """
        ring, history = state.ring, state.history
        biases = state.biases[:, ring.phase()].transpose(1, 2).unsqueeze(-2)  # [layers, M, B, H, 1, slots]
        last, before = state.latest_by_tensors()
        frame = self._stepped(progress, state, last, before, biases, ring.slots(), active)
        at, rows = ring.position % history.shape[2], ring.row_numbers
        kept = frame if active is None else torch.where(active[:, None], frame, history[:, rows, at])
        history[:, rows, at] = kept
        return frame

    def _stepped(
        self,
        progress: Tensor,
        state: CogenerationState,
        last: Tensor,
        before: Tensor,
        biases: Tensor,
        slots: Tensor | int,
        active: Tensor | None,
    ) -> Tensor:
        """The next frame, its keys and values put into the ring."""
        x = self._enter(last, before, progress, state.focus.bias)
        for number, block in enumerate(self._blocks()):
            query, key, value, ask, feed = block.project(x)
            held = state.ring.write(number, key, value, slots, active)
            told = state.focus.keys[number], state.focus.values[number]
            x = block.finish(x, query, held, biases[number], ask, told, state.memory_bias[number], feed)
        anchors = state.focus.anchors
        frame, _, _ = self._leave(
            x, last, before, lambda weights: torch.matmul(weights.unsqueeze(-2), anchors).squeeze(-2)
        )
        return frame

    # -- parts that both share -----------------------------------------------------------------

    def _blocks(self) -> list[ParallelBlock]:
        return list(self.blocks)  # type: ignore[arg-type]

    def _enter(self, last: Tensor, before: Tensor, progress: Tensor, bias: Tensor) -> Tensor:
        given = progress.expand(STREAMS, *progress.shape)
        entered: Tensor = self.enter(torch.cat([last, last - before, given], -1)) + bias
        return entered

    def _leave(
        self, x: Tensor, last: Tensor, before: Tensor, blend: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Frame, position and onward forecast. blend: weights [..., 3 A] to the mixture of the anchors."""
        beside, change, weights, gates = self.leave(normed(x)).split(self.parts, -1)
        position = blend(weights.softmax(-1)) + beside
        gate, pace = gates.sigmoid().chunk(2, -1)
        onward = last + pace * (last - before) + change
        return torch.lerp(onward, position, gate), position, onward
