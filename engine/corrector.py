"""Online collaborative correction: motion whose modalities disagree goes in, motion that agrees comes out.

Enters: vectors of `engine.features`, one frame at a time or whole clips. Leaves: the same, corrected.
Does not know who generates motion, nor glosses.

    corrector = Corrector.open(folder)
    state = corrector.open_state(rows=1)
    out, ready = corrector.push(vectors, state)     # [1, 694], [1]: the frame `look_ahead_frames` ago
    out, ready = corrector.drain(state)             # at the end of a stream: what is still inside
    corrector(clip)                                 # offline, [B, T, 694]: the same numbers

The network is `engine.nn.correction_network`, its rings `engine.nn.correction_stream`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.checkpoint import open_checkpoint, save_checkpoint
from engine.features import WIDTH, Normaliser
from engine.nn.correction_geometry import QuickGeometry
from engine.nn.correction_network import CorrectorConfig, CorrectorNetwork
from engine.nn.correction_stream import CorrectorState, advance, open_state, put

__all__ = ["Corrector", "CorrectorConfig", "CorrectorState"]

KIND = "handstream-corrector-3"


class Corrector(CorrectorNetwork):
    """The network, streaming: several rows that go their own ways."""

    _quick: QuickGeometry | None = None

    @torch.inference_mode()
    def open_state(self, rows: int = 1, *, quick: bool | None = None) -> CorrectorState:
        """A state for `rows` streams. quick: step in numpy (None: on a CPU, up to eight rows)."""
        return open_state(self, rows, quick=quick)

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
        if not len(rows):
            return torch.zeros_like(vectors), np.zeros(state.rows, np.bool_)
        own = vectors if mask is None else vectors[torch.from_numpy(rows)]
        if not bool(torch.isfinite(own).all()):
            raise ValueError(
                "corrector: got a frame with NaN or infinity; the generator has diverged: reset it"
            )
        apart = self._apart(own) if self.config.geometry else None
        at = state.count[rows]
        if state.quick is None:
            put(state.vectors, 0, rows, at, own)
            if apart is not None:
                put(state.apart, 0, rows, at, apart)
            out = advance(self, state, rows, at, at, self.enter(own, apart))
        else:
            told = None if apart is None else apart.numpy()
            out = torch.from_numpy(state.quick.push(rows.tolist(), at.tolist(), own.numpy(), told))
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
                corrected = advance(self, state, one, ends + k, ends, None)
            out[int(row)], done[row] = corrected[0], True
        return out, done

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
