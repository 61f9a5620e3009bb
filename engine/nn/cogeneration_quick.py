"""The step of the joint generator by hand, for a few signers on a CPU: numpy instead of torch.

Enters: a `Cogenerator`, a state, and which of its rows to step. Leaves: their next frames, and the same state
moved on, exactly as `Cogenerator.step` would (to rounding). Does not know anything else.

A step of so small a network is mostly the cost of calling operations, and a call costs numpy a fraction of
what it costs torch; eight rows in one call cost little more than two. The state is torch's own memory, seen
through numpy: both kinds of step may take turns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from engine.nn.cogeneration import STREAMS, CogenerationState, Cogenerator
from engine.nn.rows import meeting, places, product
from engine.nn.threefold import ParallelBlock, Stacked

Array = npt.NDArray[np.float32]
_EPSILON = np.float32(1e-5)


class _Block:
    """The weights of a block; the query's scale is taken into them."""

    def __init__(self, block: ParallelBlock) -> None:
        self.heads = block.heads
        weight, bias = _weights(block.grow)
        width = block.parts[0]
        scale = np.float32((width // block.heads) ** -0.5)
        weight, bias = weight.copy(), bias.copy()
        for first in (0, 3 * width):  # both queries
            weight[:, :, first : first + width] *= scale
            bias[:, :, first : first + width] *= scale
        self.grow, self.grown = weight, bias
        self.shrink, self.shrunk = _weights(block.shrink)
        self.width = width


def _weights(layer: Stacked) -> tuple[Array, Array]:
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def _normed(x: Array) -> Array:
    """[M, R, D] with mean 0 and variance 1."""
    x = x - x.mean(-1, keepdims=True)
    spread = np.einsum("mtd,mtd->mt", x, x)[..., None] / np.float32(x.shape[-1])
    return np.asarray(x / np.sqrt(spread + _EPSILON), dtype=np.float32)


def _softmax(x: Array) -> Array:
    x = np.exp(x - x.max(-1, keepdims=True))
    x /= x.sum(-1, keepdims=True)
    return x


class QuickStep:
    """See the module. Made once per state: it looks at the state's memory. Raises ValueError for tensors that
    are not float32 on the CPU."""

    def __init__(self, network: Cogenerator, state: CogenerationState) -> None:
        tensors = (state.history, state.ring.keys, network.distance)
        if any(t.is_cuda or t.dtype != torch.float32 for t in tensors):
            raise ValueError(
                f"QuickStep: got {state.history.dtype} on {state.history.device}; expected float32 on the "
                "cpu; use Cogenerator.step"
            )
        self._state = state
        self._blocks = [_Block(block) for block in network.blocks]  # type: ignore[arg-type]
        self._enter, self._entered = _weights(network.enter)
        self._leave, self._left = _weights(network.leave)
        self._places = np.cumsum(network.parts)[:-1].tolist()
        self._history = state.history.numpy()  # [M, B, rewind + 2, C]
        self._keys = state.ring.keys.numpy()  # [layers, M, B, H, slots, Dh]
        self._values = state.ring.values.numpy()
        self._biases = state.biases.numpy()  # [layers, phases, M, H, slots]
        self._told = state.memory_bias.numpy()  # [layers, M, 1, H, 1, N]
        focus = state.focus
        self._about = focus.bias.numpy()  # [M, B, D]
        self._memory = focus.keys.numpy(), focus.values.numpy()  # [layers, M, B, H, N, Dh]
        self._anchors = focus.anchors.numpy()  # [M, B, 3 A, C]

    def step(self, progress: Array, rows: Sequence[int] | None = None) -> Array:
        """The next frame [M, R, C] of these rows (rising; None: all); progress [R, 16]. Other rows are left
        as they are."""
        ring = self._state.ring
        rows = list(range(len(ring.steps)) if rows is None else rows)
        of = places(rows)
        positions = [ring.steps[row] for row in rows]
        held = self._history.shape[2]
        latest = [meeting(rows, [(position - back) % held for position in positions]) for back in (1, 2, 0)]
        last, before = (self._history[:, row, slot] for row, slot in latest[:2])
        at = meeting(rows, [ring.slot_of(position) for position in positions])
        phases = places([ring.phase_of(position) for position in positions])
        told = np.broadcast_to(progress, (STREAMS, *progress.shape))
        given = np.concatenate([last, last - before, told], -1)
        x = product(given, self._enter) + self._entered + self._about[:, of]
        for number, block in enumerate(self._blocks):
            x = self._pass(number, block, x, of, at, phases)
        out = product(_normed(x), self._leave) + self._left
        beside, change, weights, gates = np.split(out, self._places, axis=-1)
        where = np.matmul(_softmax(weights)[:, :, None], self._anchors[:, of])[:, :, 0] + beside
        gate, pace = np.split(1 / (1 + np.exp(-gates)), 2, axis=-1)
        onward = last + pace * (last - before) + change
        frame = onward + gate * (where - onward)
        self._history[:, latest[2][0], latest[2][1]] = frame
        ring.advance_rows(rows)
        return np.asarray(frame, dtype=np.float32)

    def _pass(
        self,
        number: int,
        block: _Block,
        x: Array,
        of: slice | list[int],
        at: tuple[slice, int] | tuple[list[int], list[int]],
        phases: slice | list[int],
    ) -> Array:
        width, heads = block.width, block.heads
        grown = product(_normed(x), block.grow)
        grown += block.grown
        split = grown[:, :, : 4 * width].reshape(STREAMS, -1, 4, heads, width // heads)
        query, key, value, ask = (split[:, :, part] for part in range(4))  # each [M, R, H, Dh]
        keys, values = self._keys[number], self._values[number]
        for held, new in ((keys, key), (values, value)):
            row, slot = at
            held[:, row, :, slot] = new if isinstance(row, slice) else new.swapaxes(0, 1)
        near = self._biases[number, phases].swapaxes(0, 1)[:, :, :, None]  # [M, R or 1, H, 1, slots]
        seen = self._glance(query, keys[:, of], values[:, of], near)
        memory, worth = (part[number][:, of] for part in self._memory)
        told = self._glance(ask, memory, worth, self._told[number])
        feed = np.maximum(grown[:, :, 4 * width :], 0)
        joined = np.concatenate([seen, told, feed], -1)
        return np.asarray(x + product(joined, block.shrink) + block.shrunk, dtype=np.float32)

    @staticmethod
    def _glance(query: Array, keys: Array, values: Array, bias: Array) -> Array:
        """query [M, R, H, Dh], keys and values [M, R, H, Tk, Dh], bias [M, R, H, 1, Tk] -> [M, R, D]."""
        scores = np.matmul(query[:, :, :, None], np.swapaxes(keys, -1, -2)) + bias
        seen = np.matmul(_softmax(scores), values)
        return np.asarray(seen.reshape(*query.shape[:2], -1), dtype=np.float32)


def quick_progress(progress: float, elapsed: float, left: float, log_rate: float) -> Array:
    """`progress_features` of one frame, [16]."""
    waves = [f(progress * math.pi * k) for k in (1, 2, 4) for f in (math.sin, math.cos)]
    near = [min(elapsed / 12, 1), min(left / 12, 1), math.exp(-elapsed / 2), math.exp(-left / 2)]
    near += [math.exp(-elapsed / 6), math.exp(-left / 6)]
    return np.array(
        [progress, progress**2, *waves, *near, math.log(elapsed + left) - 2, log_rate], np.float32
    )
