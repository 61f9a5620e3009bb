"""One renderer on a signer's ladder: is it fit to draw, what became of it, and when is it tried again.

Enters: what happened to it, and when. Leaves: its state. Does not know threads, pictures or other rungs; the
numbers are `renderer.base.Policy`.

    down ──retry──► opening ──► trial ──pictures in time──► fit
     ▲ dead, lost, hung, unopened                           │ slow
     └──────────────────────────────────────────────── resting ──retry──► trial
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import Literal

from renderer.base import Policy, Renderer

log = logging.getLogger(__name__)

RendererFactory = Callable[[], Renderer]
State = Literal["down", "opening", "trial", "fit", "resting"]
Kind = Literal["dead", "lost", "hung", "slow", "unopened"]
"""dead: `render` raised. lost: its device went away. hung: never returned. unopened: `open` failed."""
REMEMBERED = 256


class Rung:
    """See the module. level: 0 is drawn first. Times are monotonic seconds, handed in."""

    def __init__(self, level: int, factory: RendererFactory, policy: Policy) -> None:
        self.level = level
        self.factory = factory
        self.policy = policy
        self.renderer: Renderer | None = None
        self.state: State = "down"
        self.retry_at_s = 0.0
        self.failures: Counter[str] = Counter()
        self.healed = 0
        self.frames = 0
        self.render_ms: deque[float] = deque(maxlen=REMEMBERED)
        self._pause_s = policy.retry_s
        self._failed_at_s = -1e9
        self._late_calls = 0
        self._trials_left = 0
        self._seen_fit = False

    def failed(self, kind: Kind, now_s: float, at_once: bool = False) -> None:
        """It is out, and tried again after a pause (`at_once`: as soon as may be; it was not its fault)."""
        self.failures[kind] += 1
        if now_s - self._failed_at_s > self.policy.steady_s:
            self._pause_s = self.policy.retry_s
        self._failed_at_s = now_s
        self.state = "resting" if kind == "slow" else "down"
        self.retry_at_s = now_s if at_once else now_s + self._pause_s
        if not at_once:
            self._pause_s = min(self._pause_s * 2, self.policy.retry_most_s)

    def opened(self, renderer: Renderer, trial: bool) -> None:
        """It is open again; `trial`: it has to show first that it draws in time."""
        self.renderer = renderer
        self.begin_trial() if trial else self._now_fit()

    def begin_trial(self) -> None:
        self._late_calls = 0
        self._trials_left = self.policy.trial_pictures
        if self._trials_left:
            self.state = "trial"
        else:
            self._now_fit()

    def drawn(self, render_ms: float, deadline_ms: float, now_s: float, may_rest: bool) -> None:
        """It gave a picture after `render_ms`."""
        self.render_ms.append(render_ms)
        self.frames += 1
        late = render_ms > deadline_ms
        self._late_calls = self._late_calls + 1 if late else 0
        too_slow = may_rest and 0 < self.policy.slow_calls <= self._late_calls
        if too_slow and self.state in ("fit", "trial"):
            self.failed("slow", now_s)
        elif self.state == "trial" and (not late or not may_rest):
            self._trials_left -= 1
            if self._trials_left <= 0:
                self._now_fit()

    def _now_fit(self) -> None:
        self.healed += self._seen_fit
        self.state, self._seen_fit, self._late_calls = "fit", True, 0
