"""The GL thread: one thread that owns every renderer and draws the newest motion of each signer.

Enters: `MotionFrame`s by signer name (latest wins, drops counted). Leaves: `Shot`s, on that thread.
Does not know encoders, peers, or what a renderer draws with. A renderer that fails is closed and opened
again after a pause; meanwhile its last picture is repeated, so the stream of its peers goes on.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from engine.signals import MotionFrame
from renderer.base import Renderer
from stream.handoff import Latest
from stream.shot import Shot

log = logging.getLogger(__name__)
T = TypeVar("T")

REBUILD_GAP_S = 1.0
REMEMBERED = 256
MAX_ORDERS = 64
"""Orders that may wait for the thread; signers are put on and taken off air one after another, so few do."""
RendererFactory = Callable[[], Renderer]
OnShot = Callable[[Shot], None]


@dataclass
class _Easel:
    """One signer's renderer, how to make another, and the last picture it gave."""

    factory: RendererFactory
    on_shot: OnShot
    renderer: Renderer | None = None
    last: Shot | None = None
    retry_at_s: float = 0.0
    failures: int = 0
    frames: int = 0
    render_ms: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def open(self, renderer: Renderer) -> None:
        renderer.open()
        self.renderer = renderer

    def close(self) -> None:
        renderer, self.renderer = self.renderer, None
        if renderer is None:
            return
        try:
            renderer.close()
        except Exception:  # the device boundary: a lost context may refuse even this
            log.exception("a renderer could not be closed")

    def draw(self, motion: MotionFrame) -> None:
        started = time.perf_counter()
        try:
            if self.renderer is None and time.monotonic() >= self.retry_at_s:
                self.open(self.factory())
            if self.renderer is not None:
                picture = self.renderer.render(motion)
                render_ms = (time.perf_counter() - started) * 1e3
                self.render_ms.append(render_ms)
                self.frames += 1
                self.last = Shot.of(picture, render_ms)
                self.on_shot(self.last)
                return
        except Exception:  # the device boundary: a lost context must not end anybody's stream
            self.failures += 1
            log.exception("drawing failed (%d so far); the renderer is rebuilt", self.failures)
            self.close()
            self.retry_at_s = time.monotonic() + REBUILD_GAP_S
        if self.last is not None:
            self.on_shot(
                dataclasses.replace(self.last, pts_ns=motion.pts_ns, rendered_ns=time.monotonic_ns())
            )


class RenderThread:
    """See the module. `add`, `replace` and `remove` are awaited on the loop; `submit` is for any thread."""

    def __init__(self) -> None:
        self._easels: dict[str, _Easel] = {}
        self._motion: Latest[str, MotionFrame] = Latest()
        self._orders: queue.Queue[Callable[[], None]] = queue.Queue(MAX_ORDERS)
        self._thread = threading.Thread(target=self._run, name="render", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Motion frames that were replaced by newer ones before they could be drawn."""
        return self._motion.dropped

    def submit(self, name: str, motion: MotionFrame) -> None:
        """Have `motion` drawn, unless a newer one comes first."""
        self._motion.put(name, motion)

    async def add(self, name: str, factory: RendererFactory, on_shot: OnShot) -> None:
        """Open a renderer on the thread. Raises what its `open` raises (RuntimeError without a device)."""
        easel = _Easel(factory, on_shot)
        renderer = await asyncio.to_thread(factory)  # reads files: not on the thread that others wait for
        await self._order(lambda: easel.open(renderer))
        self._easels[name] = easel

    async def replace(self, name: str, factory: RendererFactory) -> None:
        """Draw this signer with another renderer from the next frame on; the old one stays if that fails."""
        old = self._easels[name]
        easel = _Easel(factory, old.on_shot, last=old.last, failures=old.failures, frames=old.frames)
        renderer = await asyncio.to_thread(factory)
        await self._order(lambda: easel.open(renderer))
        self._easels[name] = easel
        await self._order(old.close)

    async def remove(self, name: str) -> None:
        self._motion.discard(name)
        easel = self._easels.pop(name, None)
        if easel is not None:
            await self._order(easel.close)

    def failing(self, name: str) -> bool:
        """Whether this signer's renderer is down just now."""
        return name in self._easels and self._easels[name].renderer is None

    def stats(self, name: str) -> dict[str, object]:
        easel = self._easels[name]
        recent = sorted(easel.render_ms)
        return {
            "rendered": easel.frames,
            "render_failures": easel.failures,
            "render_ms_p50": round(recent[len(recent) // 2], 2) if recent else None,
            "render_ms_p99": round(recent[int(len(recent) * 0.99)], 2) if recent else None,
        }

    async def close(self) -> None:
        """Close every renderer on the thread and end it."""
        for name in list(self._easels):
            await self.remove(name)
        self._motion.close()
        await asyncio.to_thread(self._thread.join, 5.0)

    async def _order(self, action: Callable[[], T]) -> T:
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def carry_out() -> None:
            try:
                done.set_result(action())
            except Exception as error:  # carried over to whoever ordered it
                done.set_exception(error)

        try:
            self._orders.put_nowait(carry_out)
        except queue.Full:
            raise RuntimeError(
                f"the drawing thread has not taken up {MAX_ORDERS} orders: it hangs; restart the server"
            ) from None
        self._motion.nudge()
        return await asyncio.shield(asyncio.wrap_future(done))

    def _run(self) -> None:
        while (items := self._motion.take()) is not None:
            while not self._orders.empty():
                self._orders.get_nowait()()
            for name, motion in items:
                easel = self._easels.get(name)
                if easel is not None:
                    easel.draw(motion)
