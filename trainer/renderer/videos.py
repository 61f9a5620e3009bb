"""A user's own videos as training pictures: MediaPipe sees the signer, the retargeter says how they move.

Enters: a video of one signer, from the front. Leaves: `PictureClip`s. Does not know folders or models. The
person in it must have agreed to being learned: see docs/video-renderer.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from engine.lexicon.video import pose_from_video
from engine.retarget import Recording, read_pose, retarget
from engine.skeleton import SIDES
from renderer.base import Bytes
from renderer.diffusion.reference import cut_out
from trainer.renderer.clips import PictureClip

LEAST_HANDS = 0.1
"""Of the frames: with hands seen in fewer there is nothing to learn about signing."""
CLIP_FRAMES = 48


def video_clips(path: Path, size: int) -> Iterator[PictureClip]:
    """The video cut out around the signer, in clips of up to two seconds or so.

    Raises ValueError for what is no video, shows nobody, or no hands.
    """
    with tempfile.TemporaryDirectory() as folder:
        pose = Path(folder) / f"{path.stem}.pose"
        pose.write_bytes(pose_from_video(path))
        try:
            recording = read_pose(pose)
        except ValueError as error:
            raise ValueError(f"{path}: nobody is seen in it; film one person from the front") from error
    left, right = checked(recording, path)
    motion = retarget(recording)
    pictures = np.stack([cut_out(picture, left, right, size) for picture in _pictures(path)])
    frames = min(len(motion), len(pictures))
    reference = motion[:1]
    for number, start in enumerate(range(0, frames - 1, CLIP_FRAMES)):
        part = slice(start, min(start + CLIP_FRAMES, frames))
        if part.stop - part.start >= 2:
            yield PictureClip(
                f"{path.stem}-{number:04d}", path.stem, motion[part], pictures[part], pictures[0], reference
            )


def checked(recording: Recording, path: Path) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Where the shoulders are, in pixels. Raises ValueError without a person, or without hands."""
    shoulders = [recording.point(f"{side.upper()}_SHOULDER")[:, :2] for side in SIDES]
    both = np.isfinite(np.concatenate(shoulders, 1)).all(1)
    if not both.any():
        raise ValueError(f"{path}: nobody's shoulders are seen in it; film one person from the front")
    seen = np.mean([recording.hand_seen(side) for side in SIDES], axis=1).max()
    if seen < LEAST_HANDS:
        raise ValueError(
            f"{path}: hands are seen in {seen:.0%} of its frames, expected at least {LEAST_HANDS:.0%}; "
            "leave it out, or film with the hands in the picture and more light"
        )
    left, right = (np.median(points[both], axis=0) for points in shoulders)
    return left, right


def _pictures(path: Path) -> Iterator[Bytes]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
