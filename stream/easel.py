"""One signer's picture: its ladder of renderers, and what its viewers were shown last.

Enters: motion and pictures, under the lock of `stream.rendering`. Leaves: `Shot`s, in order of their motion
and of their time, with no gap. Does not know threads. A picture that comes after a newer one was shown is
dropped; a motion that nobody can draw in time is answered with the last picture.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Sequence

from engine.signals import MotionFrame
from stream.dissolve import Dissolve
from stream.rung import Rung
from stream.shot import Shot

OnShot = Callable[[Shot], None]
TICK_NS = 12_000
"""More than one tick of the 90 kHz RTP clock: two pictures never have the same time."""


class Easel:
    """See the module. The first rung that is fit draws; the others stand by, on trial, or are down."""

    def __init__(
        self, name: str, rungs: Sequence[Rung], on_shot: OnShot, before: Easel | None = None
    ) -> None:
        """before: who drew this signer until now; figures and the last picture go on."""
        self.name = name
        self.rungs = tuple(rungs)
        self.on_shot = on_shot
        self.motion: MotionFrame | None = None
        self.submitted_s = self.shown_s = -1e9
        self.last: Shot | None = None
        self.repeated = self.stale = self.frames = self.fallen = self.fallbacks = 0
        self.failures: Counter[str] = Counter()
        """Of renderers that were replaced since."""
        self._content_pts_ns = self._sent_pts_ns = -(1 << 62)
        self._from = 0
        self.rescued_ns = -1
        """The motion that a rung below was asked to draw because it was late above."""
        self._dissolve = Dissolve(self.rungs[0].policy.dissolve_frames)
        if before is not None:
            self.last, self.shown_s, self._sent_pts_ns = before.last, before.shown_s, before._sent_pts_ns
            self._content_pts_ns = before._content_pts_ns
            self.repeated, self.stale, self.frames = before.repeated, before.stale, before.frames
            self.fallen, self.fallbacks = before.fallen, before.fallbacks
            self.failures = before.failed()

    @property
    def behind(self) -> bool:
        """Whether the newest motion is not yet to be seen, as itself or as a repeated picture."""
        return self.motion is not None and self.motion.pts_ns > self._sent_pts_ns

    def show(self, rung: Rung, motion: MotionFrame, shot: Shot) -> None:
        """A picture of `motion` is done: send it, unless a newer one was."""
        if motion.pts_ns <= self._content_pts_ns:
            self.stale += 1
            return
        self._content_pts_ns = motion.pts_ns
        self.frames += 1
        self.fallen += rung.level > 0
        mixed = self._dissolve.shown(shot.i420, rung.level)
        self._send(shot if mixed is shot.i420 else dataclasses.replace(shot, i420=mixed), rung.level)

    def repeat(self, pts_ns: int) -> None:
        """Nobody draws that moment in time: the last picture is its picture."""
        if self.last is not None and pts_ns > self._sent_pts_ns:
            self.repeated += 1
            again = dataclasses.replace(self.last, pts_ns=pts_ns, rendered_ns=time.monotonic_ns())
            self._send(again, len(self.rungs))

    def _send(self, shot: Shot, level: int) -> None:
        if shot.pts_ns <= self._sent_pts_ns:
            shot = dataclasses.replace(shot, pts_ns=self._sent_pts_ns + TICK_NS)
        self.fallbacks += level > self._from
        self._from = level
        self.last, self._sent_pts_ns = shot, shot.pts_ns
        self.shown_s = time.monotonic()
        self.on_shot(shot)

    @property
    def drawing(self) -> Rung | None:
        """The rung whose pictures are shown; None while the last one is repeated."""
        return next((r for r in self.rungs if r.state == "fit"), None)

    def failed(self) -> Counter[str]:
        """Failures by kind, of every renderer there ever was."""
        return sum((r.failures for r in self.rungs), Counter(self.failures))

    def stats(self) -> dict[str, object]:
        recent = sorted(ms for rung in self.rungs for ms in rung.render_ms)
        failed = self.failed()
        drawing = self.drawing
        return {
            "rendered": self.frames,
            "rendered_below": self.fallen,
            "fallbacks": self.fallbacks,
            "repeated": self.repeated,
            "late_pictures": self.stale,
            "render_failures": failed.total(),
            "render_failures_by_kind": {k: failed[k] for k in ("dead", "lost", "hung", "slow", "unopened")},
            "renderers_healed": sum(r.healed for r in self.rungs),
            "renderers": [r.state for r in self.rungs],
            "drawing": drawing.level if drawing else None,
            "render_ms_p50": round(recent[len(recent) // 2], 2) if recent else None,
            "render_ms_p99": round(recent[int(len(recent) * 0.99)], 2) if recent else None,
        }
