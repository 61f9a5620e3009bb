"""Motion to bytes and back: exact for the cache, small for the pack that ships with us.

Enters: `Motion`. Leaves: bytes (and the reverse). Does not know files.

Only the SMPL-X pose, the face units and the confidence are kept; the other modalities follow from them by
forward kinematics, exactly as they did when the clip was retargeted.
"""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib
from typing import Final

import numpy as np

from engine.body import load_body
from engine.signals import EXPRESSION_SHAPE, SMPLX_SHAPE, FloatArray, Motion

_POSE_STEP: Final = 1 / 4096
"""Radians: a fingertip moves by less than 0.1 mm."""
_UNIT_STEP: Final = 1 / 255
_CHANNELS: Final = SMPLX_SHAPE[0] * 3 + EXPRESSION_SHAPE[0] + 2
_HEADER: Final = struct.Struct("<dI")
_UNREADABLE: Final = (
    OSError, KeyError, ValueError, EOFError, struct.error, zlib.error, zipfile.BadZipFile,
    NotImplementedError, TypeError, AttributeError, OverflowError, MemoryError, RecursionError, SyntaxError,
    tokenize.TokenError,
)  # fmt: skip
"""numpy reads the head of an array as Python source, and lets what comes of that through."""


def encode(motion: Motion) -> bytes:
    """Exact: an .npz with a checksum for every array."""
    out = io.BytesIO()
    np.savez(
        out,
        fps=np.float64(motion.fps),
        smplx=motion.smplx,
        expression=motion.expression,
        confidence=motion.confidence,
    )
    return out.getvalue()


def decode(data: bytes) -> Motion:
    """Raises ValueError when the bytes are not what `encode` wrote."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return _motion(float(arrays["fps"]), arrays["smplx"], arrays["expression"], arrays["confidence"])
    except _UNREADABLE as error:
        raise ValueError(f"not a cached motion ({type(error).__name__}: {error}); delete it") from error


def squeeze(motion: Motion) -> bytes:
    """Small: rotations in steps of 1/4096 rad, face units and confidence in steps of 1/255; channel by
    channel.
    """
    frames = len(motion)
    steps = np.concatenate(
        [
            np.round(motion.smplx.reshape(frames, -1) / _POSE_STEP),
            np.round(motion.expression / _UNIT_STEP),
            np.round(motion.confidence / _UNIT_STEP),
        ],
        axis=1,
    )
    assert steps.shape == (frames, _CHANNELS)
    assert np.abs(steps).max(initial=0) < 2**15
    whole = np.ascontiguousarray(steps.astype("<i2").T)  # [C, T]: a channel changes little
    split = whole.view(np.uint8).reshape(-1, 2).T  # low bytes, then high bytes
    return _HEADER.pack(motion.fps, frames) + zlib.compress(split.tobytes(), 9)


def unsqueeze(data: bytes) -> Motion:
    """Raises ValueError when the bytes are not what `squeeze` wrote."""
    try:
        fps, frames = _HEADER.unpack_from(data)
        plain = zlib.decompress(data[_HEADER.size :])
        split = np.frombuffer(plain, np.uint8).reshape(2, _CHANNELS * frames)
    except _UNREADABLE as error:
        raise ValueError(f"not a packed motion ({type(error).__name__}: {error})") from error
    steps = np.ascontiguousarray(split.T).view("<i2").reshape(_CHANNELS, frames).T.astype(np.float32)
    pose = SMPLX_SHAPE[0] * 3
    return _motion(
        fps,
        steps[:, :pose].reshape(frames, *SMPLX_SHAPE) * np.float32(_POSE_STEP),
        steps[:, pose:-2] * np.float32(_UNIT_STEP),
        steps[:, -2:] * np.float32(_UNIT_STEP),
    )


def _motion(fps: float, smplx: FloatArray, expression: FloatArray, confidence: FloatArray) -> Motion:
    arrays = [np.ascontiguousarray(array, dtype=np.float32) for array in (smplx, expression, confidence)]
    frames = len(arrays[0])
    for array, shape in zip(arrays, (SMPLX_SHAPE, EXPRESSION_SHAPE, (2,)), strict=True):
        if array.shape != (frames, *shape) or not np.isfinite(array).all():
            raise ValueError(f"got {array.shape}, expected finite {(frames, *shape)}")
    return load_body().motion(arrays[0], arrays[1], fps, arrays[2])
