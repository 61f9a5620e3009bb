"""What every renderer is: opened, given motion, closed; and what it gives back.

Enters: `MotionFrame`. Leaves: `Picture`. Does not know the network, encoders, or how motion is made.
A renderer lives on one thread: `open`, `render` and `close` are called there and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine.signals import MotionFrame

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Picture:
    """One video frame.

    i420 [H*3/2, W] uint8: planar Y, U, V (BT.601, limited range), rows top to bottom; owned by the receiver.
    alpha [H, W] uint8: opacity when the background is transparent, else None (RGB is then over black).
    gloss: as in the motion frame that was drawn.
    """

    seq: int
    pts_ns: int
    width: int
    height: int
    i420: Bytes
    alpha: Bytes | None = None
    gloss: int = -1


class Renderer(Protocol):
    """Draws one signer. Errors: `open` raises RuntimeError when the device is absent, naming the remedy."""

    def open(self) -> None: ...

    def render(self, motion: MotionFrame) -> Picture: ...

    def rgba(self, motion: MotionFrame) -> Bytes:
        """The same picture as [H, W, 4] uint8, straight alpha: for stills and contact sheets."""
        ...

    def close(self) -> None: ...
