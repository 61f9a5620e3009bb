"""Recently used motion in memory, bounded by bytes: the least recently used goes first.

Enters and leaves: `Motion` by clip. Does not know where it comes from. Safe to use from several threads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from engine.signals import Motion


def size_bytes(motion: Motion) -> int:
    arrays = (motion.pose, motion.hands, motion.smplx, motion.expression, motion.confidence)
    return sum(array.nbytes for array in arrays)


class MotionMemory:
    """At most `max_bytes` of motion, except that one clip larger than that is still kept while it is the
    newest.
    """

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 0:
            raise ValueError(f"motion memory: got {max_bytes} bytes, expected 0 or more")
        self.max_bytes = max_bytes
        self.used_bytes = 0
        self._motions: OrderedDict[str, Motion] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, clip: str) -> Motion | None:
        with self._lock:
            motion = self._motions.get(clip)
            if motion is not None:
                self._motions.move_to_end(clip)
            return motion

    def put(self, clip: str, motion: Motion) -> None:
        with self._lock:
            old = self._motions.pop(clip, None)
            if old is not None:
                self.used_bytes -= size_bytes(old)
            self._motions[clip] = motion
            self.used_bytes += size_bytes(motion)
            while self.used_bytes > self.max_bytes and len(self._motions) > 1:
                _, oldest = self._motions.popitem(last=False)
                self.used_bytes -= size_bytes(oldest)

    def __contains__(self, clip: str) -> bool:
        with self._lock:
            return clip in self._motions

    def __len__(self) -> int:
        with self._lock:
            return len(self._motions)
