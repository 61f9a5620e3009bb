"""Motion frames as bytes: a version byte, then one msgpack array.

Enters: `MotionFrame`. Leaves: at most `MAX_BYTES` bytes, and back again. Does not know channels or peers.
The format is written down in PROTOCOL.md; change the version byte whenever it changes.
"""

from __future__ import annotations

from typing import Any, Literal

import msgpack
import numpy as np

from engine.signals import (
    EXPRESSION_SHAPE,
    HANDS_SHAPE,
    IDLE,
    POSE_SHAPE,
    SMPLX_SHAPE,
    FloatArray,
    MotionFrame,
)

VERSION = 1
MAX_BYTES = 2048
"""No frame of version 1 is longer; a longer one is refused before it is parsed."""

Precision = Literal["float16", "float32"]

_DTYPES: dict[int, np.dtype[Any]] = {2: np.dtype("<f2"), 4: np.dtype("<f4")}
_WIDTHS: dict[str, int] = {"float16": 2, "float32": 4}
_SHAPES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("pose", POSE_SHAPE),
    ("hands", HANDS_SHAPE),
    ("smplx", SMPLX_SHAPE),
    ("expression", EXPRESSION_SHAPE),
)
_INT64 = 1 << 63


class WireError(ValueError):
    """Bytes that are not a motion frame. The message says what was found and what was expected."""


class UnknownVersion(WireError):
    """A frame of another version: newer peers must be told, not guessed at."""


def encode(frame: MotionFrame, precision: Precision = "float16") -> bytes:
    """One frame as bytes: 762 bytes of arrays in float16, 1524 in float32, and about 30 more.

    Raises ValueError on a precision that is neither, and on values that float16 cannot hold (|x| > 65504).
    """
    if precision not in _WIDTHS:
        raise ValueError(f"precision: got {precision!r}, expected 'float16' or 'float32'")
    width = _WIDTHS[precision]
    body: list[Any] = [frame.seq, frame.pts_ns, frame.gloss, width]
    for name, _ in _SHAPES:
        values: FloatArray = getattr(frame, name)
        if not np.isfinite(values).all() or (width == 2 and np.abs(values).max() > 65504):
            raise ValueError(
                f"MotionFrame.{name}: holds values that {precision} cannot carry; "
                "send finite radians, shoulder widths and face units"
            )
        body.append(values.astype(_DTYPES[width]).tobytes())
    return bytes([VERSION]) + bytes(msgpack.packb(body, use_bin_type=True))


def decode(data: bytes) -> MotionFrame:
    """The frame in `data`.

    Raises UnknownVersion for another version byte, WireError for anything that is not a whole, finite frame.
    """
    if not data or len(data) > MAX_BYTES:
        raise WireError(f"motion frame: got {len(data)} bytes, expected 1 to {MAX_BYTES}")
    if data[0] != VERSION:
        raise UnknownVersion(
            f"motion frame: got version {data[0]}, this side speaks version {VERSION}; "
            "update the older side, or open no `motion` channel"
        )
    try:
        body = msgpack.unpackb(
            data[1:], raw=False, max_bin_len=MAX_BYTES, max_array_len=16, max_map_len=0, max_str_len=0
        )
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise WireError(f"motion frame: not msgpack ({error or type(error).__name__})") from error
    if not isinstance(body, list) or len(body) != 4 + len(_SHAPES):
        raise WireError(f"motion frame: expected an array of {4 + len(_SHAPES)} entries")
    seq, pts_ns, gloss, width = body[:4]
    for name, number, least in (("seq", seq, 0), ("pts_ns", pts_ns, -_INT64), ("gloss", gloss, IDLE)):
        if type(number) is not int or not least <= number < _INT64:
            raise WireError(f"motion frame: {name} is {number!r}, expected an integer from {least}")
    if type(width) is not int or width not in _DTYPES:
        raise WireError(f"motion frame: {width!r} bytes a value, expected 2 (float16) or 4 (float32)")
    arrays = {
        name: _array(name, raw, shape, _DTYPES[width])
        for raw, (name, shape) in zip(body[4:], _SHAPES, strict=True)
    }
    return MotionFrame(seq=seq, pts_ns=pts_ns, gloss=gloss, **arrays)


def _array(name: str, raw: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> FloatArray:
    expected = int(np.prod(shape)) * dtype.itemsize
    if not isinstance(raw, bytes) or len(raw) != expected:
        got = len(raw) if isinstance(raw, bytes) else type(raw).__name__
        raise WireError(f"motion frame: {name} is {got}, expected {expected} bytes ({shape} of {dtype})")
    values = np.frombuffer(raw, dtype).reshape(shape).astype(np.float32)
    if not np.isfinite(values).all():
        raise WireError(f"motion frame: {name} holds values that are not finite")
    return values
