"""The step of the joint generator by hand, for one signer on a CPU: numpy instead of torch.

Enters: a `Cogenerator` and a state of one row. Leaves: the next frame, and the same state moved on, exactly
as `Cogenerator.step` would (to rounding). Does not know anything else.

A step of so small a network is mostly the cost of calling operations, and a call costs numpy a fraction of
what it costs torch. The state is torch's own memory, seen through numpy: both kinds of step may take turns.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from engine.nn.cogeneration import STREAMS, CogenerationState, Cogenerator
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
    """[M, 1, D] with mean 0 and variance 1."""
    x = x - x.mean(-1, keepdims=True)
    spread = np.einsum("mtd,mtd->mt", x, x)[..., None] / np.float32(x.shape[-1])
    return np.asarray(x / np.sqrt(spread + _EPSILON), dtype=np.float32)


def _softmax(x: Array) -> Array:
    x = np.exp(x - x.max(-1, keepdims=True))
    x /= x.sum(-1, keepdims=True)
    return x


class QuickStep:
    """See the module. Made once per state: it looks at the state's memory. Raises ValueError for more rows
    than one, or tensors that are not float32 on the CPU."""

    def __init__(self, network: Cogenerator, state: CogenerationState) -> None:
        tensors = (state.history, state.ring.keys, network.distance)
        if state.history.shape[1] != 1 or any(t.is_cuda or t.dtype != torch.float32 for t in tensors):
            raise ValueError(
                f"QuickStep: got {state.history.shape[1]} rows, {state.history.dtype} on "
                f"{state.history.device}; expected one row, float32 on the cpu; use Cogenerator.step"
            )
        self._state = state
        self._blocks = [_Block(block) for block in network.blocks]  # type: ignore[arg-type]
        self._enter, self._entered = _weights(network.enter)
        self._leave, self._left = _weights(network.leave)
        self._places = np.cumsum(network.parts)[:-1].tolist()
        self._history = state.history.numpy()[:, 0]  # [M, rewind + 2, C]
        self._keys = state.ring.keys.numpy()[:, :, 0]  # [layers, M, H, slots, Dh]
        self._values = state.ring.values.numpy()[:, :, 0]
        self._biases = state.biases.numpy()  # [layers, phases, M, H, slots]
        self._told = state.memory_bias.numpy()[:, :, 0]  # [layers, M, H, 1, N]
        focus = state.focus
        self._about = focus.bias.numpy()  # [M, 1, D]
        self._memory = focus.keys.numpy()[:, :, 0], focus.values.numpy()[:, :, 0]  # [layers, M, H, N, Dh]
        self._anchors = focus.anchors.numpy()[:, 0]  # [M, 3 A, C]
        widest = self._history.shape[-1]
        self._given = np.zeros((STREAMS, 1, self._enter.shape[1]), np.float32)
        self._widest = widest

    def step(self, progress: Array) -> Array:
        """The next frame [M, 1, C]; progress [16]."""
        ring, widest = self._state.ring, self._widest
        position = ring.common
        assert position is not None
        held = self._history.shape[1]
        last, before = self._history[:, (position - 1) % held], self._history[:, (position - 2) % held]
        given = self._given
        given[:, 0, :widest] = last
        np.subtract(last, before, out=given[:, 0, widest : 2 * widest])
        given[:, 0, 2 * widest :] = progress
        x = np.matmul(given, self._enter) + self._entered + self._about
        slot, phase = ring.slot_of(position), ring.phase_of(position)
        for number, block in enumerate(self._blocks):
            x = self._pass(number, block, x, slot, phase)
        out = np.matmul(_normed(x), self._leave) + self._left
        beside, change, weights, gates = np.split(out[:, 0], self._places, axis=-1)
        where = np.matmul(_softmax(weights)[:, None], self._anchors)[:, 0] + beside
        gate, pace = np.split(1 / (1 + np.exp(-gates)), 2, axis=-1)
        onward = last + pace * (last - before) + change
        frame = onward + gate * (where - onward)
        self._history[:, position % held] = frame
        ring.advance()
        return np.asarray(frame[:, None], dtype=np.float32)

    def _pass(self, number: int, block: _Block, x: Array, slot: int, phase: int) -> Array:
        width, heads = block.width, block.heads
        grown = np.matmul(_normed(x), block.grow)
        grown += block.grown
        split = grown[:, 0, : 4 * width].reshape(STREAMS, 4, heads, -1)  # query, key, value, memory query
        keys, values = self._keys[number], self._values[number]
        keys[:, :, slot], values[:, :, slot] = split[:, 1], split[:, 2]
        seen = self._glance(split[:, 0], keys, values, self._biases[number, phase][:, :, None])
        told = self._glance(split[:, 3], self._memory[0][number], self._memory[1][number], self._told[number])
        feed = np.maximum(grown[:, 0, 4 * width :], 0)
        joined = np.concatenate([seen, told, feed], -1)[:, None]
        return np.asarray(x + np.matmul(joined, block.shrink) + block.shrunk, dtype=np.float32)

    @staticmethod
    def _glance(query: Array, keys: Array, values: Array, bias: Array) -> Array:
        """query [M, H, Dh], keys and values [M, H, Tk, Dh], bias [M, H, 1, Tk] -> [M, D]."""
        scores = np.matmul(query[:, :, None], np.swapaxes(keys, -1, -2)) + bias
        return np.asarray(np.matmul(_softmax(scores), values).reshape(STREAMS, -1), dtype=np.float32)


def quick_progress(progress: float, elapsed: float, left: float, log_rate: float) -> Array:
    """`progress_features` of one frame, [16]."""
    waves = [f(progress * math.pi * k) for k in (1, 2, 4) for f in (math.sin, math.cos)]
    near = [min(elapsed / 12, 1), min(left / 12, 1), math.exp(-elapsed / 2), math.exp(-left / 2)]
    near += [math.exp(-elapsed / 6), math.exp(-left / 6)]
    return np.array(
        [progress, progress**2, *waves, *near, math.log(elapsed + left) - 2, log_rate], np.float32
    )
