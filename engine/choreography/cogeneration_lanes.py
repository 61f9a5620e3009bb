"""How runs of the co-generation model step: in which way, on which device, several of them in one go.

Enters: a network, a corrector, the name of a speed. Leaves: lanes: a row of a memory made ready before, and
the step that moves it on. Does not know glosses or frames of motion.

    auto, hand    by hand in numpy, on the CPU (`engine.nn.cogeneration_quick`), up to `ROWS` in a step
    eager         torch as it is
    compile       torch.compile; the first step waits for the compiler
    cuda-graph    captured once for a state, then replayed, on a GPU
    tensorrt      torch-tensorrt, on a GPU (extra `tensorrt`)

What cannot be had here is replaced by torch as it is, and the log says why, once. A lane is used by one run
after the other: neither weights are arranged nor graphs captured again for every sentence. A lane that nobody
holds any more is free again, so a signer that failed leaves none behind.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.choreography.cogeneration_model import Channels
from engine.nn.cogeneration import CogenerationState, Cogenerator, Focus, progress_features
from engine.nn.cogeneration_quick import QuickStep, quick_progress
from engine.nn.speed import SPEEDS, Step, open_step
from engine.signals import FloatArray

log = logging.getLogger(__name__)

Told = tuple[float, float, float, float]
"""Progress within the gloss 0..1, frames elapsed, frames left, log of the rate."""
Made = tuple[FloatArray, FloatArray | None]
"""A frame [694], and the corrected one of `look_ahead_frames` before, if there is one."""
BY_HAND: Final = ("auto", "hand")
CHOICES: Final = (*BY_HAND, *SPEEDS)
ON_GPU: Final = ("cuda-graph", "tensorrt")
ROWS: Final = 8
"""Lanes of one memory, stepped by hand. Eight take little more than twice as long as one."""
_KEPT = 16


class CorrectorConfigLike(Protocol):
    @property
    def look_ahead_frames(self) -> int: ...

    @property
    def rewind_frames(self) -> int: ...


class CorrectorLike(Protocol):
    """What is needed of `engine.corrector.Corrector`."""

    @property
    def config(self) -> CorrectorConfigLike: ...

    def open_state(self, rows: int = 1) -> Any: ...

    def push(
        self, vectors: Tensor, state: Any, mask: npt.NDArray[np.bool_] | None = None
    ) -> tuple[Tensor, npt.NDArray[np.bool_]]: ...

    def rewind(self, frames: int, state: Any, mask: npt.NDArray[np.bool_] | None = None) -> None: ...

    def reset(self, state: Any, mask: npt.NDArray[np.bool_] | None = None) -> None: ...


def device_for(speed: str) -> str:
    """Where the network has to be for that speed: `cuda` where it needs a GPU and there is one."""
    return "cuda" if speed in ON_GPU and torch.cuda.is_available() else "cpu"


@dataclass(eq=False)
class Bench:
    """A memory of B rows and what moves it: `move(told, rows)` is their next frames [M, R, C], normalised."""

    state: CogenerationState
    move: Callable[[Sequence[Told], list[int]], FloatArray]
    channels: Channels
    corrector: CorrectorLike | None
    free: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = self.state.history.shape[1]
        self.free = list(reversed(range(self.rows)))
        self.correction = None if self.corrector is None else self.corrector.open_state(self.rows)

    def mask(self, rows: list[int]) -> npt.NDArray[np.bool_]:
        return np.isin(np.arange(self.rows), rows)

    @torch.inference_mode()
    def step(self, told: Sequence[Told], rows: list[int]) -> list[Made]:
        """One step of these rows (rising), the others are left as they are. A frame that is not finite is
        not corrected: whose it is has to give up."""
        vectors = self.channels.widen(self.move(told, rows)).astype(np.float32, copy=False)
        if self.corrector is None:
            return [(vector, None) for vector in vectors]
        sound = [row for row, finite in zip(rows, np.isfinite(vectors).all(1), strict=True) if finite]
        pushed = torch.zeros(self.rows, vectors.shape[1])
        pushed[rows] = torch.from_numpy(vectors)
        corrected, ready = self.corrector.push(pushed, self.correction, self.mask(sound))
        seen = corrected.numpy()
        return [(v, seen[row] if ready[row] else None) for v, row in zip(vectors, rows, strict=True)]


class Lane:
    """A row of a bench, for whoever holds it."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.row = bench, bench.free.pop()
        self.give = weakref.finalize(self, bench.free.append, self.row)
        """It is not used any more."""

    def reset(self, frame: FloatArray) -> None:
        """Begin anew, standing still at a normalised frame [M, 1, C]."""
        mask, state = self.bench.mask([self.row]), self.bench.state
        state.reset(torch.from_numpy(frame).to(state.history.device), self._row(mask))
        if self.bench.corrector is not None:
            self.bench.corrector.reset(self.bench.correction, mask)

    def focus(self, focus: Focus) -> None:
        """What the present gloss gives to every frame of it (of one row)."""
        self.bench.state.focus.put([self.row], focus)

    def step(self, told: Told) -> Made:
        """The next frame."""
        return self.bench.step([told], [self.row])[0]

    @torch.inference_mode()
    def rewind(self, frames: int) -> None:
        """As if the last `frames` steps had never been. The focus is the caller's to put back."""
        mask = self.bench.mask([self.row])
        self.bench.state.rewind(frames, self._row(mask))
        if self.bench.corrector is not None:
            self.bench.corrector.rewind(frames, self.bench.correction, mask)

    def _row(self, mask: npt.NDArray[np.bool_]) -> Tensor | None:
        """Which rows, for torch: None where it has but one."""
        device = self.bench.state.history.device
        return None if len(mask) == 1 else torch.from_numpy(mask).to(device)


