"""The corrector's streaming state, and one step of it in torch.

Enters: a frame for some rows, the rings of those before. Leaves: each such row's newest frame whose
successors have come, corrected. Does not know files, nor who may push when (`engine.corrector`).

Each frame passes every layer once: layer l works on the newest frame whose `ahead[l]` successors have come,
with keys and values of a window of frames in a ring. So a frame that was given out never changes, and a step
costs the same for ever.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from engine.features import WIDTH
from engine.nn.correction import FAR, STREAMS, CorrectionLayer
from engine.nn.correction_geometry import DISAGREEMENTS, folded
from engine.nn.correction_network import CorrectorNetwork
from engine.nn.correction_quick import QuickCorrection

FEW = 8
"""So many rows are stepped in numpy unless told otherwise: beyond, arithmetic outweighs calls."""


@dataclass
class CorrectorState:
    """Streaming state of B rows, preallocated, updated in place. C: frames in a ring.

    count, drained [B]: frames pushed, and frames given out since the end. vectors [B, C, 694], apart [B, C,
    440]: the input, and its disagreements. streams: for each layer its input [3, B, C, D]; queries, keys,
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


def open_state(network: CorrectorNetwork, rows: int = 1, *, quick: bool | None = None) -> CorrectorState:
    """A state for `rows` streams. quick: step in numpy (None: on a CPU, up to `FEW` rows)."""
    c, device = network.config, network.spread.device
    if rows < 1:
        raise ValueError(f"corrector: got rows={rows}, expected at least 1")
    head = c.width // c.heads

    def rings() -> list[Tensor]:
        shape = (rows, c.heads, STREAMS, c.capacity, head)
        return [torch.zeros(shape, device=device) for _ in network.layers]

    state = CorrectorState(
        count=np.zeros(rows, np.int64),
        drained=np.zeros(rows, np.int64),
        vectors=torch.zeros((rows, c.capacity, WIDTH), device=device),
        apart=torch.zeros((rows, c.capacity, DISAGREEMENTS), device=device),
        streams=[torch.zeros((STREAMS, rows, c.capacity, c.width), device=device) for _ in network.layers],
        queries=rings(),
        keys=rings(),
        values=rings(),
        tables=[_table(layer, c.capacity) for layer in _layers(network)],
    )
    if quick is None:
        quick = device.type == "cpu" and rows <= FEW
    if quick:
        state.quick = QuickCorrection(network, state)
    return state


def _layers(network: CorrectorNetwork) -> list[CorrectionLayer]:
    return [layer for layer in network.layers if isinstance(layer, CorrectionLayer)]


def _table(layer: CorrectionLayer, c: int) -> Tensor:
    """Biases of a query `lag` frames before the newest, for every place of the newest in the ring."""
    biases = layer.biases()
    device = biases.device
    lag = torch.arange(layer.ahead + 1, device=device)[:, None, None]
    age = (torch.arange(c, device=device)[:, None] - torch.arange(c, device=device)) % c  # [phase, slot]
    index = lag - age + layer.past  # [lag, phase, slot]
    near = (index >= 0) & (index < biases.shape[-1])
    table = biases[..., index.clamp(0, biases.shape[-1] - 1)].masked_fill(~near, FAR)  # [H, 3, 3, l, p, s]
    return table.permute(3, 4, 0, 1, 2, 5).flatten(-2).contiguous()


def advance(
    network: CorrectorNetwork,
    state: CorrectorState,
    rows: npt.NDArray[np.int64],
    clock: npt.NDArray[np.int64],
    last: npt.NDArray[np.int64],
    x: Tensor | None,
) -> Tensor:
    """Move every layer on to where frame `clock` has come (the stream's `last` may lie before it)."""
    every = len(rows) == state.rows
    index = None if every else torch.from_numpy(rows)
    capacity = network.config.capacity
    for number, layer in enumerate(network.layers):
        assert isinstance(layer, CorrectionLayer)
        stream, query = state.streams[number], state.queries[number]
        keys, values = state.keys[number], state.values[number]
        if x is not None:
            parts = folded(layer.prepare(x), layer.heads, x.shape[-1] // layer.heads)  # [3, R, 3, H, Dh]
            made = parts.permute(2, 1, 3, 0, 4)  # [3 (query, key, value), R, H, 3, Dh]
            put(stream, 1, rows, clock, x)
            for ring, new in zip((query, keys, values), made, strict=True):
                put(ring, 0, rows, clock, new)
        newest = np.minimum(clock, last)
        clock = clock - layer.ahead
        x = None
        if (clock > last).all():
            continue  # at the end of a stream this layer is done
        phase = newest % capacity
        bias = _bias(state.tables[number], newest - clock, phase)
        young = newest < capacity
        if young.any():
            age = (phase[:, None] - np.arange(capacity)) % capacity  # [R, C]
            absent = torch.from_numpy(np.tile(age > newest[:, None], (1, STREAMS))).to(bias.device)
            bias = bias.masked_fill(absent[:, None, None], FAR)
        if index is not None:
            keys, values = keys[index], values[index]
        asked = get(query, 0, rows, clock)  # [R, H, 3, Dh]
        seen = functional.scaled_dot_product_attention(asked, keys.flatten(2, 3), values.flatten(2, 3), bias)
        x = layer.finish(get(stream, 1, rows, clock), seen.permute(2, 0, 1, 3).flatten(2))
    if x is None:
        return state.vectors[:0, 0]
    before = get(state.vectors, 0, rows, clock)
    apart = get(state.apart, 0, rows, clock) if network.config.geometry else None
    return network.leave(x, before, apart)


def _bias(table: Tensor, lag: npt.NDArray[np.int64], phase: npt.NDArray[np.int64]) -> Tensor:
    """[R, H, 3, 3 C], or [1, ...] where all rows are in step."""
    if (phase == phase[0]).all() and (lag == lag[0]).all():
        return table[int(lag[0]), int(phase[0])][None]
    return table[torch.from_numpy(lag), torch.from_numpy(phase)]


def put(
    ring: Tensor,
    dim: int,
    rows: npt.NDArray[np.int64],
    frames: npt.NDArray[np.int64],
    value: Tensor,
) -> None:
    """Write frames of rows into a ring whose rows are `dim` and whose frames are the last but one."""
    slots = frames % ring.shape[-2]
    if len(rows) == ring.shape[dim] and (slots == slots[0]).all():
        ring.select(-2, int(slots[0])).copy_(value)
        return
    for position, (row, slot) in enumerate(zip(rows.tolist(), slots.tolist(), strict=True)):
        ring.select(dim, row).select(-2, slot).copy_(value.select(dim, position))


def get(ring: Tensor, dim: int, rows: npt.NDArray[np.int64], frames: npt.NDArray[np.int64]) -> Tensor:
    slots = frames % ring.shape[-2]
    if len(rows) == ring.shape[dim] and (slots == slots[0]).all():
        return ring.select(-2, int(slots[0]))
    taken = [
        ring.select(dim, row).select(-2, slot)
        for row, slot in zip(rows.tolist(), slots.tolist(), strict=True)
    ]
    return torch.stack(taken, dim)
