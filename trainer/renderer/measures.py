"""Figures of a video renderer that pictures alone do not tell: hands, identity, flicker.

Enters: pictures [T, S, S, 3] uint8, made and true. Leaves: figures. Does not know models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from engine.signals import FloatArray
from trainer.metrics.pictures import Pictures, random_features

Array = npt.NDArray[np.float64]
EYE_PX = 512
"""Pictures are enlarged to this before MediaPipe looks: it finds no hands in small ones."""
SAME_HAND = 1.0
"""Palms: landmarks further off than this on average are of something else, mostly of the other hand."""
STILL = 2
"""A place whose true picture changes by no more than so many of 255 levels is still."""
HEAD = ((0.02, 0.38), (0.33, 0.67))
"""Rows and columns of the head, as shares of the picture: everybody's is framed alike."""


def hand_psnr(made: Pictures, true: Pictures, hands: FloatArray) -> float:
    """PSNR in dB in the circles around both hands [T, 2, 3] (pixel x, y, reach), all frames together."""
    y, x = np.mgrid[: true.shape[1], : true.shape[2]] + 0.5
    at = hands[..., None, None]
    inside = (((x - at[:, :, 0]) ** 2 + (y - at[:, :, 1]) ** 2) < (1.3 * at[:, :, 2]) ** 2).any(1)
    error = np.square(made.astype(np.float64) - true)[inside]
    return float(10 * np.log10(255**2 / max(error.mean(), 1e-9))) if error.size else float("nan")


def flicker(made: Pictures, true: Pictures) -> float:
    """Mean change (of 255 levels) from frame to frame where the true picture is still, less its own."""
    ours, theirs = (np.abs(np.diff(p.astype(np.int16), axis=0)).max(-1) for p in (made, true))
    still = theirs <= STILL
    return float(ours[still].mean() - theirs[still].mean()) if still.any() else float("nan")


def head(pictures: Pictures) -> Pictures:
    """The heads."""
    size = pictures.shape[1]
    rows, columns = (slice(round(a * size), round(b * size)) for a, b in HEAD)
    return np.ascontiguousarray(pictures[:, rows, columns])


def identity_distances(made: Pictures, reference: Pictures, others: Pictures) -> Array:
    """How far each picture's head is from the reference's [1, S, S, 3], in units of how far other signers'
    references are from it on average: 0 the same, 1 somebody else. Features: `random_features` of heads."""
    ours, own, theirs = (random_features(head(p)) for p in (made, reference, others))
    apart = np.linalg.norm(theirs - own, axis=1).mean()
    return np.asarray(np.linalg.norm(ours - own, axis=1) / max(apart, 1e-9))


@dataclass(frozen=True)
class Trend:
    """A straight line through figures over time: slope a minute, and the half width of its 95 % interval.

    Frames that follow each other are alike, so the interval is of means of a second."""

    slope: float
    margin: float

    @property
    def drifts(self) -> bool:
        return self.slope > self.margin


def trend(values: Array, fps: float) -> Trend:
    """Raises ValueError for less than four seconds."""
    second = max(1, round(fps))
    means = values[: len(values) // second * second].reshape(-1, second).mean(1)
    if len(means) < 4:
        raise ValueError(
            f"trend: got {len(values)} frames at {fps:g} a second, expected at least four seconds"
        )
    minutes = np.arange(len(means)) / 60
    centred = minutes - minutes.mean()
    slope = float((centred * means).sum() / np.square(centred).sum())
    left = means - means.mean() - slope * centred
    error = float(np.sqrt(np.square(left).sum() / (len(means) - 2) / np.square(centred).sum()))
    from scipy.stats import t

    return Trend(slope, float(t.ppf(0.975, len(means) - 2)) * error)


@dataclass(frozen=True)
class HandReading:
    """looked: pictures; found_true, found: in how many MediaPipe saw the raised hand; error, error_true: mean
    distance of its 21 landmarks from where the motion has them, in lengths of the palm, in the made pictures
    and in the true ones (NaN: seen nowhere); ratio: the first over the second where both were seen."""

    looked: int
    found_true: int
    found: int
    error: float
    error_true: float
    ratio: float


def read_hands(made: Pictures, true: Pictures, places: FloatArray) -> HandReading:
    """What MediaPipe hands (the `vision` extra) sees in both of the raised hand of places [T, 2, 21, 2],
    shares of the picture. Raises ValueError where it is not installed."""
    try:
        from mediapipe.python.solutions.hands import Hands
    except ImportError as error:
        raise ValueError(
            f"hand keypoints need MediaPipe ({error}); install the extra: pip install 'handstream[vision]'"
        ) from error
    raised = places[np.arange(len(places)), places[..., 1].mean(2).argmin(1)]
    with Hands(static_image_mode=True, max_num_hands=2, min_detection_confidence=0.5) as eye:
        seen = [[hand_error(_hands(eye, p[n]), raised[n]) for p in (true, made)] for n in range(len(raised))]
    errors = np.array(seen, np.float64)  # None becomes NaN
    both = errors[np.isfinite(errors).all(1)]
    told = [float(e[np.isfinite(e)].mean()) if np.isfinite(e).any() else float("nan") for e in errors.T]
    ratio = float(both[:, 1].mean() / both[:, 0].mean()) if len(both) else float("nan")
    found_true, found = (int(n) for n in np.isfinite(errors).sum(0))
    return HandReading(len(seen), found_true, found, told[1], told[0], ratio)


def hand_error(hands: Sequence[Array], true: FloatArray) -> float | None:
    """Mean distance of landmarks [21, 2] from the true ones, in palms: of the nearest hand, None where none
    is within `SAME_HAND`."""
    palm = max(float(np.linalg.norm(true[9] - true[0])), 1e-6)
    errors = [float(np.linalg.norm(hand - true, axis=1).mean()) / palm for hand in hands]
    return min((e for e in errors if e < SAME_HAND), default=None)


def _hands(eye: object, picture: npt.NDArray[np.uint8]) -> list[Array]:
    """Landmarks [21, 2] of every hand that is seen, shares of the picture."""
    large = np.asarray(Image.fromarray(picture).resize((EYE_PX, EYE_PX), Image.Resampling.BICUBIC))
    found = eye.process(large).multi_hand_landmarks  # type: ignore[attr-defined]
    return [np.array([[p.x, p.y] for p in hand.landmark]) for hand in found or ()]