class Lanes:
    """Lanes of one network that may go back `rewind` frames. Owned by the thread that steps."""

    def __init__(
        self,
        network: Cogenerator,
        channels: Channels,
        corrector: CorrectorLike | None,
        rewind: int,
        speed: str,
    ) -> None:
        if speed not in CHOICES:
            raise ValueError(f"speed of co-generation: got {speed!r}, expected one of {', '.join(CHOICES)}")
        self.network, self.rewind, self.speed = network, rewind, speed
        self._channels, self._corrector = channels, corrector
        self._benches: list[Bench] = []

    def take(self) -> Lane:
        """One that nobody else uses; whatever it was told before, begin it anew with `reset`."""
        bench = next((bench for bench in self._benches if bench.free), None)
        if bench is None:
            bench = self._open()
            self._benches = [*self._benches[-_KEPT:], bench]
        return Lane(bench)

    def _open(self) -> Bench:
        if self.speed in BY_HAND:
            state = self.network.open(ROWS, rewind=self.rewind)
            try:
                quick = QuickStep(self.network, state)
            except ValueError as error:
                log.info("co-generation steps in torch: %s", error)
                self.speed = "eager"
            else:
                return self._bench(state, lambda told, rows: quick.step(_progress(told), rows))
        state = self.network.open(1, rewind=self.rewind)
        step, used = open_step(self.network, state, self.speed)
        self.speed = used  # what failed once is not tried again for every sentence
        return self._bench(state, self._in_torch(step))

    def _bench(
        self, state: CogenerationState, move: Callable[[Sequence[Told], list[int]], FloatArray]
    ) -> Bench:
        return Bench(state, move, self._channels, self._corrector)

    def _in_torch(self, step: Step) -> Callable[[Sequence[Told], list[int]], FloatArray]:
        device = self.network.distance.device

        def stepped(told: Sequence[Told], rows: list[int]) -> FloatArray:
            return step(progress_features(*torch.tensor(told).unbind(-1)).to(device)).cpu().numpy()

        return stepped


def _progress(told: Sequence[Told]) -> FloatArray:
    return np.stack([quick_progress(*one) for one in told])
