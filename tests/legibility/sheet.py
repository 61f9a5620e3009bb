"""A contact sheet: every letter's recording beside its picture.

Enters: readings. Leaves: a picture. Does not know renderers.
"""

from __future__ import annotations

from PIL import Image, ImageDraw

from engine.skeleton import HAND_BONES
from tests.legibility.protocol import SIZE, Array, Reading

_CELL = 240
_COLOURS = ((220, 60, 60), (230, 150, 30), (60, 160, 60), (50, 110, 230), (160, 60, 200))


def skeleton(hand: Array, label: str) -> Image.Image:
    """A hand [21, 3] as coloured bones, nearer ones on top."""
    picture = Image.new("RGB", (_CELL, _CELL), (250, 250, 250))
    draw = ImageDraw.Draw(picture)
    low, high = hand[:, :2].min(0), hand[:, :2].max(0)
    points = (hand[:, :2] - (low + high) / 2) * (_CELL - 50) / max(*(high - low), 1e-6) + _CELL / 2
    palm = [(5, 9), (9, 13), (13, 17)]
    for a, b in sorted([*HAND_BONES, *palm], key=lambda bone: -(hand[bone[0], 2] + hand[bone[1], 2])):
        across = a == 0 or (a, b) in palm
        line = [tuple(points[a]), tuple(points[b])]
        draw.line(line, fill=(255, 255, 255), width=9)
        draw.line(line, fill=(160, 160, 160) if across else _COLOURS[(b - 1) // 4], width=3 if across else 6)
    draw.text((6, 4), label, fill=(0, 0, 0))
    return picture


def close_up(reading: Reading) -> Image.Image:
    """The hand's surroundings in the picture, as the eye found it, enlarged."""
    picture = Image.fromarray(reading.picture)
    if reading.seen is None:
        return picture.resize((_CELL, _CELL))
    middle = (reading.seen[:, :2].min(0) + reading.seen[:, :2].max(0)) / 2
    reach = SIZE / 8
    box = tuple(int(v) for v in (*(middle - reach), *(middle + reach)))
    return picture.crop(box).resize((_CELL, _CELL), Image.Resampling.BICUBIC)


def verdict(reading: Reading) -> str:
    if reading.seen is None:
        return "not found"
    return f"{reading.angle_errors.mean():4.1f} deg, read as {reading.named}"


def contact_sheet(readings: list[Reading], columns: int = 4) -> Image.Image:
    """Source skeleton, close-up and whole picture of every letter."""
    rows = -(-len(readings) // columns)
    sheet = Image.new("RGB", (columns * 3 * _CELL, rows * _CELL), (255, 255, 255))
    for i, r in enumerate(readings):
        whole = Image.fromarray(r.picture).resize((_CELL, _CELL), Image.Resampling.LANCZOS)
        for k, cell in enumerate((skeleton(r.source, f"{r.letter}  {verdict(r)}"), close_up(r), whole)):
            sheet.paste(cell, ((i % columns * 3 + k) * _CELL, i // columns * _CELL))
    return sheet
