"""The drawing threads: they own every renderer, draw the newest motion of each signer, and never stall it.

Enters: `MotionFrame`s by signer name (latest wins, drops counted). Leaves: `Shot`s, one each period whatever
happens. Does not know encoders, peers, or what a renderer draws with.

Each signer has a ladder of renderers: the preferred one, and below it a quicker one or a spare. Rung n of
every signer lives on lane n (`stream.lane`), one thread and one GL context for all. The policy:

- raises, or lost its device: the same motion is drawn by the rung below, at once; the renderer is opened
  again, after a pause that doubles, and draws unseen until it is in time;
- overdue: what waits behind it is drawn below; again and again overdue: off, until a trial shows it in time;
- hangs: its thread is abandoned and a new one takes its place; signers who shared it lose nothing but a turn.
  An abandoned thread that returns closes what it held and ends. With a few left hanging (`stream.lanes`) none
  is opened any more until one returns, and the rung below draws;
- nobody can draw: the last picture is sent again, once for each motion.

A call that hangs while it holds the interpreter lock stops the whole process; no thread can cure that.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from engine.signals import MotionFrame
from renderer.base import PREFERRED, SPARE, DeviceLost, Policy, Renderer
from renderer.resting import resting_frame
from stream.easel import Easel, OnShot
from stream.lane import Lane, LaneHung
from stream.lanes import Lanes
from stream.rung import Kind, RendererFactory, Rung
from stream.shot import Shot

__all__ = ["OnShot", "RenderThreads", "RendererFactory"]

log = logging.getLogger(__name__)
T = TypeVar("T")

SILENT_PERIODS = 3.0
"""Without a picture for so long, though one is being drawn, the last one is sent again. Sooner, a loaded
machine would send many twice: the real one comes after all."""
ACTIVE_S = 1.0
"""After its last motion a signer is looked after for so long; then nobody watches it."""
CLOSE_S = 5.0


class RenderThreads:
    """See the module. `add`, `replace` and `remove` are awaited on the loop; `submit` is for any thread."""

    def __init__(self, fps: float = 25.0, spare: Policy = SPARE, preferred: Policy = PREFERRED) -> None:
        """spare: for renderers whose ladder ends in a spare of themselves; preferred: with a quicker one."""
        self._period_s = 1.0 / fps
        self._spare, self._preferred = spare, preferred
        self._lock = threading.Condition()
        self._easels: dict[str, Easel] = {}
        self._lanes = Lanes()
        self._closed = self._asleep = False
        self._watch = threading.Thread(target=self._run, name="render-watch", daemon=True)
        self._watch.start()

    # -- from any thread

    def submit(self, name: str, motion: MotionFrame) -> None:
        """Have `motion` drawn, unless a newer one comes first."""
        with self._lock:
            easel = self._easels.get(name)
            if easel is None:
                return
            easel.motion, easel.submitted_s = motion, time.monotonic()
            self._dispatch(easel, motion)
            if self._asleep:
                self._lock.notify_all()

    @property
    def dropped(self) -> int:
        """Motion frames that were replaced by newer ones before they could be drawn."""
        return self._lanes.dropped

    def failing(self, name: str) -> bool:
        """Whether nobody can draw this signer just now."""
        with self._lock:
            return name in self._easels and self._easels[name].drawing is None

    def stats(self, name: str) -> dict[str, object]:
        with self._lock:
            return self._easels[name].stats()

    def threads(self) -> dict[str, int]:
        """Drawing threads that were abandoned because they hung, and how many of them still do."""
        with self._lock:
            return {"abandoned": self._lanes.abandoned, "hanging": self._lanes.hanging()}

    # -- on the loop

    async def add(
        self, name: str, factory: RendererFactory, on_shot: OnShot, fallback: RendererFactory | None = None
    ) -> None:
        """Open a renderer, and below it `fallback`, a quicker one; without one, a spare of the same kind.

        Raises what the renderer's `open` raises (RuntimeError without a device), unless the fallback opens.
        """
        rungs = self._ladder(factory, fallback)
        await self._open_first(name, rungs, fallback is not None)
        with self._lock:
            self._easels[name] = Easel(name, rungs, on_shot)
            self._lock.notify_all()

    async def replace(
        self, name: str, factory: RendererFactory, fallback: RendererFactory | None = None
    ) -> None:
        """Draw this signer with other renderers from the next frame on; the old ones stay if that fails."""
        rungs = self._ladder(factory, fallback)
        await self._open_first(name, rungs, fallback is not None)
        with self._lock:
            old = self._easels[name]
            self._easels[name] = Easel(name, rungs, old.on_shot, before=old)
            self._lock.notify_all()
        await self._close_all(old)

    async def remove(self, name: str) -> None:
        with self._lock:
            easel = self._easels.pop(name, None)
            for lane in self._lanes.open.values():
                lane.withdraw(name)
        if easel is not None:
            await self._close_all(easel)

    async def close(self) -> None:
        """Close every renderer on its thread and end the threads; those that hang are left to the system."""
        for name in list(self._easels):
            await self.remove(name)
        with self._lock:
            self._closed = True
            threads = [self._watch, *self._lanes.close()]
            self._lock.notify_all()
        for thread in threads:
            await asyncio.to_thread(thread.join, CLOSE_S)

    # -- opening and closing

    def _ladder(self, factory: RendererFactory, fallback: RendererFactory | None) -> tuple[Rung, Rung]:
        if fallback is None:
            return Rung(0, factory, self._spare), Rung(1, factory, self._spare)
        return Rung(0, factory, self._preferred), Rung(1, fallback, self._spare)

    async def _open_first(self, name: str, rungs: tuple[Rung, Rung], other_kind: bool) -> None:
        """Wait until the first rung is open; the second follows by itself, or stands in for it."""
        try:
            await self._open_now(rungs[0])
        except Exception as error:
            if not other_kind:
                raise
            log.warning("%s: the preferred renderer cannot open (%s); the one below draws", name, error)
            rungs[0].failed("unopened", time.monotonic())
            await self._open_now(rungs[1])

    async def _open_now(self, rung: Rung) -> None:
        renderer = await asyncio.to_thread(rung.factory)  # reads files: not on a thread that others wait for
        with self._lock:
            lane = self._lanes.at(rung.level)
            if lane is None:
                raise RuntimeError(f"{self._lanes.hanging()} drawing threads hang; restart the server")
            opened = lane.order("", lambda: _open(renderer), rung.policy.open_s)
            self._lock.notify_all()
        await asyncio.shield(asyncio.wrap_future(opened))
        rung.opened(renderer, trial=False)

    async def _close_all(self, easel: Easel) -> None:
        """Close an easel's renderers, each on its lane. One that hangs is closed when it returns, if ever."""
        waits = []
        with self._lock:
            for rung in easel.rungs:
                renderer, rung.renderer = rung.renderer, None
                lane = self._lanes.open.get(rung.level)
                if lane is not None and (renderer is not None or rung.state == "opening"):
                    waits.append(lane.order(easel.name, functools.partial(_close, renderer), CLOSE_S))
        for done in waits:
            try:
                await asyncio.shield(asyncio.wrap_future(done))
            except LaneHung:
                log.warning("%s: its renderer hangs, and was not closed", easel.name)

    # -- drawing; all under the lock but the drawing itself

    def _dispatch(self, easel: Easel, motion: MotionFrame, after: int = -1) -> None:
        """Have `motion` drawn by the first rung below `after` that is fit and not overdue."""
        now_s = time.monotonic()
        lanes = self._lanes.open
        here = [(r, lanes[r.level]) for r in easel.rungs[after + 1 :] if r.level in lanes]
        fit = [(rung, lane) for rung, lane in here if rung.state == "fit"]
        in_time = [(r, lane) for r, lane in fit if lane.busy_s(now_s) <= self._deadline_s(r)]
        chosen = (in_time or fit)[:1]  # one that is overdue draws the newest when it comes to itself
        for rung, lane in chosen + [(rung, lane) for rung, lane in here if rung.state == "trial"]:
            self._draw(lane, easel, rung, motion)
        if not in_time:
            easel.repeat(motion.pts_ns)

    def _deadline_s(self, rung: Rung) -> float:
        return rung.policy.late_periods * self._period_s

    def _draw(self, lane: Lane, easel: Easel, rung: Rung, motion: MotionFrame) -> None:
        lane.draw(easel.name, lambda: self._drawing(lane, easel, rung, motion), rung.policy.hung_s)

    def _drawing(self, lane: Lane, easel: Easel, rung: Rung, motion: MotionFrame) -> None:
        """On the lane's thread."""
        renderer = rung.renderer
        if renderer is None:
            return
        started = time.perf_counter()
        try:
            picture = renderer.render(motion)
            render_ms = (time.perf_counter() - started) * 1e3
            shot = Shot.of(picture, render_ms)
        except Exception as error:  # the device boundary: a lost context must not end anybody's stream
            with self._lock:
                if not lane.abandoned and rung.renderer is renderer:
                    seen = rung.state == "fit"
                    self._failed(easel, rung, "lost" if isinstance(error, DeviceLost) else "dead", error)
                    if seen and easel.motion is not None:
                        self._dispatch(easel, easel.motion)
            return
        with self._lock:
            if lane.abandoned or rung.renderer is not renderer or self._easels.get(easel.name) is not easel:
                return
            below = any(r.state == "fit" for r in easel.rungs[rung.level + 1 :])
            state = rung.state
            rung.drawn(render_ms, self._deadline_s(rung) * 1e3, time.monotonic(), below)
            if state == "fit":
                easel.show(rung, motion, shot)
            if rung.state == "fit" and state == "trial":
                log.info("%s: its renderer (rung %d) is well again", easel.name, rung.level)
            elif rung.state == "resting":
                log.warning(
                    "%s: its renderer takes %.0f ms a picture; the one below draws", easel.name, render_ms
                )

    def _failed(self, easel: Easel, rung: Rung, kind: Kind, error: object, at_once: bool = False) -> None:
        rung.failed(kind, time.monotonic(), at_once)
        count, pause_s = rung.failures[kind], max(0.0, rung.retry_at_s - time.monotonic())
        traced = error if isinstance(error, Exception) and count == 1 else None
        log.warning(
            "%s: its renderer (rung %d) is %s (%d so far): %s; it is opened again in %.1f s",
            easel.name, rung.level, kind, count, error, pause_s, exc_info=traced,
        )  # fmt: skip
        self._lock.notify_all()

    # -- looking after them

    def _run(self) -> None:
        with self._lock:
            while not self._closed:
                now_s = time.monotonic()
                for level, lane in list(self._lanes.open.items()):
                    if lane.hangs(now_s):
                        self._abandon(level, lane)
                due_s = [self._heal(e, now_s) for e in list(self._easels.values())]
                busy = self._lanes.pending
                wait_s = min(due_s, default=3600.0)
                wait_s = min(wait_s, self._period_s / 2) if busy else wait_s
                self._asleep = wait_s > self._period_s
                self._lock.wait(max(0.001, wait_s))

    def _heal(self, easel: Easel, now_s: float) -> float:
        """Do what is due for one signer; returns in how many seconds something will be."""
        wait_s = 3600.0
        for rung in easel.rungs:
            if rung.state in ("down", "resting"):
                if now_s >= rung.retry_at_s:
                    self._retry(easel, rung)
                else:
                    wait_s = min(wait_s, rung.retry_at_s - now_s)
            lane = self._lanes.open.get(rung.level)
            overdue = lane is not None and rung.state == "fit" and lane.busy_s(now_s) > self._deadline_s(rung)
            below = any(r.state == "fit" for r in easel.rungs[rung.level + 1 :])
            if overdue and below and lane is not None and easel.motion:
                waited = lane.withdraw(easel.name)
                if waited or (rung.policy.slow_calls and self._late(easel, lane)):
                    easel.rescued_ns = easel.motion.pts_ns
                    self._dispatch(easel, easel.motion, after=rung.level)
            elif below and lane is not None and lane.busy_s(now_s) and rung.state == "fit":
                wait_s = min(wait_s, self._deadline_s(rung) - lane.busy_s(now_s))
        if now_s - easel.submitted_s < ACTIVE_S:
            wait_s = min(wait_s, self._period_s / 2)
            if easel.motion and easel.behind and now_s - easel.shown_s > SILENT_PERIODS * self._period_s:
                easel.repeat(easel.motion.pts_ns)
        return wait_s

    def _late(self, easel: Easel, lane: Lane) -> bool:
        """Whether the newest motion is just being drawn, too late, and nobody below was asked for it yet."""
        assert easel.motion is not None
        return lane.key == easel.name and easel.behind and easel.rescued_ns != easel.motion.pts_ns

    def _retry(self, easel: Easel, rung: Rung) -> None:
        if rung.state == "resting":
            rung.begin_trial()
            return
        lane = self._lanes.at(rung.level)
        if lane is None:  # too many threads hang already: perhaps one comes back
            rung.retry_at_s = time.monotonic() + rung.policy.retry_most_s
            return
        rung.state = "opening"
        done = lane.order(easel.name, lambda: self._reopen(lane, easel, rung), rung.policy.open_s)
        if done.done() and done.exception():  # it was not even taken up
            rung.failed("unopened", time.monotonic())

    def _reopen(self, lane: Lane, easel: Easel, rung: Rung) -> None:
        """On the lane's thread. The new one opens before the old one closes: they share what is dear."""
        old, rung.renderer = rung.renderer, None
        renderer: Renderer | None = None
        trouble: Exception | None = None
        try:
            renderer = rung.factory()
            _open(renderer)
        except Exception as error:  # the device boundary
            trouble = error
            _close(renderer)
        _close(old)
        with self._lock:
            if lane.abandoned or self._easels.get(easel.name) is not easel:
                if trouble is None:
                    _close(renderer)
            elif trouble is not None:
                self._failed(easel, rung, "unopened", trouble)
            else:
                assert renderer is not None
                rung.opened(renderer, trial=bool(rung.failures) and easel.drawing is not None)

    def _abandon(self, level: int, lane: Lane) -> None:
        """The thread hangs: leave it behind with what it holds, and begin anew."""
        held: list[Callable[[], None]] = []
        culprit = lane.key
        for easel in self._easels.values():
            for rung in easel.rungs[level : level + 1]:
                if rung.renderer is not None:
                    held.append(functools.partial(_close, rung.renderer))
                rung.renderer = None
                if rung.state != "down":
                    own = easel.name == culprit
                    self._failed(easel, rung, "hung", f"its thread {lane.name} does not answer", not own)
        self._lanes.abandon(level, held)
        for easel in self._easels.values():
            if easel.motion is not None and easel.behind:
                self._dispatch(easel, easel.motion)


def _open(renderer: Renderer) -> None:
    """Open and warm up: the first picture of a fresh context compiles its shaders. A video renderer is told
    it as the picture before the first one that is seen, so it shows the signer at rest."""
    renderer.open()
    try:
        renderer.render(resting_frame())
    except Exception as error:
        _close(renderer)
        raise RuntimeError(f"the first picture failed: {error}") from error


def _close(renderer: Renderer | None) -> None:
    if renderer is None:
        return
    try:
        renderer.close()
    except Exception:  # the device boundary: a lost context may refuse even this
        log.exception("a renderer could not be closed")
