"""A contact sheet: labelled pictures in a grid, for stills and for looking at what was rendered.

Enters: (label, RGBA) pairs. Leaves: a PIL image. Does not know motion or GL.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from renderer.base import Bytes

_MARGIN_PX, _LABEL_PX = 8, 26
_PAPER, _INK = (250, 250, 252, 255), (28, 32, 40, 255)
MOST_PICTURES = 400


def contact_sheet(pictures: Sequence[tuple[str, Bytes]], columns: int = 0) -> Image.Image:
    """pictures: label and [H, W, 4] uint8, all of one size. columns: 0 makes the sheet about square.

    Raises ValueError when there is nothing to show, too much, or the sizes differ."""
    if not pictures:
        raise ValueError("contact_sheet: got no pictures; give at least one sign or letter to show")
    if len(pictures) > MOST_PICTURES:
        raise ValueError(f"contact_sheet: got {len(pictures)} pictures, expected at most {MOST_PICTURES}")
    sizes = {picture.shape for _, picture in pictures}
    if len(sizes) != 1 or len(next(iter(sizes))) != 3 or next(iter(sizes))[2] != 4:
        raise ValueError(f"contact_sheet: got shapes {sorted(sizes)}, expected [H, W, 4] of one size")
    height, width = pictures[0][1].shape[:2]
    columns = columns or math.ceil(math.sqrt(len(pictures) * height / width))
    rows = math.ceil(len(pictures) / columns)
    step_x, step_y = width + _MARGIN_PX, height + _LABEL_PX + _MARGIN_PX
    sheet = Image.new("RGBA", (columns * step_x + _MARGIN_PX, rows * step_y + _MARGIN_PX), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for i, (label, picture) in enumerate(pictures):
        left, top = _MARGIN_PX + i % columns * step_x, _MARGIN_PX + i // columns * step_y
        sheet.alpha_composite(Image.fromarray(picture, "RGBA"), (left, top))
        draw.text((left + 4, top + height + 4), label, fill=_INK, font=font)
    return sheet
