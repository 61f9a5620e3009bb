"""What the recordings of one source have in common: the depth scale and the signer's hand.

Enters: recordings of one source (one signer, one camera, one export). Leaves: `Source`.
Does not know poses or motion.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.body import Body, load_body
from engine.retarget.alpha import estimate_alpha
from engine.retarget.geometry import Array, unturn
from engine.retarget.hand import BASE, MIRROR, HandRig, hand_rig, orientation
from engine.retarget.recording import Recording
from engine.skeleton import SIDES

_CONFIDENT_FRAMES = 30
_MOST_FRAMES = 3000


@dataclass(frozen=True, eq=False)
class Source:
    """alpha: pixels per unit of z; and the signer's right hand at rest, in palm lengths.

    A palm length is from the detected wrist to the middle knuckle; the origin is the detected wrist.
    base [5, 3]: where each finger begins, thumb first. lengths [5, 3]: its bones.
    anonymised: face and body are a mean person's (first frame subtracted, mean added), the hands the
    signer's: what a hand seems to touch there is chance.
    """

    alpha: float
    base: Array
    lengths: Array
    anonymised: bool = False

    def as_json(self) -> dict[str, Any]:
        """For caches and their keys; rounded, so that equal sources give equal text."""
        return {
            "alpha": round(self.alpha, 2),
            "base": np.round(self.base, 4).tolist(),
            "lengths": np.round(self.lengths, 4).tolist(),
            "anonymised": self.anonymised,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Source:
        base, lengths = np.array(data["base"], float), np.array(data["lengths"], float)
        return cls(float(data["alpha"]), base, lengths, bool(data["anonymised"]))


def to_body_axes(hand: Array, alpha: float, side: str) -> Array:
    """Landmarks [T, 21, 3] as stored -> a right hand in body axes (y up, z to the camera), wrist at 0."""
    axes = np.array([1.0, -1.0, -alpha])
    return np.asarray((hand - hand[:, :1]) * (axes * MIRROR if side == "left" else axes))


def own_hand(rig: HandRig) -> tuple[Array, Array]:
    """Our body's own hand in palm lengths: base [5, 3], lengths [5, 3]."""
    base = (rig.joints[list(BASE)] - rig.landmarks[0]) / rig.palm_m
    bones = [np.diff(rig.joints[b : b + 4], axis=0) for b in BASE]
    return base, np.linalg.norm(bones, axis=-1) / rig.palm_m


def _anonymised(recordings: list[Recording]) -> bool:
    """Several recordings whose shoulders begin at the very same place: no camera does that. One: unknown."""
    starts = np.array(
        [[r.point("LEFT_SHOULDER")[0, :2], r.point("RIGHT_SHOULDER")[0, :2]] for r in recordings]
    )
    return len(starts) > 2 and bool(np.isfinite(starts).all() and np.ptp(starts, axis=0).max() < 0.01)


def measure_source(
    recordings: Iterable[Recording], *, alpha: float | None = None, body: Body | None = None
) -> Source:
    """Depth scale and hand proportions, pooled over several recordings of the same source.

    More recordings are better, one is enough: with few frames the hand leans towards our body's own.
    """
    recordings = list(recordings)
    rig = hand_rig(body or load_body())
    alpha = estimate_alpha(recordings) if alpha is None else alpha
    base, lengths = own_hand(rig)
    hands = [
        to_body_axes(recording.hands[side][seen], alpha, side)
        for recording in recordings
        for side in SIDES
        if (seen := recording.hand_seen(side)).any()
    ]
    if not hands:
        return Source(alpha, base, lengths, _anonymised(recordings))
    seen_hands: Array = np.concatenate(hands)
    seen_hands = seen_hands[:: 1 + len(seen_hands) // _MOST_FRAMES]
    local = unturn(orientation(rig, seen_hands)[:, None], seen_hands)
    local = local / np.maximum(np.linalg.norm(local[:, 9], axis=1), 1e-9)[:, None, None]
    bones = np.stack([np.diff(local[:, b : b + 4], axis=1) for b in BASE], 1)  # [N, 5, 3, 3]
    trust = len(seen_hands) / (len(seen_hands) + _CONFIDENT_FRAMES)
    # A little above the median: what noise and foreshortening do to a bone is mostly to shorten it.
    return Source(
        alpha,
        base + trust * (np.median(local[:, list(BASE)], 0) - base),
        lengths + trust * (np.percentile(np.linalg.norm(bones, axis=-1), 55, axis=0) - lengths),
        _anonymised(recordings),
    )
