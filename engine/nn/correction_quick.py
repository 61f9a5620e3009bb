"""A step of correction written out in numpy: for one stream on a CPU, a third of the time of the same in
torch.

Enters: a `Corrector`'s weights and a `CorrectorState`'s rings, as views of the same memory. Leaves: the same
numbers to rounding (tests hold the two together). Does not know batches, training or devices.

At one frame a step nearly all of the time goes into calling, not computing, and numpy's calls are cheaper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from engine.features import MODALITIES, SLICES
from engine.nn.correction import FAR, HASTE, LITTLE, STREAMS
from engine.nn.correction_arms import TURNED
from engine.signals import FloatArray

if TYPE_CHECKING:
    from engine.nn.correction_network import CorrectorNetwork
    from engine.nn.correction_stream import CorrectorState


def _view(tensor: Tensor) -> FloatArray:
    return np.asarray(tensor.detach().numpy())


class QuickCorrection:
    """See the module. `advance` is `correction_stream.advance` for one row."""

    def __init__(self, corrector: CorrectorNetwork, state: CorrectorState) -> None:
        c = corrector.config
        self.capacity, self.geometry, self.heads = c.capacity, c.geometry, c.heads
        self.mean = corrector.normaliser.mean
        inverse = corrector.normaliser.spread.copy()
        np.divide(1, inverse, out=inverse, where=inverse > 0)
        self.inverse, self.spread, self.scale = inverse, _view(corrector.spread), _view(corrector.scale)
        self.still = self.spread > 0
        self.embed = [self._linear(layer) for layer in corrector.embed]
        self.change = [self._linear(layer) for layer in corrector.change]
        if c.geometry:
            self.see, self.much = _view(corrector.see.weight), _view(corrector.much)
            self.gates = [self._linear(layer) for layer in corrector.gates]
        self.norm = self._norm_weight(corrector.norm.weight)
        self.layers: list[dict[str, Any]] = []
        for number, layer in enumerate(corrector.layers):
            weights = {name: _view(getattr(layer, name).weight) for name in ("out", "grow", "shrink")}
            kept = ("streams", "queries", "keys", "values")
            rings = {name: _view(getattr(state, name)[number]) for name in kept}
            self.layers.append(
                weights
                | rings
                | {
                    "ahead": layer.ahead,
                    "prepare": _view(layer.query_key_value.weight),  # type: ignore[union-attr, arg-type]
                    "norm_attention": self._norm_weight(layer.norm_attention.weight),  # type: ignore[union-attr, arg-type]
                    "norm_feed": self._norm_weight(layer.norm_feed.weight),  # type: ignore[union-attr, arg-type]
                    "table": _view(state.tables[number]),
                }
            )
        self.vectors, self.apart = _view(state.vectors), _view(state.apart)
        self.age = (np.arange(c.capacity)[:, None] - np.arange(c.capacity)) % c.capacity  # [phase, slot]

    @staticmethod
    def _linear(layer: Any) -> tuple[FloatArray, FloatArray]:
        return _view(layer.weight), _view(layer.bias)

    @staticmethod
    def _norm_weight(weight: Tensor) -> FloatArray:
        return np.asarray(_view(weight)[:, None] * np.float32(weight.shape[-1] ** 0.5))

    @staticmethod
    def _normed(x: FloatArray, weight: FloatArray) -> FloatArray:
        """Root-mean-square norm of [3, 1, D]."""
        length = np.sqrt(np.einsum("sid,sid->si", x, x)) + np.float32(1e-6)
        scaled: FloatArray = x * (weight / length[..., None])
        return scaled

    def enter(self, vector: FloatArray, apart: FloatArray | None) -> FloatArray:
        """A frame [694] and its disagreements [440] -> states [3, 1, D]."""
        normal = (vector - self.mean) * self.inverse
        states = np.stack(
            [w @ normal[SLICES[name]] + b for (w, b), name in zip(self.embed, MODALITIES, strict=True)]
        )[:, None]
        if apart is not None:
            seen = apart * self.scale
            size = np.sqrt(seen @ seen / np.float32(len(seen)))
            states = states + (seen / (size + np.float32(LITTLE)))[None, None] @ self.see
            states += np.log1p(size / np.float32(LITTLE)) * self.much[:, None]
        return np.asarray(states)

    def advance(self, row: int, clock: int, last: int, x: FloatArray | None) -> FloatArray | None:
        """Move every layer on to where frame `clock` has come: the corrected frame [694], if there is one."""
        for layer in self.layers:
            slot = clock % self.capacity
            if x is not None:
                made = (self._normed(x, layer["norm_attention"]) @ layer["prepare"]).reshape(
                    STREAMS, 3, self.heads, -1
                )  # stream, (query, key, value), head, Dh
                layer["streams"][:, row, slot] = x[:, 0]
                made = made.transpose(1, 2, 0, 3)
                for name, new in zip(("queries", "keys", "values"), made, strict=True):
                    layer[name][row, :, :, slot] = new
            newest = min(clock, last)
            clock -= layer["ahead"]
            if clock > last:
                x = None
                continue
            slot, phase = clock % self.capacity, newest % self.capacity
            query = layer["queries"][row, :, :, slot]  # [H, 3, Dh]
            keys, values = (layer[name][row] for name in ("keys", "values"))  # [H, 3, C, Dh]
            heads, _, _, width = keys.shape
            scores = query @ keys.reshape(heads, -1, width).swapaxes(1, 2)
            scores = scores * np.float32(width**-0.5) + layer["table"][newest - clock, phase]
            if newest < self.capacity:
                scores += np.tile(self.age[phase] > newest, STREAMS) * np.float32(FAR)
            scores -= scores.max(-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(-1, keepdims=True)
            seen = (scores @ values.reshape(heads, -1, width)).swapaxes(0, 1).reshape(STREAMS, 1, -1)
            x = layer["streams"][:, row, slot][:, None] + seen @ layer["out"]
            inner = np.maximum(self._normed(x, layer["norm_feed"]) @ layer["grow"], 0)
            x = x + inner @ layer["shrink"]
        return None if x is None else self._leave(x, row, clock % self.capacity)

    def _leave(self, x: FloatArray, row: int, slot: int) -> FloatArray:
        states = self._normed(x, self.norm)[:, 0]
        change = np.concatenate([w @ s + b for (w, b), s in zip(self.change, states, strict=True)])
        change *= self.spread
        vector = self.vectors[row, slot]
        if not self.geometry:
            return np.asarray(vector + change)
        apart = self.apart[row, slot]
        scaled = apart * self.scale
        size = np.sqrt(scaled @ scaled / np.float32(len(scaled)))
        change *= np.tanh(size)
        pose, hands, body = (
            1 / (1 + np.exp(np.float32(-HASTE) * (w @ s + b)))
            for (w, b), s in zip(self.gates, states, strict=True)
        )
        flat, told = apart[:120].reshape(60, 2), apart[120:312].reshape(32, 6)
        points, shown = flat[18:].reshape(2, 21, 2), apart[312:392].reshape(2, 20, 2)
        steps, gates = apart[392:].reshape(4, 2, 6), pose[18:].reshape(2, 21, 1)
        place = points[:, :1] * gates[:, :1]
        moved = np.zeros_like(change)
        moved[:36] = (flat[:18] * pose[:18, None]).reshape(-1)
        drawn = moved[36:120].reshape(2, 21, 2)
        drawn[:] = place
        drawn[:, 1:] += (points[:, 1:] - points[:, :1] + shown) / 2 * gates[:, 1:]
        moved[120:312] = (told * hands[:, None]).reshape(-1)
        arms = moved[TURNED].reshape(3, 2, 6)
        arms[:] = steps[:3] * body[:2, None]
        arms[2] += steps[3] * body[2:4, None]
        fingers = told.reshape(2, 16, 6)[:, 1:].reshape(30, 6)
        moved[462:642] = -(fingers * body[4:, None]).reshape(-1)
        return np.asarray(vector + change + moved * self.still)
