"""Clips made ready: recordings prepared once, kept while they are used.

Enters: clip keys. Leaves: `Clip`s. Does not know signers. Threads may ask at once; preparing takes
milliseconds to a second (the lexicon may have to retarget), so the pacing path asks `ready` and others call
`load`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Protocol

from engine.body import Body
from engine.choreography.clip import Clip
from engine.choreography.config import Timing
from engine.choreography.prepare import prepare
from engine.signals import Motion

CAPACITY = 512
"""Clips kept (about 30 kB each); beyond that the least recently used one goes."""


class MotionSource(Protocol):
    """What is needed of a lexicon."""

    def motion(self, clip: str) -> Motion: ...


class ClipStore:
    """See the module. Errors of `MotionSource.motion` and of `prepare` pass through `load`."""

    def __init__(
        self, lexicon: MotionSource, body: Body, timing: Timing, fps: float, capacity: int = CAPACITY
    ) -> None:
        if capacity < 1:
            raise ValueError(f"ClipStore.capacity: got {capacity}, expected at least 1")
        self._lexicon, self._body, self._timing, self._fps = lexicon, body, timing, fps
        self._capacity = capacity
        self._clips: OrderedDict[tuple[str, bool], Clip] = OrderedDict()
        self._lock = threading.Lock()

    def ready(self, clip: str, letter: bool) -> bool:
        with self._lock:
            return (clip, letter) in self._clips

    def load(self, clip: str, letter: bool) -> Clip:
        """The prepared clip, from memory or made now. letter: whether it is a fingerspelled letter."""
        key = (clip, letter)
        with self._lock:
            found = self._clips.get(key)
            if found is not None:
                self._clips.move_to_end(key)
                return found
        made = prepare(
            self._lexicon.motion(clip), self._body, self._timing, fps=self._fps, letter=letter
        )  # unlocked: two threads may both prepare, the second result is dropped
        with self._lock:
            made = self._clips.setdefault(key, made)
            while len(self._clips) > self._capacity:
                self._clips.popitem(last=False)
        return made
