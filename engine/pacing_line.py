"""The words of one signer between text and motion: each is handed over in its time, and accounted for once.

Enters: units as they are understood, their glosses as they become ready, and every frame. Leaves: glosses
for the choreography, the tempo, and `Fate`s. Does not know text or threads; `understood`, `forget` and
`take_fates` may be called beside the rest, from another thread.

Words that are not live pass through untouched while no live one waits.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any

from engine.choreography.base import AnyChoreography, gloss_seconds
from engine.choreography.config import FASTEST
from engine.clock import NS_PER_S
from engine.pacing import Pacer
from engine.pacing_config import REASONS, PacingConfig
from engine.pacing_unit import Fate, Kind, Numbered, Unit
from engine.signals import IDLE, MotionFrame, Unseen

FATES_KEPT = 8192


class PacedLine:
    """See the module."""

    def __init__(self, choreography: AnyChoreography, config: PacingConfig | None = None) -> None:
        self._choreography = choreography
        self.pacer = Pacer(
            lambda gloss: gloss_seconds(choreography, gloss), choreography.fps, config or PacingConfig()
        )
        self._lock = threading.Lock()
        self._open: OrderedDict[int, Unit] = OrderedDict()
        self._of: dict[int, Unit] = {}
        self._performing: deque[Unit] = deque()
        self._fates: deque[Fate] = deque(maxlen=FATES_KEPT)
        self._now_ns = 0
        self._shown = IDLE
        self._timed: tuple[int, float, bool] | None = None
        self._skipped: tuple[int, str] | None = None

    # -- text half -------------------------------------------------------------------------------

    def understood(self, units: Sequence[Unit]) -> None:
        """These words are promised: each will have one fate."""
        with self._lock:
            for unit in units:
                self._open[unit.first] = unit
                for index, _ in unit.glosses:
                    self._of[index] = unit

    def forget(self) -> None:
        """An interruption: what was understood and not handed over is given up."""
        with self._lock:
            for unit in list(self._open.values()):
                if not unit.handed:
                    self._settle(unit, "interrupted", REASONS["interrupted"])

    def take_fates(self) -> list[Fate]:
        """What became of words since the last call, in the order in which it was certain."""
        taken = []
        while self._fates:
            taken.append(self._fates.popleft())
        return taken

    # -- motion half -----------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        return self.pacer.pending

    def hand(self, glosses: Sequence[Numbered]) -> list[Numbered]:
        """These are ready to be signed; returns those to be signed at once."""
        at_once = []
        with self._lock:
            for index, gloss in glosses:
                unit = self._of.get(index)
                if unit is None:
                    continue  # interrupted on the way
                first = unit.handed == 0
                unit.handed += 1
                if unit.passing or not (unit.live or self.pacer.waiting):
                    at_once.append((index, gloss))
                    if not unit.passing:
                        unit.passing = True
                        self._performing.append(unit)
                elif first:
                    self.pacer.add(unit)
        return at_once

    def skip(self, index: int) -> None:
        """This gloss will never be ready, or could not be performed."""
        with self._lock:
            unit = self._of.pop(index, None)
            if unit is None:
                return
            unit.glosses = [numbered for numbered in unit.glosses if numbered[0] != index]
            unit.seconds = []
            if not unit.glosses:
                if unit in self.pacer.waiting:
                    self.pacer.waiting.remove(unit)
                if unit in self._performing:
                    self._performing.remove(unit)
                self._settle(unit, "skipped", "")

    def step(self, state: Any, pts_ns: int, rate: float) -> None:
        """Before a frame is made: hand over what is due, and set the tempo."""
        self._now_ns = pts_ns
        if not self.pacer.active:
            return
        busy_s = self._choreography.backlog_ms(state) / 1000
        out = self.pacer.step(pts_ns, busy=state.pending, busy_s=busy_s, rate=rate)
        tempo = self.pacer.tempo
        state.rate = min(rate * tempo.boost, max(rate, FASTEST))
        if hasattr(state, "brevity"):
            state.brevity = tempo.brevity
        with self._lock:
            for fate in out.fates:
                if fate.kind == "abbreviated":
                    self._fates.append(fate)
                    for index in range(fate.first, fate.last + 1):
                        self._of.pop(index, None)
                else:
                    self._settle(self._open[fate.first], fate.kind, fate.reason)
            self._performing.extend(out.units)
        if out.glosses:
            self._choreography.append(out.glosses, state)

    def stepped(self, frame: MotionFrame | Unseen, state: Any) -> None:
        """After a frame was made: note what it shows."""
        if state.skipped and state.skipped[-1] != self._skipped:
            for index, _ in tuple(state.skipped):
                if index in self._of:
                    self.skip(index)
            self._skipped = state.skipped[-1]
        if frame.gloss != self._shown and frame.gloss != IDLE:
            self._time(frame, state)
            self._shown = frame.gloss
        idle = not state.pending
        if idle:
            self._timed = None
        while self._performing:
            unit = self._performing[0]
            if not (unit.last <= self._shown or (idle and unit.ready)):
                return
            self._performing.popleft()
            with self._lock:
                self._settle(unit, "signed")

    def halt(self, reason: str) -> None:
        """Everything that was handed over and not signed to its end is dropped."""
        self.pacer.clear()
        self._performing.clear()
        self._timed = None
        with self._lock:
            for unit in list(self._open.values()):
                if unit.handed:
                    self._settle(unit, "interrupted", reason)

    def reset(self) -> None:
        """As new: nothing is promised any more."""
        self.halt("")
        with self._lock:
            self._open.clear()
            self._of.clear()
            self._fates.clear()
        self._shown = IDLE
        self._skipped = None
        self.pacer = Pacer(
            lambda gloss: gloss_seconds(self._choreography, gloss),
            self._choreography.fps,
            self.pacer.config,
        )

    # -- inside ----------------------------------------------------------------------------------

    def _settle(self, unit: Unit, kind: Kind, reason: str = "") -> None:
        """The unit's fate is certain. Holding the lock."""
        if self._open.pop(unit.first, None) is None:
            return
        for index in range(unit.first, unit.last + 1):
            self._of.pop(index, None)
        self._fates.append(unit.fate(kind, self._now_ns, reason))

    def _time(self, frame: MotionFrame | Unseen, state: Any) -> None:
        """A sign begins: how long did the one before take, and how long was it thought to?"""
        if self._timed is not None:
            began_ns, expected_s, spelled = self._timed
            self.pacer.estimates.measured(spelled, (frame.pts_ns - began_ns) / NS_PER_S, expected_s)
        unit = self._of.get(frame.gloss)
        self._timed = None
        if unit is not None and unit.live:
            gloss = next(gloss for index, gloss in unit.glosses if index == frame.gloss)
            expected_s = self.pacer.estimates.expected_s(gloss, state.rate, self.pacer.tempo.brevity)
            self._timed = frame.pts_ns, expected_s, gloss.spelled
