"""A thread that draws, one thing at a time, that can be seen to hang, and be left behind.

Enters: orders (in order, each answered by a future) and draws (by key, latest wins, drops counted).
Leaves: what they do, on the lane's thread. Does not know what is drawn. A thread that hangs in a driver or a
model cannot be stopped, only abandoned: should it ever return, it carries out its last wishes and ends.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")
Action = Callable[[], None]

MAX_ORDERS = 64
"""Orders that may wait; signers are put on and taken off air one after another, so few do."""
HUNG = "the drawing thread hung and was replaced; try again"


class LaneHung(RuntimeError):
    """The order was not carried out: the thread hangs."""


class Lane:
    """See the module. Every method may be called from any thread; `limit_s` says how long a call may take."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dropped = 0
        self.abandoned = False
        self.key = ""
        """Whose action is being carried out."""
        self._changed = threading.Condition()
        self._orders: deque[tuple[str, Action, float, Callable[[Exception], None]]] = deque()
        self._draws: dict[str, tuple[Action, float]] = {}
        self._begun_s: float | None = None
        self._limit_s = 0.0
        self._closed = False
        self._wishes: list[Action] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def order(self, key: str, action: Callable[[], T], limit_s: float) -> Future[T]:
        """Carry out `action` before any draw. The future holds its result or error, or LaneHung."""
        done: Future[T] = Future()

        def carry_out() -> None:
            try:
                result = action()
            except Exception as error:  # carried over to whoever ordered it
                fail(error)
            else:
                if not done.done():
                    done.set_result(result)

        def fail(error: Exception) -> None:
            if not done.done():
                done.set_exception(error)

        with self._changed:
            if self.abandoned or self._closed or len(self._orders) >= MAX_ORDERS:
                fail(LaneHung(HUNG))
            else:
                self._orders.append((key, carry_out, limit_s, fail))
                self._changed.notify_all()
        return done

    def draw(self, key: str, action: Action, limit_s: float) -> None:
        """Carry out `action`, unless a newer one of the same key comes first."""
        with self._changed:
            self.dropped += self._draws.pop(key, None) is not None
            self._draws[key] = action, limit_s
            self._changed.notify_all()

    def withdraw(self, key: str) -> bool:
        """Forget a draw that waits. True if there was one."""
        with self._changed:
            return self._draws.pop(key, None) is not None

    def busy_s(self, now_s: float) -> float:
        """How long the present action has taken so far; 0 between two."""
        begun_s = self._begun_s
        return 0.0 if begun_s is None else max(0.0, now_s - begun_s)

    @property
    def pending(self) -> bool:
        """Whether it does something, or soon will."""
        return self._begun_s is not None or bool(self._orders or self._draws)

    def hangs(self, now_s: float) -> bool:
        return self.busy_s(now_s) > self._limit_s

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def abandon(self, wishes: list[Action]) -> None:
        """Expect nothing of this thread any more. If it ever returns it carries out `wishes` and ends."""
        with self._changed:
            self.abandoned = True
            self._wishes = wishes
            orders, self._orders = self._orders, deque()
            self._draws.clear()
            self._changed.notify_all()
        for _, _, _, fail in orders:
            fail(LaneHung(HUNG))

    def close(self) -> threading.Thread:
        """End when what was ordered is done; draws that wait are dropped."""
        with self._changed:
            self._closed = True
            self._draws.clear()
            self._changed.notify_all()
        return self._thread

    def _run(self) -> None:
        while (action := self._next()) is not None:
            try:
                action()
            except Exception:  # draws answer for themselves; this is for what nobody thought of
                log.exception("%s: a picture was lost", self.name)
            self._begun_s = None
        for wish in self._wishes:
            try:
                wish()
            except Exception:  # the device boundary: whatever hung may refuse to be closed
                log.exception("%s: what it held could not be closed", self.name)

    def _next(self) -> Action | None:
        with self._changed:
            self._changed.wait_for(lambda: self._orders or self._draws or self._closed or self.abandoned)
            if self.abandoned or (self._closed and not self._orders):
                return None
            if self._orders:
                self.key, action, limit_s, _ = self._orders.popleft()
            else:
                self.key = next(iter(self._draws))
                action, limit_s = self._draws.pop(self.key)
            self._limit_s, self._begun_s = limit_s, time.monotonic()
            return action
