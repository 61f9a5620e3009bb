"""Drawn pixels to a picture: shrinks (which smooths the edges) and converts to I420 in one pass of
libswscale.

Enters: RGBA rows, premultiplied where transparent. Leaves: I420 (BT.601, limited range), alpha, or RGBA.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation, VideoReformatter

Bytes = npt.NDArray[np.uint8]


class Shrinker:
    """From drawn size to picture size. Keeps libswscale's tables between frames."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._video = VideoReformatter()
        self._still = VideoReformatter()

    def i420(self, drawn: Bytes, alpha: bool) -> tuple[Bytes, Bytes | None]:
        """drawn [h, w, 4] -> I420 [H*3/2, W], and alpha [H, W] when asked."""
        width, height = self._size
        frame = self._video.reformat(
            VideoFrame.from_numpy_buffer(drawn, format="rgba"),
            width, height, "yuva420p" if alpha else "yuv420p", interpolation=Interpolation.AREA,
            threads=1,  # two wait for each other longer than they save
        )  # fmt: skip
        out = np.empty((height * 3 // 2, width), np.uint8)
        out[:height] = _rows(frame.planes[0], width, height)
        half = (height // 2, width // 2)
        chroma = out[height:].reshape(2, *half)
        for i in (0, 1):
            chroma[i] = _rows(frame.planes[1 + i], half[1], half[0])
        return out, _rows(frame.planes[3], width, height).copy() if alpha else None

    def rgba(self, drawn: Bytes) -> Bytes:
        """drawn [h, w, 4] premultiplied -> [H, W, 4] straight alpha."""
        width, height = self._size
        frame = self._still.reformat(
            VideoFrame.from_numpy_buffer(drawn, format="rgba"),
            width,
            height,
            "rgba",
            interpolation=Interpolation.AREA,
            threads=1,
        )
        out = frame.to_ndarray()
        partly = (out[..., 3] > 0) & (out[..., 3] < 255)
        share = out[partly, 3:].astype(np.float32) / 255
        out[partly, :3] = np.clip(np.round(out[partly, :3] / share), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(out)


def _rows(plane: VideoPlane, width: int, height: int) -> Bytes:
    """A plane without its padding: [height, width], a view."""
    rows: Bytes = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height, :width]
    return rows
