"""What every renderer is: opened, given motion, closed; what it gives back, and when it is given up.

Enters: `MotionFrame`. Leaves: `Picture`. Does not know the network, encoders, or how motion is made.
A renderer lives on one thread: `open`, `render` and `close` are called there and nowhere else. Renderers of a
signer stand on a ladder (video renderer, avatar, or avatar and a spare of it): the highest that is fit draws.
`Policy` says what fit means; `stream.rendering` carries it out.
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


class DeviceLost(RuntimeError):
    """What it drew with was taken away (driver reset, unplugged): the renderer is opened again elsewhere."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When a renderer is given up for the one below it, and how it earns its place back.

    late_periods: a call longer than so many frame periods is overdue; what waits then is drawn below.
    slow_calls: after so many overdue calls in a row it is taken off; 0 for one with nothing quicker below.
    hung_s: a call that has not returned for so long is abandoned, with its thread. open_s: the same while it
    is opened (shaders and graphs compile). retry_s, retry_most_s: the first pause before it is opened again,
    doubled by each failure up to the most; steady_s without failure and the pause is short again.
    trial_pictures: after that it draws so many that nobody sees, in time, before it is seen.
    dissolve_frames: from its pictures to those of the one below, and back, takes so many.
    """

    late_periods: float = 1.5
    slow_calls: int = 0
    hung_s: float = 3.0
    open_s: float = 60.0
    retry_s: float = 0.25
    retry_most_s: float = 30.0
    steady_s: float = 60.0
    trial_pictures: int = 3
    dissolve_frames: int = 0

    def __post_init__(self) -> None:
        for name in ("late_periods", "hung_s", "open_s", "retry_s", "retry_most_s", "steady_s"):
            if not 0 < getattr(self, name) <= 3600:
                raise ValueError(
                    f"Policy.{name}: got {getattr(self, name)}, expected more than 0, up to 3600"
                )
        for name in ("slow_calls", "trial_pictures", "dissolve_frames"):
            if not 0 <= getattr(self, name) <= 1000:
                raise ValueError(f"Policy.{name}: got {getattr(self, name)}, expected 0 to 1000")


SPARE = Policy()
"""For the avatar above a spare of itself: the spare is no quicker, so slowness alone changes nothing."""
PREFERRED = Policy(late_periods=1.0, slow_calls=3, retry_s=1.0)
"""For a renderer above a quicker one: a late picture is drawn below at once."""


VIDEO = Policy(late_periods=0.6, slow_calls=3, open_s=300.0, retry_s=1.0, dissolve_frames=4)
"""For the video renderer above the avatar: late while there is still time for the avatar to draw that
picture, so that there is a new one in every period. Opening it may compile for minutes."""


class Renderer(Protocol):
    """Draws one signer.

    Errors: `open` raises RuntimeError when the device is absent, naming the remedy; `render` raises
    DeviceLost when it went away. The first motion after `open` may be a resting pose, to warm up.
    """

    def open(self) -> None: ...

    def render(self, motion: MotionFrame) -> Picture: ...

    def rgba(self, motion: MotionFrame) -> Bytes:
        """The same picture as [H, W, 4] uint8, straight alpha: for stills and contact sheets."""
        ...

    def close(self) -> None: ...
