"""A stamp in every picture that a browser or decoder can read back: when it was drawn, and what of.

Enters: a picture, a moment. Leaves: the picture with a strip of black and white squares at its top; and, from
a decoded picture, what the strip says. Does not know peers or servers. Only servers under test draw it.

64 bits, row by row from the top left, most significant first, squares of 8 x 8: time in tenths of a
millisecond (30 bits, monotonic clock, begins again after 29.8 hours), gloss + 1 (14 bits), picture number
(12 bits), CRC-8.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from engine.signals import MotionFrame
from renderer.base import Bytes, Picture, Renderer

CELL = 8
BITS = 64
TIME_BITS, GLOSS_BITS, SEQ_BITS = 30, 14, 12
NS_PER_UNIT = 100_000
BLACK, WHITE = 16, 235


@dataclass(frozen=True, slots=True)
class Stamp:
    """drawn_ns: on this machine's monotonic clock, to 0.1 ms. gloss: -1 idle, else modulo 16383. seq: modulo
    4096.
    """

    drawn_ns: int
    gloss: int
    seq: int


def crc8(number: int) -> int:
    """Of 56 bits, polynomial x^8 + x^2 + x + 1, most significant bit first."""
    crc = 0
    for shift in range(48, -1, -8):
        crc ^= (number >> shift) & 0xFF
        for _ in range(8):
            crc = ((crc << 1) ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def draw(i420: Bytes, gloss: int, seq: int, now_ns: int) -> None:
    """Stamp a picture [H*3/2, W] in place. Its chroma under the strip becomes grey."""
    width = i420.shape[1]
    height = i420.shape[0] * 2 // 3
    number = (now_ns // NS_PER_UNIT) % (1 << TIME_BITS)
    number = number << GLOSS_BITS | (gloss + 1) % (1 << GLOSS_BITS)
    number = number << SEQ_BITS | seq % (1 << SEQ_BITS)
    number = number << 8 | crc8(number)
    columns, rows = _grid(width)
    bits = np.array([number >> (BITS - 1 - i) & 1 for i in range(BITS)], np.uint8)
    cells = np.zeros(rows * columns, np.uint8)
    cells[:BITS] = bits
    squares = np.where(cells.reshape(rows, columns), WHITE, BLACK).astype(np.uint8)
    i420[: rows * CELL, : columns * CELL] = squares.repeat(CELL, 0).repeat(CELL, 1)
    for plane in i420[height:].reshape(2, height // 2, width // 2):
        plane[: rows * CELL // 2, : columns * CELL // 2] = 128


def read(luma: Bytes, now_ns: int) -> Stamp | None:
    """What the strip of a decoded picture's luma [H, W] says; None when it cannot be read.

    now_ns: when it is read, which tells how often the time began again.
    """
    columns, rows = _grid(luma.shape[1])
    inner = luma[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL)[:, 2:6, :, 2:6]
    number = 0
    for bit in (inner.mean(axis=(1, 3)).reshape(-1)[:BITS] > 128).tolist():
        number = number << 1 | bit
    return parse(number, now_ns)


def parse(number: int, now_ns: int) -> Stamp | None:
    """The 64 bits as a stamp, None when damaged."""
    body, check = number >> 8, number & 0xFF
    if crc8(body) != check:
        return None
    seq = body % (1 << SEQ_BITS)
    gloss = (body >> SEQ_BITS) % (1 << GLOSS_BITS) - 1
    units = body >> (SEQ_BITS + GLOSS_BITS)
    now_units = now_ns // NS_PER_UNIT
    age = (now_units - units) % (1 << TIME_BITS)
    if age >= 1 << (TIME_BITS - 1):  # a clock that runs a little behind another
        age -= 1 << TIME_BITS
    return Stamp((now_units - age) * NS_PER_UNIT, gloss, seq)


def _grid(width: int) -> tuple[int, int]:
    columns = min(BITS, width // CELL)
    return columns, -(-BITS // columns)


class Stamped:
    """A renderer whose pictures are stamped. The others' methods are handed on."""

    def __init__(self, inner: Renderer) -> None:
        self._inner = inner

    def open(self) -> None:
        self._inner.open()

    def render(self, motion: MotionFrame) -> Picture:
        picture = self._inner.render(motion)
        draw(picture.i420, motion.gloss, motion.seq, time.monotonic_ns())
        return picture

    def rgba(self, motion: MotionFrame) -> Bytes:
        return self._inner.rgba(motion)

    def close(self) -> None:
        self._inner.close()
