"""A choreography that only takes time: so that an hour of signing is tried in seconds.

A letter takes `LETTER` frames and a sign `SIGN` at rate 1, faster at other rates; glosses begin one after the
other. The frames are all alike but for their gloss.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.signals import (
    EXPRESSION_SHAPE,
    HANDS_SHAPE,
    IDLE,
    POSE_SHAPE,
    SMPLX_SHAPE,
    Gloss,
    MotionFrame,
)

LETTER, SIGN = 10.0, 22.0
_STILL = [np.zeros(shape, np.float32) for shape in (POSE_SHAPE, HANDS_SHAPE, SMPLX_SHAPE, EXPRESSION_SHAPE)]


@dataclass
class TimedState:
    rate: float = 1.0
    left_handed: bool = False
    brevity: float = 0.0
    queue: deque[tuple[int, Gloss]] = field(default_factory=deque)
    current: tuple[int, Gloss] | None = None
    left: float = 0.0
    seq: int = 0
    skipped: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=64))

    @property
    def pending(self) -> int:
        return len(self.queue) + (self.current is not None)

    @property
    def resting(self) -> bool:
        return not self.pending


class TimedChoreography:
    """`performed`: every index in the order it began."""

    fps = 25.0

    def __init__(self) -> None:
        self.performed: list[int] = []

    def open(self, *, seed: int = 0, rate: float = 1.0, left_handed: bool = False) -> TimedState:
        return TimedState(rate, left_handed)

    def warm(self, gloss: Gloss) -> None: ...

    def warmed(self, gloss: Gloss) -> bool:
        return True

    def seconds(self, gloss: Gloss) -> tuple[float, float]:
        return _frames(gloss) / self.fps, 0.0

    def append(self, glosses: Sequence[tuple[int, Gloss]], state: TimedState) -> None:
        state.queue.extend(glosses)

    def interrupt(self, state: TimedState) -> None:
        state.queue.clear()
        state.current = None

    def backlog_ms(self, state: TimedState) -> float:
        frames = state.left + sum(_frames(gloss) for _, gloss in state.queue)
        return 1000 * frames / self.fps / state.rate

    def step(self, state: TimedState, pts_ns: int) -> MotionFrame:
        if state.current is not None:
            state.left -= state.rate
            if state.left <= 0:
                state.current = None
        if state.current is None and state.queue:
            state.current = state.queue.popleft()
            state.left = _frames(state.current[1])
            self.performed.append(state.current[0])
        state.seq += 1
        return MotionFrame(state.seq, pts_ns, *_STILL, gloss=state.current[0] if state.current else IDLE)


def _frames(gloss: Gloss) -> float:
    return LETTER if gloss.spelled else SIGN
