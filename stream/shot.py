"""A picture on its way to the encoders.

Enters: a renderer's `Picture`. Leaves: a `Shot`; transparency, if there is any, is stacked below the colour,
since no video codec of the web carries it. Does not know encoders.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from renderer.base import Bytes, Picture


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture on its way to the encoders, with what its latency is made of.

    i420 [H*3/2, W]: the picture as encoded; with transparency it is twice as high, alpha below the colour.
    rendered_ns: when it was done (monotonic). render_ms: what drawing took.
    """

    i420: Bytes
    seq: int
    pts_ns: int
    gloss: int
    rendered_ns: int
    render_ms: float

    @classmethod
    def of(cls, picture: Picture, render_ms: float) -> Shot:
        """A renderer's picture, alpha stacked below the colour where it has one."""
        return cls(
            i420=picture.i420 if picture.alpha is None else stack_alpha(picture.i420, picture.alpha),
            seq=picture.seq,
            pts_ns=picture.pts_ns,
            gloss=picture.gloss,
            rendered_ns=time.monotonic_ns(),
            render_ms=render_ms,
        )


def stack_alpha(i420: Bytes, alpha: Bytes) -> Bytes:
    """Colour above, alpha below: [H*3/2, W] and [H, W] to [H*3, W], a picture of W x 2H.

    Alpha becomes luma in limited range (16 + 219 * alpha / 255); chroma of the lower half is grey.
    """
    height, width = alpha.shape
    stacked = np.empty((height * 3, width), np.uint8)
    stacked[:height] = i420[:height]
    stacked[height : 2 * height] = 16 + (alpha.astype(np.uint16) * 219 + 127) // 255
    quarter = width * height // 4
    chroma = i420[height:].reshape(2, quarter)
    below = stacked[2 * height :].reshape(4, quarter)
    below[0], below[2] = chroma
    below[1] = below[3] = 128
    return stacked
