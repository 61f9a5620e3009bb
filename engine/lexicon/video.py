"""A video of one sign becomes a `.pose` recording, with MediaPipe Holistic (the `vision` extra).

Enters: the path of a video. Leaves: the bytes of a `.pose` file. Does not know lexicons.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

from engine.retarget.recording import MAX_FRAMES


def pose_from_video(path: Path, progress: Callable[[int], object] = lambda frames: None) -> bytes:
    """Raises ValueError when the `vision` extra is missing, or the file is no video or too long."""
    try:
        from pose_format.utils.holistic import load_holistic
    except ImportError as error:
        raise ValueError(
            f"{path}: reading signs from video needs MediaPipe ({error}); install the extra with "
            "`pip install 'handstream[vision]'`, or give a .pose file"
        ) from error
    frames, fps = _frames(path)
    height, width = frames[0].shape[:2]

    def watched() -> Any:
        for frame in frames:
            progress(1)
            yield frame

    pose = load_holistic(
        watched(), fps=fps, width=width, height=height, depth=width, additional_holistic_config=_CONFIG
    )
    out = io.BytesIO()
    pose.write(out)
    return out.getvalue()


_CONFIG = {"model_complexity": 1, "refine_face_landmarks": False}


def _frames(path: Path) -> tuple[list[Any], float]:
    """RGB frames [H, W, 3] uint8 and their rate."""
    frames: list[Any] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path}: no video in it; give a video or a .pose file")
            stream = container.streams.video[0]
            fps = float(stream.average_rate or 25)
            for frame in container.decode(stream):
                frames.append(np.ascontiguousarray(frame.to_ndarray(format="rgb24")))
                if len(frames) > MAX_FRAMES // 20:
                    raise ValueError(
                        f"{path}: longer than {MAX_FRAMES // 20} frames; cut it to the one sign it shows"
                    )
    except (av.FFmpegError, OSError) as error:
        raise ValueError(f"{path}: not a readable video ({error}); give a video or a .pose file") from error
    if not frames:
        raise ValueError(f"{path}: no frames in it; record it again")
    return frames, fps
