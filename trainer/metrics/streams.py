"""Whether a long stream stays alive, in place and legible: freezes, drift, the trend of its errors.

Enters: keypoints of a stream (`metrics.motion.points`) and which frames should be signing; errors by window.
Leaves: figures. Does not know models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from engine.signals import FloatArray
from trainer.metrics.motion import HANDS


def longest_freeze_s(
    clip: FloatArray, fps: float, active: npt.NDArray[np.bool_], still: float = 0.15
) -> float:
    """The longest time in which no hand keypoint moves though signing is due.

    active [T]: glosses are pending. still: keypoints slower than this, in shoulder widths a second, are
    still.
    """
    if len(clip) != len(active):
        raise ValueError(f"freeze: got {len(clip)} frames and {len(active)} of activity; expected as many")
    speed = np.linalg.norm(np.diff(clip[:, HANDS], axis=0), axis=-1).max(-1) * fps
    stuck = np.concatenate([[False], (speed < still) & active[1:], [False]])
    edges = np.flatnonzero(stuck[1:] != stuck[:-1])
    runs = edges[1::2] - edges[::2]
    return float(runs.max() / fps) if len(runs) else 0.0


@dataclass(frozen=True)
class Drift:
    """place: the farthest that a window's mean pose is from the first window's, in shoulder widths, over the
    keypoint that moves most. slowest, fastest: hand speed of a window over the first window's, the least and
    the greatest.
    """

    place: float
    slowest: float
    fastest: float


def drift(clip: FloatArray, fps: float, window_s: float = 30.0) -> Drift:
    """Windows of a stream compared with its first. Sign the same text over and over, a whole number of times
    a window, or windows so long that texts even out. Raises ValueError for a stream of fewer than two
    windows.
    """
    window = round(window_s * fps)
    count = len(clip) // window if window else 0
    if count < 2:
        raise ValueError(
            f"drift: got {len(clip) / fps:.1f} s, expected at least two windows of {window_s:g} s; sign for "
            "longer"
        )
    parts = clip[: count * window].reshape(count, window, *clip.shape[1:])
    means = parts.mean(1, dtype=np.float64)
    place = np.linalg.norm(means - means[0], axis=-1).max()
    speed = np.linalg.norm(np.diff(parts[:, :, HANDS], axis=1), axis=-1).mean((1, 2), dtype=np.float64)
    if not speed[0] > 0:
        raise ValueError("drift: nothing moves in the stream's first window; is it signing at all?")
    share = speed / speed[0]
    return Drift(float(place), float(share.min()), float(share.max()))


@dataclass(frozen=True)
class Trend:
    """How a figure changes with time, a minute: `slope`, and the 95 % confidence interval about it."""

    slope: float
    low: float
    high: float

    @property
    def none(self) -> bool:
        """Whether no change at all is within the interval."""
        return self.low <= 0 <= self.high


def trend(minutes: npt.ArrayLike, figures: npt.ArrayLike) -> Trend:
    """Least-squares slope of figures [N] over their minutes [N], with Student's interval (N - 2 degrees).

    A minute holds so few letters that its error is 1 % or 2 % by chance; comparing a last with a first one
    says nothing. Windows of several streams go in together. Raises ValueError for fewer than three, or all
    of one minute.
    """
    x, y = np.asarray(minutes, np.float64), np.asarray(figures, np.float64)
    if x.shape != y.shape or x.size < 3 or np.ptp(x) == 0:
        raise ValueError(
            f"trend: got {x.size} minutes and {y.size} figures; expected as many, at least three, of more "
            "than one minute"
        )
    fit = stats.linregress(x, y)
    reach = float(stats.t.ppf(0.975, x.size - 2) * fit.stderr)
    return Trend(float(fit.slope), float(fit.slope - reach), float(fit.slope + reach))
