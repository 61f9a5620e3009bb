"""Reading a recording: a holistic `.pose` file becomes named landmark tracks.

Enters: the path of a `.pose` file (pose-format), 586, 576 or 178 points a frame. Leaves: `Recording`.
Does not know bodies or motion.

The file stores x * width and y * height in pixels, but z in MediaPipe's own unit: see `alpha`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from pose_format import Pose

from engine.retarget.geometry import Array, Mask
from engine.skeleton import SIDES

MAX_BYTES: Final = 256 * 2**20
MAX_FRAMES: Final = 20_000
BODY_POINTS: Final = (
    "NOSE", "LEFT_EYE_INNER", "LEFT_EYE", "LEFT_EYE_OUTER", "RIGHT_EYE_INNER", "RIGHT_EYE", "RIGHT_EYE_OUTER",
    "LEFT_EAR", "RIGHT_EAR", "MOUTH_LEFT", "MOUTH_RIGHT", "LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_ELBOW",
    "RIGHT_ELBOW", "LEFT_WRIST", "RIGHT_WRIST",
)  # fmt: skip
"""The MediaPipe pose landmarks we use, by name: reduced recordings carry only some of them."""
BODY: Final = {name: i for i, name in enumerate(BODY_POINTS)}
FACE_COUNT: Final = 468

_READ_ERRORS = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, MemoryError, EOFError,
    ZeroDivisionError, RecursionError, UnicodeDecodeError, struct.error, AssertionError, NotImplementedError,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Recording:
    """Landmarks of one person over T frames; what was not seen is NaN.

    body [T, 17, 3]: `BODY_POINTS`; face [T, 468, 3]: MediaPipe face mesh; hands["left" | "right"] [T, 21, 3].
    x right and y down in pixels, z in the file's own unit (towards the camera is negative).
    body_confidence [T, 17] 0..1.
    """

    fps: float
    body: Array
    face: Array
    hands: dict[str, Array]
    body_confidence: Array
    name: str = field(default="recording")

    def __post_init__(self) -> None:
        frames = len(self.body)
        if frames == 0:
            raise ValueError(f"{self.name}: no frames; expected at least one. Check start and end.")
        if not 1.0 <= self.fps <= 1000.0:
            raise ValueError(
                f"{self.name}: got {self.fps} frames a second, expected 1..1000. Re-export the file."
            )
        for got, expected in (
            (self.body.shape, (frames, len(BODY_POINTS), 3)),
            (self.face.shape, (frames, FACE_COUNT, 3)),
            (self.body_confidence.shape, (frames, len(BODY_POINTS))),
            *((self.hands[side].shape, (frames, 21, 3)) for side in SIDES),
        ):
            if got != expected:
                raise ValueError(f"{self.name}: got landmarks {got}, expected {expected}")

    def __len__(self) -> int:
        return len(self.body)

    def hand_seen(self, side: str) -> Mask:
        """[T]: frames in which all 21 points of a hand are there and the hand has a size."""
        hand = self.hands[side][..., :2]
        seen = np.isfinite(hand).all((1, 2))
        return np.asarray(seen & (np.ptp(np.where(seen[:, None, None], hand, 0.0), axis=1).max(1) > 1.0))

    def point(self, name: str) -> Array:
        """[T, 3] of one body point, NaN where it was not seen."""
        return self.body[:, BODY[name]]


def read_pose(path: str | Path, start_ms: float = 0, end_ms: float | None = None) -> Recording:
    """Read frames [start_ms, end_ms) of a `.pose` file; `end_ms` None, 0 or past the end means to the end.

    Raises ValueError, saying what is wrong and what to do, when the file is missing, too large, corrupt,
    truncated, empty, or holds no MediaPipe holistic landmarks.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path}: larger than {MAX_BYTES >> 20} MiB; cut it into single signs")
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error.strerror}); check the path and the permissions"
        ) from error
    try:
        pose = Pose.read(data)
        points = np.asarray(pose.body.data.data)[:, 0]  # [T, N, dimensions], first person
        confidence = np.asarray(pose.body.confidence)[:, 0].astype(np.float64)
        fps = float(pose.body.fps)
        names = {component.name: list(component.points) for component in pose.header.components}
    except _READ_ERRORS as error:
        raise ValueError(
            f"{path}: not a readable .pose file ({type(error).__name__}: {error}); "
            "it may be truncated or corrupt: copy or record it again"
        ) from error
    if points.ndim != 3 or points.shape[2] < 3 or points.shape[1] != sum(map(len, names.values())):
        raise ValueError(f"{path}: got landmarks {points.shape}, expected [frames, points, 3] (x, y, z)")
    if not np.isfinite(fps) or fps <= 0:
        raise ValueError(f"{path}: got {fps} frames a second, expected more than 0: re-export it")
    first = max(0, int(start_ms * fps / 1000))
    last = len(points) if not end_ms else min(len(points), int(np.ceil(end_ms * fps / 1000)))
    if last - first > MAX_FRAMES:
        raise ValueError(
            f"{path}: {last - first} frames, expected at most {MAX_FRAMES}; cut it into single signs"
        )
    if last <= first:
        raise ValueError(
            f"{path}: no frames between {start_ms} and {end_ms} ms; it has {len(points)} at {fps:g} fps"
        )
    points = points[first:last, :, :3].astype(np.float64)
    confidence = confidence[first:last]
    known = np.isfinite(points).all(-1) & (np.abs(points) < 1e6).all(-1) & (confidence > 0)
    points[~known] = np.nan
    return _assemble(path, fps, points, np.where(known, np.clip(confidence, 0, 1), 0.0), names)


def _assemble(
    path: Path, fps: float, points: Array, confidence: Array, names: dict[str, list[str]]
) -> Recording:
    frames = len(points)
    body = np.full((frames, len(BODY_POINTS), 3), np.nan)
    body_confidence = np.zeros((frames, len(BODY_POINTS)))
    face = np.full((frames, FACE_COUNT, 3), np.nan)
    hands = {side: np.full((frames, 21, 3), np.nan) for side in SIDES}
    offset = 0
    for component, labels in names.items():
        here = points[:, offset : offset + len(labels)]
        if component == "POSE_LANDMARKS":
            for i, label in enumerate(labels):
                if label in BODY:
                    body[:, BODY[label]] = here[:, i]
                    body_confidence[:, BODY[label]] = confidence[:, offset + i]
        elif component == "FACE_LANDMARKS":
            for i, label in enumerate(labels):
                if label.isdecimal() and int(label) < FACE_COUNT:
                    face[:, int(label)] = here[:, i]
        elif component in ("LEFT_HAND_LANDMARKS", "RIGHT_HAND_LANDMARKS") and len(labels) == 21:
            hands[component.split("_")[0].lower()][:] = here
        offset += len(labels)
    shoulders = body[:, [BODY["LEFT_SHOULDER"], BODY["RIGHT_SHOULDER"]]]
    if np.isnan(body).all() and all(np.isnan(hand).all() for hand in hands.values()):
        raise ValueError(
            f"{path}: no body and no hands in it (components: {', '.join(names) or 'none'}); "
            "expected MediaPipe holistic landmarks, as written by `video_to_pose --format mediapipe`"
        )
    if not np.isfinite(shoulders).all((1, 2)).any():
        # Without shoulders nothing says how large or where the signer is: honest zeros, not a guess.
        for hand in hands.values():
            hand[:] = np.nan
    return Recording(fps, body, face, hands, body_confidence, path.name)
