"""Where things are: picture pixels to metres in front of our body.

Enters: a recording. Leaves: the scale of its signer, tracks in metres, wrist depth.
Does not know joint angles.

Shoulders fix place and scale (medians over the clip, so that a swaying shoulder stays a sway). Above the
shoulders, heights are scaled so that the signer's eyes meet ours: signs at the chin stay at the chin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.body import Body
from engine.retarget.geometry import Array, fill, smooth
from engine.retarget.recording import BODY, Recording
from engine.skeleton import JOINT, POINT_NAMES

EYE_CORNERS = (33, 263)


@dataclass(frozen=True, eq=False)
class Place:
    """The signer's mid-shoulder [2] and shoulder width in pixels, ours in metres, and the height scale."""

    middle_px: Array
    shoulders_px: float
    middle_m: Array
    shoulders_m: float
    above: float

    def metres(self, track: Array) -> Array:
        """Pixels [..., >= 2] -> x and y in metres [..., 2] in our rest frame (y up)."""
        flat = (track[..., :2] - self.middle_px) / self.shoulders_px * np.array([1.0, -1.0])
        high = np.where(flat[..., 1] > 0, flat[..., 1] * self.above, flat[..., 1])
        return np.asarray(np.stack([flat[..., 0], high], -1) * self.shoulders_m + self.middle_m[:2])


def find_place(recording: Recording, body: Body) -> Place | None:
    """Measure the signer; None where the shoulders were never seen."""
    left, right = recording.point("LEFT_SHOULDER")[:, :2], recording.point("RIGHT_SHOULDER")[:, :2]
    seen = np.isfinite(left).all(1) & np.isfinite(right).all(1)
    if not seen.any():
        return None
    middle = np.median((left[seen] + right[seen]) / 2, 0)
    width = float(np.median(np.linalg.norm(left[seen] - right[seen], axis=1)))
    if width < 2.0:  # pixels: a signer seen exactly from the side, or rubbish
        return None
    rest = body.rest_joints.astype(np.float64)
    middle_m = (rest[JOINT["left_shoulder"]] + rest[JOINT["right_shoulder"]]) / 2
    eyes_m = np.mean([body.rest_points[POINT_NAMES.index(n)] for n in ("left_eye", "right_eye")], axis=0)
    above = 1.0
    eyes = recording.face[:, EYE_CORNERS, 1].mean(1)
    if not np.isfinite(eyes).any():
        eyes = (recording.point("LEFT_EYE")[:, 1] + recording.point("RIGHT_EYE")[:, 1]) / 2
    if np.isfinite(eyes).any():
        theirs = (middle[1] - float(np.nanmedian(eyes))) / width
        ours = float(eyes_m[1] - middle_m[1]) / body.shoulder_width_m
        above = float(np.clip(ours / max(theirs, 1e-3), 0.75, 1.3))
    return Place(middle, width, middle_m, body.shoulder_width_m, above)


def seen_elbow(
    recording: Recording, place: Place, side: str, wrist_px: Array, body: Body
) -> tuple[Array, Array]:
    """The elbow [T, 2] in metres and how far to trust it [T] 0..1.

    Anonymised recordings put the elbow where it never was (first frame subtracted, mean added). Bones tell:
    seen from the front an arm may look shorter than ours, hardly longer.
    """
    track = recording.point(f"{side.upper()}_ELBOW")
    known = np.isfinite(track).all(1)
    elbow = place.metres(fill(track, known))
    if not known.any():
        return elbow, np.zeros(len(recording))
    rest = body.rest_joints.astype(np.float64)
    shoulder, bend, end = (rest[JOINT[f"{side}_{n}"]] for n in ("shoulder", "elbow", "wrist"))
    upper = np.linalg.norm(elbow - shoulder[:2], axis=1) / np.linalg.norm(bend - shoulder)
    fore = np.linalg.norm(elbow - place.metres(wrist_px), axis=1) / np.linalg.norm(end - bend)
    excess = np.clip(np.maximum(upper, fore) - 1.15, 0, None)
    honest = np.exp(-((excess / 0.15) ** 2))
    clip = float(np.exp(-((np.percentile(excess[known], 75) / 0.15) ** 2)))
    confidence = recording.body_confidence[:, BODY[f"{side.upper()}_ELBOW"]]
    return elbow, smooth(honest * clip * confidence * known, 1.0)


def wrist_depth(wrist: Array, elbow: Array, elbow_trust: Array, body: Body, side: str) -> Array:
    """Depth z [T], metres, of a wrist at `wrist` [T, 2]: hands rise in front of the body, not beside it.

    Where the elbow [T, 2] is trusted, averaged with what the two foreshortened bones leave for depth.
    """
    rest = body.rest_joints.astype(np.float64)
    shoulder, bend, end = (rest[JOINT[f"{side}_{n}"]] for n in ("shoulder", "elbow", "wrist"))
    lift = np.clip((wrist[:, 1] + 0.45) / 0.45, 0, 1)
    prior = 0.10 + 0.20 * lift + 0.04 * np.clip(1 - np.abs(wrist[:, 0]) / 0.25, 0, 1) * lift
    upper, fore = np.linalg.norm(bend - shoulder), np.linalg.norm(end - bend)
    out = np.sqrt(np.clip(upper**2 - ((elbow - shoulder[:2]) ** 2).sum(1), 0, None))
    on = np.sqrt(np.clip(fore**2 - ((wrist - elbow) ** 2).sum(1), 0, None))
    ahead, behind = shoulder[2] + out + on, shoulder[2] - 0.6 * out + on
    measured = np.where(np.abs(ahead - prior) < np.abs(behind - prior), ahead, behind).clip(0.05, 0.48)
    return smooth(prior + 0.5 * elbow_trust * (measured - prior), 2.0)
