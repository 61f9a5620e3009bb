"""The words "machine-generated signing" drawn into a picture: files leave the page that would have said so,
and what looks like a video of a person says so wherever it is seen.

Enters: a picture as RGBA or I420. Leaves: the same array with the label in its lower left corner; a renderer
that draws it. Does not know files or codecs.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.signals import MotionFrame
from renderer.base import Bytes, Picture, Renderer

TEXT = "Machine-generated signing"
_MARGIN = 1 / 128
_HEIGHT = 1 / 32
"""So that at rest no finger is behind the panel."""
_PANEL, _INK = 24, 235


@lru_cache(maxsize=8)
def _panel(width: int, height: int) -> Bytes:
    """Grey [h, w] uint8: light letters on a dark panel, of even size, fit for a picture of that size."""
    points = max(9, round(min(width, height) * _HEIGHT))
    font = ImageFont.load_default(points)
    left, top, right, bottom = font.getbbox(TEXT)
    pad = points // 3
    size = [
        min(most, 2 * -(-round(n) // 2))
        for n, most in ((right - left + 2 * pad, width), (bottom - top + 2 * pad, height))
    ]
    image = Image.new("L", (size[0], size[1]), _PANEL)
    ImageDraw.Draw(image).text((pad - left, pad - top), TEXT, fill=_INK, font=font)
    return np.asarray(image, np.uint8)


def _corner(width: int, height: int) -> tuple[Bytes, int, int]:
    """The panel, and where its left upper corner lies (even numbers, so that chroma has whole pixels)."""
    panel = _panel(width, height)
    margin = 2 * round(min(width, height) * _MARGIN / 2)
    left = min(margin, width - panel.shape[1])
    top = max(0, height - margin - panel.shape[0])
    return panel, left - left % 2, top - top % 2


def label_rgba(picture: Bytes) -> Bytes:
    """A labelled copy of [H, W, 4]; the panel is opaque."""
    panel, left, top = _corner(picture.shape[1], picture.shape[0])
    labelled = picture.copy()
    window = labelled[top : top + panel.shape[0], left : left + panel.shape[1]]
    window[..., :3] = panel[..., None]
    window[..., 3] = 255
    return labelled


def label_i420(picture: Bytes) -> Bytes:
    """A labelled copy of [H*3/2, W]: luma of the panel, no colour."""
    width, height = picture.shape[1], picture.shape[0] * 2 // 3
    panel, left, top = _corner(width, height)
    labelled = picture.copy()
    rows, columns = panel.shape
    labelled[top : top + rows, left : left + columns] = 16 + panel.astype(np.uint16) * 219 // 255
    for plane in np.split(labelled[height:].reshape(2, height // 2, width // 2), 2):
        plane[0, top // 2 : (top + rows) // 2, left // 2 : (left + columns) // 2] = 128
    return labelled


class Labelled:
    """A renderer whose picture says that it is machine-generated."""

    def __init__(self, inner: Renderer) -> None:
        self.inner = inner
        self.open, self.close, self.rgba = inner.open, inner.close, inner.rgba

    def render(self, motion: MotionFrame) -> Picture:
        picture = self.inner.render(motion)
        return replace(picture, i420=label_i420(picture.i420)) if picture.alpha is None else picture
