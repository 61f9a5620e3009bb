"""Do the letters on the avatar read? An independent eye, MediaPipe hands, compares pictures with recordings.

Enters: the ASL alphabet's recordings, a way to draw a motion frame. Leaves: `Reading`, one per letter.

Protocol. Of each letter's recording the `hold_frame` (raised, still) is retargeted and drawn at 512 x 512,
full frame. MediaPipe hands finds the signing hand in the picture; nothing else of the picture is told to it.
- found: it sees a hand there, at confidence 0.5.
- angle error: the 15 joint angles (between neighbouring bones, in 3D) of what it sees in the picture against
  those it saw in the source recording. Mean and median over all angles of all letters found.
- named right: of the 26 source recordings, the one whose 20 bone directions are nearest on average is that
  letter. Depth, which a single camera guesses, counts 0.3.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.retarget import LETTER_LANGUAGES, Recording, measure_source, read_pose, retarget
from engine.signals import Motion, MotionFrame
from engine.skeleton import HAND_BONES

Array = npt.NDArray[np.float64]
Draw = Callable[[MotionFrame], npt.NDArray[np.uint8]]
SIZE = 512
DEPTH_SHARE = 0.3
COMING = 4
"""Frames that are drawn before the one that is looked at."""
_BONES = np.array(HAND_BONES)


@dataclass(frozen=True, eq=False)
class Reading:
    """One letter: source and seen landmarks [21, 3] in pixels (seen None: not found), nearest letter."""

    letter: str
    source: Array
    seen: Array | None
    picture: npt.NDArray[np.uint8]
    motion: Motion
    frame: int
    named: str = ""

    @property
    def angle_errors(self) -> Array:
        """[15] degrees."""
        assert self.seen is not None
        return np.abs(joint_angles(self.source) - joint_angles(self.seen))


def alphabet(language: str = "ase") -> dict[str, Recording]:
    folder = Path(str(files("spoken_to_signed"))) / "assets" / "fingerspelling_lexicon"
    with (folder / "index.csv").open() as index:
        rows = [row for row in csv.DictReader(index) if row["signed_language"] == language]
    return {
        row["words"]: read_pose(folder / row["path"]) for row in sorted(rows, key=lambda row: row["words"])
    }


def hold_frame(recording: Recording, side: str) -> int:
    """The stillest frame while the hand is raised: where a letter is held."""
    seen, hand = recording.hand_seen(side), recording.hands[side]
    size = np.nanmedian(np.linalg.norm(hand[:, 9, :2] - hand[:, 0, :2], axis=1))
    speed = np.full(len(hand), np.inf)
    speed[1:-1] = np.linalg.norm(hand[2:, :, :2] - hand[:-2, :, :2], axis=2).mean(1) / size
    speed[~np.isfinite(speed)] = np.inf
    around = [speed[max(0, t - 2) : t + 3] for t in range(len(hand))]
    calm = np.array([a[np.isfinite(a)].mean() if np.isfinite(a).any() else np.inf for a in around])
    height = np.where(seen, np.nan_to_num(hand[:, :, 1]).mean(1), np.inf)
    low = height[seen].max()
    raised = height < height.min() + 0.35 * (low - height.min()) + 1e-6
    return int(np.argmin(np.where(seen & raised, calm, np.inf)))


def joint_angles(hand: Array) -> Array:
    """[21, 3] -> 15 angles in degrees, three a finger, between neighbouring bones from the wrist outwards."""
    out = []
    for finger in range(5):
        bones = np.diff(hand[[0, *range(1 + 4 * finger, 5 + 4 * finger)]], axis=0)
        bones /= np.linalg.norm(bones, axis=1, keepdims=True) + 1e-9
        out.append(np.degrees(np.arccos(np.clip((bones[1:] * bones[:-1]).sum(1), -1, 1))))
    return np.concatenate(out)


def unlikeness(a: Array, b: Array) -> float:
    """Mean angle in degrees between the 20 bones of two hands, depth shrunk."""
    directions = []
    for hand in (a, b):
        bones = (hand[_BONES[:, 1]] - hand[_BONES[:, 0]]) * [1, 1, DEPTH_SHARE]
        directions.append(bones / (np.linalg.norm(bones, axis=1, keepdims=True) + 1e-9))
    return float(np.degrees(np.arccos(np.clip((directions[0] * directions[1]).sum(1), -1, 1))).mean())


class Eye:
    """MediaPipe hands on single pictures; the raised hand of those it finds."""

    def __init__(self) -> None:
        from mediapipe.python.solutions.hands import Hands

        self._hands = Hands(
            static_image_mode=True, max_num_hands=2, model_complexity=1, min_detection_confidence=0.5
        )

    def look(self, rgb: npt.NDArray[np.uint8]) -> Array | None:
        """[H, W, 3] -> [21, 3] pixels (z in pixels too), or None."""
        height, width = rgb.shape[:2]
        found = self._hands.process(np.ascontiguousarray(rgb)).multi_hand_landmarks
        if not found:
            return None
        hands = [
            np.array([[p.x * width, p.y * height, p.z * width] for p in hand.landmark]) for hand in found
        ]
        return min(hands, key=lambda hand: hand[:, 1].mean())

    def close(self) -> None:
        self._hands.close()


def read_letters(draw: Draw, language: str = "ase", **options: object) -> list[Reading]:
    """Retarget, draw and read every letter. options go to `retarget`."""
    recordings = alphabet(language)
    source = measure_source(recordings.values())
    eye = Eye()
    readings = []
    for letter, recording in recordings.items():
        side = max(("right", "left"), key=lambda s: recording.hand_seen(s).sum())
        frame = hold_frame(recording, side)
        rule = letter if language in LETTER_LANGUAGES else None
        motion = retarget(recording, source=source, letter=rule, **options)  # type: ignore[arg-type]
        *coming, still = motion[max(0, frame - COMING) : frame + 1].frames()
        for moved in coming:  # a video renderer is told the picture before
            draw(moved)
        picture = draw(still)[..., :3]
        landmarks = recording.hands[side][frame] * [1, 1, source.alpha]
        readings.append(Reading(letter, landmarks, eye.look(picture), picture, motion, frame))
    eye.close()
    templates = {reading.letter: reading.source for reading in readings}
    return [
        Reading(r.letter, r.source, r.seen, r.picture, r.motion, r.frame, _nearest(r.seen, templates))
        for r in readings
    ]


def _nearest(seen: Array | None, templates: dict[str, Array]) -> str:
    if seen is None:
        return ""
    return min(templates, key=lambda letter: unlikeness(templates[letter], seen))


def summary(readings: list[Reading]) -> dict[str, float]:
    found = [reading for reading in readings if reading.seen is not None]
    errors = np.concatenate([reading.angle_errors for reading in found])
    return {
        "letters": len(readings),
        "found": len(found),
        "named_right": sum(reading.named == reading.letter for reading in found),
        "angle_error_mean_deg": round(float(errors.mean()), 2),
        "angle_error_median_deg": round(float(np.median(errors)), 2),
    }
