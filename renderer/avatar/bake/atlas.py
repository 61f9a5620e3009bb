# mypy: disable-error-code="no-any-return, type-arg"
"""The layout of a signer's one texture: MakeHuman's skin map below, a strip of small tiles above.

Enters and leaves: texture coordinates, v upwards. One texture and one draw call are what software GL likes
best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from renderer.avatar.bake.makehuman import Array

SIZE = 1024
"""Pixels of the square skin map; the tiles' strip comes on top."""
STRIP = 128
HEIGHT = SIZE + STRIP


@dataclass(frozen=True)
class Tile:
    """Columns left..right (pixels) of the strip."""

    left: int
    right: int

    def at(self, u: Array, v: Array) -> Array:
        """Tile coordinates 0..1 to atlas coordinates, kept a pixel away from the neighbours: [n, 2]."""
        x = self.left + 2 + u * (self.right - self.left - 4)
        y = SIZE + 2 + v * (STRIP - 4)
        return np.stack([x / SIZE, y / HEIGHT], 1)


EYE = Tile(0, 128)
SHIRT = Tile(128, 256)
TEETH = Tile(256, 320)
TONGUE = Tile(320, 384)
HAIR = Tile(512, 1024)


def skin_uv(uv: Array) -> Array:
    """MakeHuman's texture coordinates to the atlas."""
    return uv * np.array([1, SIZE / HEIGHT])
