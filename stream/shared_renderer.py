"""Renderers that look alike share one: fifty kiosks with the same signer need one scene, not a hundred.

Enters: motion of several signers, on one thread. Leaves: the picture of each. Does not know what is drawn.

A renderer keeps nothing from one picture to the next but what it may recompute, so signers of one look and
one thread can take turns with it. One that fails is given up by whoever saw it fail: the next `open` makes
another, and the others follow when they fail too, each with its own account of pauses and trials
(`stream.rung`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from engine.signals import MotionFrame
from renderer.base import Bytes, Picture, Renderer


@dataclass(eq=False, slots=True)
class _Shared:
    renderer: Renderer
    users: int = 0


class _Shelf(threading.local):
    """What is open on this thread, by look."""

    def __init__(self) -> None:
        self.open: dict[Hashable, _Shared] = {}


_shelf = _Shelf()


class SharedRenderer:
    """A `renderer.base.Renderer`. look: renderers of equal look draw alike; make: a new one of that look."""

    def __init__(self, look: Hashable, make: Callable[[], Renderer]) -> None:
        self._look, self._make = look, make
        self._made: Renderer | None = make()  # reads files, so not in `open`, for which others wait
        self._shared: _Shared | None = None

    def open(self) -> None:
        """Join the one of this look that is open on this thread, or open it. Harmless when already open."""
        if self._shared is not None:
            return
        shared = _shelf.open.get(self._look)
        if shared is None:
            shared = _Shared(self._made or self._make())
            shared.renderer.open()
            _shelf.open[self._look] = shared
        self._made = None
        shared.users += 1
        self._shared = shared

    def render(self, motion: MotionFrame) -> Picture:
        shared = self._opened()
        try:
            return shared.renderer.render(motion)
        except BaseException:
            if _shelf.open.get(self._look) is shared:  # nobody joins it any more
                del _shelf.open[self._look]
            raise

    def rgba(self, motion: MotionFrame) -> Bytes:
        return self._opened().renderer.rgba(motion)

    def close(self) -> None:
        """The last to leave closes it. Harmless when already closed."""
        shared, self._shared = self._shared, None
        if shared is None:
            return
        shared.users -= 1
        if shared.users == 0:
            if _shelf.open.get(self._look) is shared:
                del _shelf.open[self._look]
            shared.renderer.close()

    def _opened(self) -> _Shared:
        if self._shared is None:
            raise RuntimeError("SharedRenderer: drawn before it was opened; call open() on its thread")
        return self._shared
