"""How a run of the co-generation model steps: in which way, on which device, with a state made ready before.

Enters: a network, the name of a speed. Leaves: lanes: a state of one row, and the step that moves it. Does
not know glosses or frames of motion.

    auto, hand    by hand in numpy, on the CPU (`engine.nn.cogeneration_quick`)
    eager         torch as it is
    compile       torch.compile; the first step waits for the compiler
    cuda-graph    captured once for a state, then replayed, on a GPU
    tensorrt      torch-tensorrt, on a GPU (extra `tensorrt`)

What cannot be had here is replaced by torch as it is, and the log says why, once. A lane is used by one run
after the other: neither weights are arranged nor graphs captured again for every sentence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch

from engine.nn.cogeneration import CogenerationState, Cogenerator, progress_features
from engine.nn.cogeneration_quick import QuickStep, quick_progress
from engine.nn.speed import SPEEDS, Step, open_step
from engine.signals import FloatArray

log = logging.getLogger(__name__)

Told = tuple[float, float, float, float]
"""Progress within the gloss 0..1, frames elapsed, frames left, log of the rate."""
BY_HAND: Final = ("auto", "hand")
CHOICES: Final = (*BY_HAND, *SPEEDS)
ON_GPU: Final = ("cuda-graph", "tensorrt")
_KEPT = 16


def device_for(speed: str) -> str:
    """Where the network has to be for that speed: `cuda` where it needs a GPU and there is one."""
    return "cuda" if speed in ON_GPU and torch.cuda.is_available() else "cpu"


@dataclass(eq=False)
class Lane:
    """A state of one row, and what moves it on: `step(told)` is the next frame [M, 1, C], normalised."""

    state: CogenerationState
    step: Callable[[Told], FloatArray]


class Lanes:
    """Lanes of one network that may go back `rewind` frames. Owned by the thread that steps."""

    def __init__(self, network: Cogenerator, rewind: int, speed: str) -> None:
        if speed not in CHOICES:
            raise ValueError(f"speed of co-generation: got {speed!r}, expected one of {', '.join(CHOICES)}")
        self.network, self.rewind, self.speed = network, rewind, speed
        self._free: list[Lane] = []

    def take(self) -> Lane:
        """One that nobody else uses; whatever it was told before, begin it anew with `state.reset`."""
        return self._free.pop() if self._free else self._open()

    def give(self, lane: Lane) -> None:
        """It is not used any more."""
        if len(self._free) < _KEPT:
            self._free.append(lane)

    def _open(self) -> Lane:
        state = self.network.open(1, rewind=self.rewind)
        if self.speed in BY_HAND:
            try:
                quick = QuickStep(self.network, state)
            except ValueError as error:
                log.info("co-generation steps in torch: %s", error)
                self.speed = "eager"
            else:
                return Lane(state, lambda told: quick.step(quick_progress(*told)))
        step, used = open_step(self.network, state, self.speed)
        self.speed = used  # what failed once is not tried again for every sentence
        return Lane(state, self._in_torch(step))

    def _in_torch(self, step: Step) -> Callable[[Told], FloatArray]:
        device = self.network.distance.device

        def stepped(told: Told) -> FloatArray:
            features = progress_features(*torch.tensor(told).unbind()).unsqueeze(0)
            return step(features.to(device)).cpu().numpy()

        return stepped
