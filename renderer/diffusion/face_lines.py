"""The lines of a face: eyes, brows and lips, moved by face units.

Enters: face units [T, 52]. Leaves: line ends in the head's frame, metres. Does not know cameras or colours.
Grammar is on the face too: a question's brows, a "not", mouthings. Lines are enough to say what it does.
"""

from __future__ import annotations

import numpy as np

from engine.signals import FloatArray
from engine.skeleton import FACE
from renderer.diffusion.figure import BROW_M, EYE_M, FACE_COLOURS, MOUTH_M

LINES = 10
COLOURS = np.array(
    [FACE_COLOURS[kind] for kind in ("eye", "eye", "eye", "eye", "brow", "brow", "lip", "lip", "lip", "lip")],
    np.float32,
)


def face_lines(expression: FloatArray) -> FloatArray:
    """expression [T, 52] -> [T, 10, 2, 3]: two lid lines an eye, a line a brow, two lines a lip."""
    units = {name: expression[:, number] for name, number in FACE.items()}
    lines: list[FloatArray] = []
    for sign, side in ((1, "Left"), (-1, "Right")):
        open_m = 0.006 * (1 - units[f"eyeBlink{side}"]) + 0.003 * units[f"eyeWide{side}"]
        x, y, z = EYE_M
        lines += [
            _line(sign * (x - 0.014), y + s * open_m, sign * (x + 0.014), y + s * open_m, z) for s in (1, -1)
        ]
    for sign, side in ((1, "Left"), (-1, "Right")):
        x, y, z = BROW_M
        inner = y + 0.012 * units["browInnerUp"] - 0.008 * units[f"browDown{side}"]
        outer = y + 0.010 * units[f"browOuterUp{side}"] - 0.006 * units[f"browDown{side}"]
        lines.append(_line(sign * (x - 0.017), inner, sign * (x + 0.019), outer, z))
    wide = np.zeros_like(units["jawOpen"])
    for side in ("Left", "Right"):
        wide = wide + 0.005 * (units[f"mouthSmile{side}"] + units[f"mouthStretch{side}"])
    half = 0.024 + wide - 0.010 * np.maximum(units["mouthPucker"], units["mouthFunnel"])
    corner = MOUTH_M[1] + 0.008 * (units["mouthSmileLeft"] - units["mouthFrownLeft"])
    apart = 0.022 * units["jawOpen"] * (1 - units["mouthClose"]) + 0.006 * units["mouthFunnel"]
    up, low = MOUTH_M[1] + 0.004 + 0.2 * apart, MOUTH_M[1] - 0.004 - apart
    for middle in (up, low):
        lines += [_line(sign * half, corner, 0 * half, middle, MOUTH_M[2]) for sign in (1, -1)]
    return np.stack(lines, 1)


def _line(x0: object, y0: object, x1: object, y1: object, z: float) -> FloatArray:
    """[T, 2, 3]"""
    ends = np.broadcast_arrays(*(np.asarray(v, np.float32) for v in (x0, y0, z, x1, y1, z)))
    return np.asarray(np.stack(ends, -1).reshape(-1, 2, 3), np.float32)
