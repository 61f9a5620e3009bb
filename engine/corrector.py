"""Online collaborative correction: motion whose modalities disagree goes in, motion that agrees comes out.

Enters: vectors of `engine.features`, one frame at a time or whole clips. Leaves: the same, corrected.
Does not know who generates motion, nor glosses.

    corrector = Corrector.open(folder)
    state = corrector.open_state(rows=1)
    out, ready = corrector.push(vectors, state)     # [1, 694], [1]: the frame `look_ahead_frames` ago
    out, ready = corrector.drain(state)             # at the end of a stream: what is still inside
    corrector(clip)                                 # offline, [B, T, 694]: the same numbers

Each frame passes every layer once: layer l works on the newest frame whose `ahead[l]` successors have come,
with keys and values of a window of frames in a ring. So a frame that was given out never changes, a push
costs the same for ever, and streamed equals offline. SignAligner (arXiv 2506.11621), equations 7-9; see
`engine.nn.correction`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.checkpoint import open_checkpoint, save_checkpoint
from engine.features import MODALITIES, SLICES, WIDTH, WIDTHS, Normaliser
from engine.nn.correction import (
    FAR,
    HASTE,
    LITTLE,
    MEET,
    STREAMS,
    SURE,
    CorrectionLayer,
    Linear3,
    Norm3,
)
from engine.nn.correction_geometry import DISAGREEMENTS, Geometry, QuickGeometry, folded
from engine.nn.correction_quick import QuickCorrection

KIND = "handstream-corrector-1"
_FINGERS = slice(25 * 6, 55 * 6)  # within the body's channels: what the hands modality knows as well


@dataclass(frozen=True)
class CorrectorConfig:
    """Sizes. A frame sees `past_frames` before it and, over all layers, `look_ahead_frames` after it.

    look_ahead_frames: how late a corrected frame comes; shared out among the layers, the first ones first.
    geometry: let the streams see where the modalities disagree after forward kinematics, beside each other's
    states (off: the paper's form, which must learn the skeleton by heart). rewind_frames: how far a stream
    may go back.
    """

    width: int = 96
    heads: int = 4
    layers: int = 2
    inner: int = 192
    past_frames: int = 12
    look_ahead_frames: int = 4
    geometry: bool = True
    dropout: float = 0.0
    rewind_frames: int = 16

    def __post_init__(self) -> None:
        for name in ("width", "heads", "layers", "inner"):
            if getattr(self, name) < 1:
                raise ValueError(f"CorrectorConfig.{name}: got {getattr(self, name)}, expected at least 1")
        if self.width % self.heads:
            raise ValueError(
                f"CorrectorConfig: got width={self.width}, heads={self.heads}; expected heads to divide width"
            )
        if self.past_frames < 0 or self.rewind_frames < 0 or not 0 <= self.look_ahead_frames <= 64:
            raise ValueError(
                f"CorrectorConfig: got past_frames={self.past_frames}, "
                f"look_ahead_frames={self.look_ahead_frames}, rewind_frames={self.rewind_frames}; expected "
                "none negative, and at most 64 frames of look-ahead"
            )

    @property
    def ahead(self) -> tuple[int, ...]:
        """Look-ahead of each layer."""
        each, rest = divmod(self.look_ahead_frames, self.layers)
        return tuple(each + (layer < rest) for layer in range(self.layers))

    @property
    def capacity(self) -> int:
        """Frames in a ring: less, and a rewound step would read what was overwritten."""
        return self.past_frames + self.look_ahead_frames + 1 + self.rewind_frames


@dataclass
class CorrectorState:
    """Streaming state of B rows, preallocated, updated in place. C: frames in a ring.

    count, drained [B]: frames pushed, and frames given out since the end. vectors [B, C, 694], apart [B, C,
    392]: the input, and its disagreements. streams: for each layer its input [3, B, C, D]; queries, keys,
    values: for each layer [B, H, 3, C, Dh]. tables: each layer's biases by lag and phase of the ring [lag,
    C, H, 3, 3 C]. quick: the numpy path, where it is used.
    """

    count: npt.NDArray[np.int64]
    drained: npt.NDArray[np.int64]
    vectors: Tensor
    apart: Tensor
    streams: list[Tensor]
    queries: list[Tensor]
    keys: list[Tensor]
    values: list[Tensor]
    tables: list[Tensor]
    quick: QuickCorrection | None = None

    @property
    def rows(self) -> int:
        return len(self.count)


class Corrector(nn.Module):
    """Weights, the normaliser of the motion they were trained on, and a body's bones."""

    scale: Tensor
    spread: Tensor

    def __init__(self, config: CorrectorConfig, normaliser: Normaliser) -> None:
        super().__init__()
        self.config, self.normaliser = config, normaliser
        width = config.width
        self.embed = nn.ModuleList(nn.Linear(WIDTHS[name], width) for name in MODALITIES)
        self.layers = nn.ModuleList(
            CorrectionLayer(width, config.heads, config.inner, config.past_frames, ahead, config.dropout)
            for ahead in config.ahead
        )
        self.norm = Norm3(width)
        self.change = nn.ModuleList(nn.Linear(width, WIDTHS[name]) for name in MODALITIES)
        gates = []
        if config.geometry:
            self.see = Linear3(DISAGREEMENTS, width)
            self.much = nn.Parameter(torch.zeros(STREAMS, width))
            self.gates = nn.ModuleList(nn.Linear(width, n) for n in (120, 192, 180))
            gates = list(self.gates)
        for layer in (*self.change, *gates):  # it starts as the identity
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.geometry = Geometry()
        scale = torch.cat([torch.full((120,), 10.0), torch.full((192,), 5.0), torch.full((80,), 10.0)])
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("spread", torch.from_numpy(normaliser.spread), persistent=False)
        self._quick: QuickGeometry | None = None

    # -- the parts that offline and streaming share ------------------------------------------------

    def _enter(self, vectors: Tensor, apart: Tensor | None) -> Tensor:
        """Vectors [..., 694] and disagreements [..., 392] -> states [3, ..., D]."""
        normal = self.normaliser.apply(vectors)
        parts = [layer(normal[..., SLICES[name]]) for layer, name in zip(self.embed, MODALITIES, strict=True)]
        states = torch.stack(parts)
        if apart is not None:
            # Which way and how much, apart: so that a little is answered as much is, only less.
            seen = apart * self.scale
            size = seen.square().mean(-1, keepdim=True).sqrt()
            seen = seen / (size + LITTLE)
            states = states + self.see(seen.expand(STREAMS, *seen.shape))
            states = states + size.tanh() * self.much.view(STREAMS, *(1,) * (seen.ndim - 1), -1)
        return states

    def _leave(self, states: Tensor, vectors: Tensor, apart: Tensor | None) -> Tensor:
        """Last states [3, ..., D] and what was put in -> corrected vectors."""
        states = self.norm(states)
        change = torch.cat([layer(x) for layer, x in zip(self.change, states, strict=True)], -1)
        if apart is None:
            return vectors + change * self.spread
        # What agrees is left alone: without this, what a network of this size invents is more than a good
        # generator's modalities are apart.
        size = (apart * self.scale).square().mean(-1, keepdim=True).sqrt()
        corrected = vectors + change * self.spread * size.tanh()
        faith = HASTE * (MEET + (1 - MEET) * (size / SURE).square().tanh())
        pose, hands, fingers = (faith * gate(x) for gate, x in zip(self.gates, states, strict=True))
        nearer = torch.cat([pose, hands], -1) * apart[..., :312]
        hand = folded(apart[..., 120:312], 2, 16, 6)[..., 1:, :].flatten(-3)  # body less hands
        still = self.spread > 0
        moved = torch.cat(
            [
                nearer,
                nearer.new_zeros((*nearer.shape[:-1], _FINGERS.start)),
                -fingers * hand,
                nearer.new_zeros((*nearer.shape[:-1], WIDTH - 312 - _FINGERS.stop)),
            ],
            -1,
        )
        return corrected + moved * still

    def forward(self, vectors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Offline: vectors [B, T, 694] -> corrected ones; lengths [B]: frames that count (None: all).

        Raises ValueError for other shapes.
        """
        if vectors.ndim != 3 or vectors.shape[-1] != WIDTH:
            raise ValueError(f"corrector: got shape {tuple(vectors.shape)}, expected [B, T, {WIDTH}]")
        apart = None
        if self.config.geometry:
            with torch.no_grad():
                apart = self.geometry.disagreements(vectors)
        states = self._enter(vectors, apart)
        for layer in self.layers:
            states = layer(states, lengths)
        return self._leave(states, vectors, apart)

    # -- streaming ---------------------------------------------------------------------------------

    @torch.inference_mode()
    def open_state(self, rows: int = 1, *, quick: bool | None = None) -> CorrectorState:
        """A state for `rows` streams. quick: step in numpy, row by row (None: on a CPU, up to two rows)."""
        c, device = self.config, self.spread.device
        if rows < 1:
            raise ValueError(f"Corrector.open_state: got rows={rows}, expected at least 1")
        head = c.width // c.heads

        def rings() -> list[Tensor]:
            shape = (rows, c.heads, STREAMS, c.capacity, head)
            return [torch.zeros(shape, device=device) for _ in self.layers]

        state = CorrectorState(
            count=np.zeros(rows, np.int64),
            drained=np.zeros(rows, np.int64),
            vectors=torch.zeros((rows, c.capacity, WIDTH), device=device),
            apart=torch.zeros((rows, c.capacity, DISAGREEMENTS), device=device),
            streams=[torch.zeros((STREAMS, rows, c.capacity, c.width), device=device) for _ in self.layers],
            queries=rings(),
            keys=rings(),
            values=rings(),
            tables=[self._table(layer) for layer in self.layers],
        )
        if quick is None:
            quick = device.type == "cpu" and rows <= 2
        if quick:
            state.quick = QuickCorrection(self, state)
        return state

    def _table(self, layer: nn.Module) -> Tensor:
        """Biases of a query `lag` frames before the newest, for every place of the newest in the ring."""
        assert isinstance(layer, CorrectionLayer)
        c, device = self.config.capacity, self.spread.device
        biases = layer.biases()
        lag = torch.arange(layer.ahead + 1, device=device)[:, None, None]
        age = (torch.arange(c, device=device)[:, None] - torch.arange(c, device=device)) % c  # [phase, slot]
        index = lag - age + layer.past  # [lag, phase, slot]
        near = (index >= 0) & (index < biases.shape[-1])
        table = biases[..., index.clamp(0, biases.shape[-1] - 1)].masked_fill(
            ~near, FAR
        )  # [H, 3, 3, l, p, s]
        return table.permute(3, 4, 0, 1, 2, 5).flatten(-2).contiguous()

    @torch.inference_mode()
    def push(
        self, vectors: Tensor, state: CorrectorState, mask: npt.NDArray[np.bool_] | None = None
    ) -> tuple[Tensor, npt.NDArray[np.bool_]]:
        """One frame for each row: vectors [B, 694] -> corrected [B, 694] and which rows hold one [B].

        Row r's corrected frame is the one pushed `look_ahead_frames` before; until there is one, ready is
        False. mask [B]: rows that take part; others stay untouched. Raises ValueError for wrong shapes, for
        numbers that are not finite, and for rows that were drained (reset them first).
        """
        rows = self._rows(state, mask)
        if vectors.shape != (state.rows, WIDTH):
            raise ValueError(f"corrector: got shape {tuple(vectors.shape)}, expected [{state.rows}, {WIDTH}]")
        if state.drained[rows].any():
            raise ValueError("corrector: a row is pushed after it was drained; reset it first")
        own = vectors if mask is None else vectors[torch.from_numpy(rows)]
        if not bool(torch.isfinite(own).all()):
            raise ValueError(
                "corrector: got a frame with NaN or infinity; the generator has diverged: reset it"
            )
        apart = self._apart(own) if self.config.geometry else None
        at = state.count[rows]
        self._put(state.vectors, 0, rows, at, own)
        if apart is not None:
            self._put(state.apart, 0, rows, at, apart)
        if state.quick is None:
            out = self._advance(state, rows, at, at, self._enter(own, apart))
        else:
            out = self._quickly(state, rows, at, own, apart)
        state.count[rows] += 1
        return self._spread(out, rows, at - self.config.look_ahead_frames, state)

    @torch.inference_mode()
    def drain(
        self, state: CorrectorState, mask: npt.NDArray[np.bool_] | None = None
    ) -> tuple[Tensor, npt.NDArray[np.bool_]]:
        """The next frame still inside, without one pushed: as `push`. ready is False where nothing is
        left."""
        rows = self._rows(state, mask)
        left = np.minimum(self.config.look_ahead_frames, state.count[rows]) > state.drained[rows]
        rows = rows[left]
        last = state.count[rows] - 1
        skip = np.maximum(
            self.config.look_ahead_frames - state.count[rows], 0
        )  # of a stream shorter than that
        state.drained[rows] += 1
        out, done = torch.zeros_like(state.vectors[:, 0]), np.zeros(state.rows, np.bool_)
        for row, end, more in zip(rows, last, skip, strict=True):  # rarely: one row after the other
            one, ends = np.array([row]), np.array([end])
            given = int(state.drained[row]) + int(more)
            first = 1 if given == 1 + more else given
            for k in range(first, given + 1):
                corrected = self._advance(state, one, ends + k, ends, None)
            out[int(row)], done[row] = corrected[0], True
        return out, done

    def _advance(
        self,
        state: CorrectorState,
        rows: npt.NDArray[np.int64],
        clock: npt.NDArray[np.int64],
        last: npt.NDArray[np.int64],
        x: Tensor | None,
    ) -> Tensor:
        """Move every layer on to where frame `clock` has come (the stream's `last` may lie before it)."""
        every = len(rows) == state.rows
        index = None if every else torch.from_numpy(rows)
        capacity = self.config.capacity
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, CorrectionLayer)
            stream, query = state.streams[number], state.queries[number]
            keys, values = state.keys[number], state.values[number]
            if x is not None:
                parts = folded(layer.prepare(x), layer.heads, x.shape[-1] // layer.heads)  # [3, R, 3, H, Dh]
                made = parts.permute(2, 1, 3, 0, 4)  # [3 (query, key, value), R, H, 3, Dh]
                self._put(stream, 1, rows, clock, x)
                for ring, new in zip((query, keys, values), made, strict=True):
                    self._put(ring, 0, rows, clock, new)
            newest = np.minimum(clock, last)
            clock = clock - layer.ahead
            x = None
            if (clock > last).all():
                continue  # at the end of a stream this layer is done
            phase = newest % capacity
            bias = self._take_bias(state.tables[number], newest - clock, phase)
            young = newest < capacity
            if young.any():
                age = (phase[:, None] - np.arange(capacity)) % capacity  # [R, C]
                absent = torch.from_numpy(np.tile(age > newest[:, None], (1, STREAMS))).to(bias.device)
                bias = bias.masked_fill(absent[:, None, None], FAR)
            if index is not None:
                keys, values = keys[index], values[index]
            asked = self._get(query, 0, rows, clock)  # [R, H, 3, Dh]
            seen = functional.scaled_dot_product_attention(
                asked, keys.flatten(2, 3), values.flatten(2, 3), bias
            )
            x = layer.finish(self._get(stream, 1, rows, clock), seen.permute(2, 0, 1, 3).flatten(2))
        if x is None:
            return state.vectors[:0, 0]
        before = self._get(state.vectors, 0, rows, clock)
        apart = self._get(state.apart, 0, rows, clock) if self.config.geometry else None
        return self._leave(x, before, apart)

    def _quickly(
        self,
        state: CorrectorState,
        rows: npt.NDArray[np.int64],
        at: npt.NDArray[np.int64],
        own: Tensor,
        apart: Tensor | None,
    ) -> Tensor:
        """As `_advance` after `_enter`, row by row in numpy."""
        assert state.quick is not None
        out = np.empty((len(rows), WIDTH), np.float32)
        for i, (row, frame) in enumerate(zip(rows.tolist(), at.tolist(), strict=True)):
            states = state.quick.enter(own[i].numpy(), None if apart is None else apart[i].numpy())
            corrected = state.quick.advance(row, frame, frame, states)
            assert corrected is not None
            out[i] = corrected
        return torch.from_numpy(out)

    def _take_bias(self, table: Tensor, lag: npt.NDArray[np.int64], phase: npt.NDArray[np.int64]) -> Tensor:
        """[R, H, 3, 3 C], or [1, ...] where all rows are in step."""
        if (phase == phase[0]).all() and (lag == lag[0]).all():
            return table[int(lag[0]), int(phase[0])][None]
        return table[torch.from_numpy(lag), torch.from_numpy(phase)]

    def _put(
        self,
        ring: Tensor,
        dim: int,
        rows: npt.NDArray[np.int64],
        frames: npt.NDArray[np.int64],
        value: Tensor,
    ) -> None:
        """Write frames of rows into a ring whose rows are `dim` and whose frames are the last but one."""
        slots = frames % self.config.capacity
        if len(rows) == ring.shape[dim] and (slots == slots[0]).all():
            ring.select(-2, int(slots[0])).copy_(value)
            return
        for position, (row, slot) in enumerate(zip(rows.tolist(), slots.tolist(), strict=True)):
            ring.select(dim, row).select(-2, slot).copy_(value.select(dim, position))

    def _get(
        self, ring: Tensor, dim: int, rows: npt.NDArray[np.int64], frames: npt.NDArray[np.int64]
    ) -> Tensor:
        slots = frames % self.config.capacity
        if len(rows) == ring.shape[dim] and (slots == slots[0]).all():
            return ring.select(-2, int(slots[0]))
        taken = [
            ring.select(dim, row).select(-2, slot)
            for row, slot in zip(rows.tolist(), slots.tolist(), strict=True)
        ]
        return torch.stack(taken, dim)

    def _apart(self, vectors: Tensor) -> Tensor:
        if vectors.is_cuda or len(vectors) > 8:
            return self.geometry.disagreements(vectors)
        if self._quick is None:
            self._quick = QuickGeometry(self.geometry)
        return torch.from_numpy(self._quick.disagreements(vectors.numpy()))

    def _rows(self, state: CorrectorState, mask: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.int64]:
        if mask is None:
            return np.arange(state.rows)
        return np.flatnonzero(np.asarray(mask, np.bool_))

    def _spread(
        self,
        out: Tensor,
        rows: npt.NDArray[np.int64],
        frames: npt.NDArray[np.int64],
        state: CorrectorState,
    ) -> tuple[Tensor, npt.NDArray[np.bool_]]:
        ready = np.zeros(state.rows, np.bool_)
        ready[rows] = frames >= 0
        if len(rows) == state.rows:
            return out, ready
        every = torch.zeros_like(state.vectors[:, 0])
        every[torch.from_numpy(rows)] = out
        return every, ready

    # -- rows that begin anew or go back --------------------------------------------------------------

    @torch.inference_mode()
    def reset(self, state: CorrectorState, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Rows begin anew, as if just opened."""
        rows = self._rows(state, mask)
        state.count[rows] = state.drained[rows] = 0
        index = torch.from_numpy(rows)
        for ring in (state.vectors, state.apart, *state.queries, *state.keys, *state.values):
            ring[index] = 0
        for ring in state.streams:
            ring[:, index] = 0

    def rewind(self, frames: int, state: CorrectorState, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Forget the last `frames` pushed, as if they had never been. Raises ValueError for more than was
        pushed, or than `rewind_frames`, and for drained rows."""
        rows = self._rows(state, mask)
        most = min(self.config.rewind_frames, int(state.count[rows].min(initial=self.config.rewind_frames)))
        if not 0 <= frames <= most or state.drained[rows].any():
            raise ValueError(
                f"corrector: got rewind of {frames} frames, expected 0..{most} of rows that are not drained; "
                "for more, give rewind_frames in the configuration, or reset"
            )
        state.count[rows] -= frames

    # -- files ---------------------------------------------------------------------------------------

    def save(self, folder: Path, *, half: bool = False, **about: Any) -> Path:
        """Write a checkpoint folder; `about` goes into its configuration. half: weights as float16."""
        kind = torch.float16 if half else torch.float32
        tensors = {f"model.{name}": tensor.to(kind) for name, tensor in self.state_dict().items()}
        config = {"kind": KIND, "corrector": dataclasses.asdict(self.config), **about}
        return save_checkpoint(folder, {**tensors, **self.normaliser.tensors()}, config)

    @classmethod
    def open(cls, folder: Path, device: str = "cpu") -> Corrector:
        """From a checkpoint folder. Raises ValueError where it is damaged, or of another kind or version."""
        tensors, config = open_checkpoint(folder)
        if config.get("kind") != KIND:
            raise ValueError(
                f"{folder}: got a checkpoint of kind {config.get('kind')!r}, expected {KIND}; "
                "give a folder made by `handstream train corrector` of this version"
            )
        try:
            sizes: Mapping[str, Any] = config["corrector"]
            model = cls(CorrectorConfig(**sizes), Normaliser.of(tensors))
            model.load_state_dict({n[6:]: t.float() for n, t in tensors.items() if n.startswith("model.")})
        except (KeyError, TypeError, RuntimeError) as error:
            told = json.dumps(config.get("corrector"))
            raise ValueError(f"{folder}: weights and configuration {told} do not fit ({error})") from error
        return model.to(device).eval()
