"""Renderers that fail on order, for tests and the chaos bench: handed in through the `Cast`, without hooks.

faults = Faults()
cast = dataclasses.replace(cast, renderer=faults.wrap(cast.renderer))
faults.kill(), faults.hang(), faults.slow(0.5), faults.lose(), faults.heal()
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from engine.signals import MotionFrame
from renderer.base import Bytes, DeviceLost, Picture, Renderer


class Faults:
    """What is wrong just now with the renderers it wraps. `made`, `closed`: how many there were."""

    def __init__(self) -> None:
        self.made = self.closed = self.drawn = 0
        self.unopenable = False
        self.slow_s = 0.0
        self.all: list[FaultyRenderer] = []
        self._released = threading.Event()

    def wrap(self, factory: Callable[[Any], Renderer]) -> Callable[[Any], Renderer]:
        """A factory like this one whose renderers obey."""

        def make(settings: Any) -> Renderer:
            self.made += 1
            renderer = FaultyRenderer(self, factory(settings))
            self.all.append(renderer)
            return renderer

        return make

    def drawing(self) -> FaultyRenderer:
        """Whoever drew the newest picture."""
        return max((r for r in self.all if not r.gone), key=lambda r: r.drew_at_s)

    def kill(self, everybody: bool = False) -> None:
        """The next picture of whoever draws (or of everybody there is) raises."""
        for renderer in self._whom(everybody):
            renderer.order = "kill"

    def lose(self, everybody: bool = False) -> None:
        """The next picture finds that its device is gone."""
        for renderer in self._whom(everybody):
            renderer.order = "lose"

    def hang(self, everybody: bool = False) -> None:
        """The next picture never returns, until `release`."""
        for renderer in self._whom(everybody):
            renderer.order = "hang"

    def release(self) -> None:
        """Whoever hangs returns after all."""
        self._released.set()

    def _whom(self, everybody: bool) -> list[FaultyRenderer]:
        return [r for r in self.all if not r.gone] if everybody else [self.drawing()]


class FaultyRenderer:
    """A renderer that does what `Faults` says before it draws."""

    def __init__(self, faults: Faults, inner: Renderer) -> None:
        self.inner, self.faults = inner, faults
        self.order = ""
        self.gone = False
        self.drew_at_s = 0.0
        self.thread = 0

    def open(self) -> None:
        if self.faults.unopenable:
            raise RuntimeError("there is no device")
        self.inner.open()
        self.thread = threading.get_ident()

    def render(self, motion: MotionFrame) -> Picture:
        order, self.order = self.order, ""
        if order == "kill":
            raise ValueError("killed by a test")
        if order == "lose":
            raise DeviceLost("taken away by a test")
        if order == "hang":
            self.faults._released.wait(120)
        if self.faults.slow_s:
            time.sleep(self.faults.slow_s)
        picture = self.inner.render(motion)
        if motion.pts_ns:  # not the one that nobody sees
            self.drew_at_s = time.monotonic()
            self.faults.drawn += 1
        return picture

    def rgba(self, motion: MotionFrame) -> Bytes:
        return self.inner.rgba(motion)

    def close(self) -> None:
        if not self.gone and self.thread:
            assert threading.get_ident() == self.thread, "a renderer lives on one thread"
        self.gone = True
        self.faults.closed += 1
        self.inner.close()
