"""From one renderer's pictures to another's without a jump: the last one fades out over the next few.

Enters: pictures in order, each with who drew it. Leaves: the pictures to show. Does not know renderers. The
renderers of a ladder frame the signer alike, so what is blended lies on top of each other.
"""

from __future__ import annotations

import numpy as np

from renderer.base import Bytes


class Dissolve:
    """frames: how many pictures hold something of the other's last one; 0: none."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self._level: int | None = None
        self._last: Bytes | None = None
        self._from: Bytes | None = None
        self._left = 0

    def shown(self, picture: Bytes, level: int) -> Bytes:
        """What to show of a picture drawn on a rung of the ladder; its array is left as it was."""
        if not self.frames:
            return picture
        last = self._last
        if level != self._level and last is not None and last.shape == picture.shape:
            self._from, self._left = last, self.frames
        self._level = level
        if self._from is not None and self._left:
            share = self._left * 256 // (self.frames + 1)
            mixed = self._from.astype(np.uint16) * share + picture.astype(np.uint16) * (256 - share)
            picture = (mixed >> 8).astype(np.uint8)
            self._left -= 1
        else:
            self._from = None
        self._last = picture
        return picture
