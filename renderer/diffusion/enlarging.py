"""A model's picture to the size that is served, as I420 or RGB, by libswscale.

Enters: RGB [S, S, 3]. Leaves: I420 (BT.601, limited range, as the avatar's) or RGB. Does not know models.
"""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from renderer.base import Bytes


class Enlarger:
    """From a square of `size` pixels to one of `wanted`. Keeps libswscale's tables between pictures."""

    def __init__(self, size: int, wanted: int) -> None:
        self._wanted = wanted
        self._way = Interpolation.BICUBIC if wanted >= size else Interpolation.AREA
        self._video, self._still = VideoReformatter(), VideoReformatter()

    def i420(self, rgb: Bytes) -> Bytes:
        """[H*3/2, W], owned by the caller."""
        n = self._wanted
        frame = VideoFrame.from_ndarray(rgb, format="rgb24")
        made = self._video.reformat(frame, n, n, "yuv420p", interpolation=self._way)
        out = np.empty((n * 3 // 2, n), np.uint8)
        chroma = out[n:].reshape(2, n // 2, n // 2)
        for plane, rows in zip(made.planes, (out[:n], chroma[0], chroma[1]), strict=True):
            held = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            rows[:] = held[: rows.shape[0], : rows.shape[1]]
        return out

    def rgb(self, rgb: Bytes) -> Bytes:
        """[H, W, 3]"""
        n = self._wanted
        frame = VideoFrame.from_ndarray(rgb, format="rgb24")
        return np.ascontiguousarray(
            self._still.reformat(frame, n, n, "rgb24", interpolation=self._way).to_ndarray()
        )
