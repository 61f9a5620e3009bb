"""Hand-offs between threads and the event loop: each has a size and a policy.

Enters and leaves: any item. `Ordered` waits when full; `Latest` keeps the newest of each key and counts what
it dropped. Does not know what it carries. Frames that need each other have their own queue (frame_queue).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K")


class Ordered(Generic[T]):
    """A thread's items, in order, to a callback on the event loop. Full: the thread waits.

    The loop is woken once per batch, not once per item, so a late loop catches up in one step.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[T], None], size: int) -> None:
        if size < 1:
            raise ValueError(f"Ordered.size: got {size}, expected at least 1")
        self._loop = loop
        self._deliver = deliver
        self._size = size
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._scheduled = False
        self._closed = False

    def put(self, item: T) -> bool:
        """Hand over one item from a thread; waits while full. False once closed (the item is not taken)."""
        with self._changed:
            while len(self._items) >= self._size and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._items.append(item)
            if not self._scheduled:
                self._scheduled = True
                try:
                    self._loop.call_soon_threadsafe(self._drain)
                except RuntimeError:  # the loop has closed: nobody will ever take it
                    self._closed = True
                    return False
            return True

    def close(self) -> None:
        """Release a waiting thread; what was not delivered yet is dropped."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def _drain(self) -> None:
        with self._changed:
            self._scheduled = False
            items = list(self._items)
            self._items.clear()
            self._changed.notify_all()
        for item in items:
            self._deliver(item)


class Latest(Generic[K, T]):
    """The newest item of each key, from thread to thread. `put` never waits; what it replaces is counted."""

    def __init__(self) -> None:
        self._items: dict[K, T] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._nudged = False
        self.dropped = 0

    def put(self, key: K, item: T) -> bool:
        """Offer an item. False when an older one of the same key was dropped for it."""
        with self._changed:
            if self._closed:
                return False
            replaced = key in self._items
            self.dropped += replaced
            self._items[key] = item
            self._changed.notify_all()
            return not replaced

    def take(self, timeout_s: float | None = None) -> list[tuple[K, T]] | None:
        """Wait, then take all items, oldest key first. Empty after a timeout or nudge; None once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed or self._nudged, timeout_s)
            self._nudged = False
            if self._closed:
                return None
            items = list(self._items.items())
            self._items.clear()
            return items

    def nudge(self) -> None:
        """Wake the taker though there is no item: it has something else to do."""
        with self._changed:
            self._nudged = True
            self._changed.notify_all()

    def discard(self, key: K) -> None:
        """Forget what waits under `key`."""
        with self._changed:
            self._items.pop(key, None)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
