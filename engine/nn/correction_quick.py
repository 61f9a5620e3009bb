"""A step of correction written out in numpy: for a few streams on a CPU, a third of the time of the same in
torch.

Enters: a `Corrector`'s weights and a `CorrectorState`'s rings, as views of the same memory. Leaves: the same
numbers to rounding (tests hold the two together). Does not know training or devices.

At one frame a step nearly all of the time goes into calling, not computing, and numpy's calls are cheaper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from engine.features import MODALITIES, SLICES
from engine.nn.correction import FAR, HASTE, LITTLE, STREAMS
from engine.nn.correction_arms import TURNED
from engine.nn.rows import meeting, places, product
from engine.signals import FloatArray

if TYPE_CHECKING:
    from engine.nn.correction_network import CorrectorNetwork
    from engine.nn.correction_stream import CorrectorState


def _view(tensor: Tensor) -> FloatArray:
    return np.asarray(tensor.detach().numpy())


class QuickCorrection:
    """See the module. `push` is what `Corrector.push` does, in torch."""

    def __init__(self, corrector: CorrectorNetwork, state: CorrectorState) -> None:
        c = corrector.config
        self.capacity, self.geometry, self.heads = c.capacity, c.geometry, c.heads
        self.mean = corrector.normaliser.mean
        inverse = corrector.normaliser.spread.copy()
        np.divide(1, inverse, out=inverse, where=inverse > 0)
        self.inverse, self.spread, self.scale = inverse, _view(corrector.spread), _view(corrector.scale)
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
        return np.ascontiguousarray(_view(layer.weight).T), _view(layer.bias)

    @staticmethod
    def _norm_weight(weight: Tensor) -> FloatArray:
        return np.asarray(_view(weight)[:, None] * np.float32(weight.shape[-1] ** 0.5))

    @staticmethod
    def _normed(x: FloatArray, weight: FloatArray) -> FloatArray:
        """Root-mean-square norm of [3, R, D]."""
        length = np.sqrt(np.einsum("srd,srd->sr", x, x)) + np.float32(1e-6)
        scaled: FloatArray = x * (weight / length[..., None])
        return scaled

    def _enter(self, vectors: FloatArray, apart: FloatArray | None) -> FloatArray:
        """Frames [R, 694] and their disagreements [R, 440] -> states [3, R, D]."""
        normal = (vectors - self.mean) * self.inverse
        states = np.stack(
            [
                product(normal[:, SLICES[name]], w) + b
                for (w, b), name in zip(self.embed, MODALITIES, strict=True)
            ]
        )
        if apart is not None:
            seen = apart * self.scale
            size = _size(seen)
            states = states + product((seen / (size + np.float32(LITTLE)))[None], self.see)
            states += np.log1p(size / np.float32(LITTLE)) * self.much[:, None]
        return np.asarray(states)

    def push(
        self, rows: list[int], frames: list[int], vectors: FloatArray, apart: FloatArray | None
    ) -> FloatArray:
        """Put these rows' newest frames [R, 694] in, with their disagreements [R, 440], and move every layer
        on: the corrected frames [R, 694]. rows: rising; a frame before a stream's first comes out as
        something of no meaning."""
        row, slot = meeting(rows, [frame % self.capacity for frame in frames])
        self.vectors[row, slot] = vectors
        if apart is not None:
            self.apart[row, slot] = apart
        return self._advance(rows, frames, self._enter(vectors, apart))

    def _advance(self, rows: list[int], frames: list[int], x: FloatArray) -> FloatArray:
        of, capacity = places(rows), self.capacity
        for layer in self.layers:
            made = product(self._normed(x, layer["norm_attention"]), layer["prepare"])
            made = made.reshape(STREAMS, len(rows), 3, self.heads, -1)  # stream, row, which, head, Dh
            made = made.transpose(2, 1, 3, 0, 4)
            newest, frames = frames, [frame - layer["ahead"] for frame in frames]
            row, slot = meeting(rows, [frame % capacity for frame in newest])
            layer["streams"][:, row, slot] = x
            for name, new in zip(("queries", "keys", "values"), made, strict=True):
                layer[name][row, :, :, slot] = new
            phases = places([frame % capacity for frame in newest])
            row, slot = meeting(rows, [frame % capacity for frame in frames])
            query = layer["queries"][row, :, :, slot]  # [R, H, 3, Dh]
            keys, values = (layer[name][of] for name in ("keys", "values"))  # [R, H, 3, C, Dh]
            flat = (*keys.shape[:2], -1, keys.shape[-1])
            scores = query @ keys.reshape(flat).swapaxes(-1, -2)
            scores = scores * np.float32(flat[-1] ** -0.5) + layer["table"][layer["ahead"], phases]
            for at, frame in enumerate(newest):
                if frame < capacity:
                    unborn = self.age[frame % capacity] > frame
                    scores[at] += np.tile(unborn, STREAMS) * np.float32(FAR)
            scores -= scores.max(-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(-1, keepdims=True)
            seen = (scores @ values.reshape(flat)).transpose(2, 0, 1, 3).reshape(STREAMS, len(rows), -1)
            x = layer["streams"][:, row, slot] + product(seen, layer["out"])
            inner = np.maximum(product(self._normed(x, layer["norm_feed"]), layer["grow"]), 0)
            x = x + product(inner, layer["shrink"])
        return self._leave(x, *meeting(rows, [frame % capacity for frame in frames]))

    def _leave(self, x: FloatArray, row: slice | list[int], slot: int | list[int]) -> FloatArray:
        states = self._normed(x, self.norm)
        change = np.concatenate(
            [product(s, w) + b for (w, b), s in zip(self.change, states, strict=True)], -1
        )
        change *= self.spread
        vectors = self.vectors[row, slot]
        if not self.geometry:
            return np.asarray(vectors + change)
        apart = self.apart[row, slot]
        change *= np.tanh(_size(apart * self.scale))
        pose, hands, body = (
            1 / (1 + np.exp(np.float32(-HASTE) * (product(s, w) + b)))
            for (w, b), s in zip(self.gates, states, strict=True)
        )
        flat, told = apart[:, :120].reshape(-1, 60, 2), apart[:, 120:312].reshape(-1, 32, 6)
        points, shown = flat[:, 18:].reshape(-1, 2, 21, 2), apart[:, 312:392].reshape(-1, 2, 20, 2)
        steps, gates = apart[:, 392:].reshape(-1, 4, 2, 6), pose[:, 18:].reshape(-1, 2, 21, 1)
        place = points[:, :, :1] * gates[:, :, :1]
        moved = np.zeros_like(change)
        moved[:, :36] = (flat[:, :18] * pose[:, :18, None]).reshape(-1, 36)
        drawn = moved[:, 36:120].reshape(-1, 2, 21, 2)  # a view
        drawn[:] = place
        drawn[:, :, 1:] += (points[:, :, 1:] - points[:, :, :1] + shown) / 2 * gates[:, :, 1:]
        moved[:, 120:312] = (told * hands[..., None]).reshape(-1, 192)
        arms = moved[:, TURNED].reshape(-1, 3, 2, 6)
        arms[:] = steps[:, :3] * body[:, None, :2, None]
        arms[:, 2] += steps[:, 3] * body[:, 2:4, None]
        fingers = told.reshape(-1, 2, 16, 6)[:, :, 1:].reshape(-1, 30, 6)
        moved[:, 462:642] = -(fingers * body[:, 4:, None]).reshape(-1, 180)
        return np.asarray(vectors + change + moved)


def _size(scaled: FloatArray) -> FloatArray:
    """Root mean square of [R, 440] -> [R, 1]."""
    squares = np.einsum("rd,rd->r", scaled, scaled)[:, None] / np.float32(scaled.shape[-1])
    return np.asarray(np.sqrt(squares))
