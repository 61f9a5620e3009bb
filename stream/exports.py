"""A performance to a file: video, .pose, .npz, contact sheet.

Enters: a `Performance` and a path. Leaves: the file (written beside the path, then moved, so that a failure
leaves nothing half-written). Does not know how motion is made.
"""

from __future__ import annotations

import errno
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from engine.body import load_body
from engine.signals import MotionFrame
from engine.skeleton import COCO18_NAMES, FINGERS, HAND_BONES
from renderer.base import Renderer
from stream.label import label_i420, label_rgba
from stream.offline import Performance
from stream.provenance import ALGORITHM, TAG, append_xmp, png_info

LABEL = "Machine-generated signing (Handstream)"
OPAQUE = (".mp4", ".mov")
NO_TRANSPARENCY = "say: {} holds no transparency; use --out x.webm or x.png, or --background plain"
Progress = Callable[[int, int], None]
Seal = Callable[[Path, str, str], None]
"""Takes a finished file, the label, and the digital source type."""

_LIMBS = (
    (0, 1),
    (1, 2),
    (2, 3),
    (3, 4),
    (1, 5),
    (5, 6),
    (6, 7),
    (1, 8),
    (1, 11),
    (0, 14),
    (0, 15),
    (14, 16),
    (15, 17),
)
_POSE_SCALE = 200.0
"""Pixels per shoulder width in `.pose` files."""
_POSE_SIZE = (800, 800)


def check_folder(path: Path) -> None:
    """Raises ValueError when there is no folder for the file."""
    if not path.parent.is_dir():
        raise ValueError(f"say: no folder {path.parent}; create it, or name another --out")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that becomes `path` on success and vanishes on failure.

    Raises ValueError, naming the remedy, when the folder is missing or full or `path` cannot be written.
    """
    check_folder(path)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        temporary = Path(name)
        os.close(handle)
        yield temporary
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        remedy = "free some space there" if error.errno == errno.ENOSPC else "check that it can be written"
        raise ValueError(
            f"say: cannot write {path} ({error.strerror or error}); {remedy}, or name another --out"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def frames_of(performance: Performance) -> Iterator[MotionFrame]:
    for frame, gloss in zip(performance.motion.frames(), performance.gloss_index, strict=True):
        yield MotionFrame(
            frame.seq, frame.pts_ns, frame.pose, frame.hands, frame.smplx, frame.expression, int(gloss)
        )


def write_npz(performance: Performance, path: Path) -> None:
    """Arrays `pose [T,60,2]`, `hands [T,2,16,3]`, `smplx [T,55,3]`, `expression [T,52]`, `gloss_index [T]`,
    with `fps`, `glosses` (labels) and `label`: that this is machine-generated."""
    motion = performance.motion
    packed = io.BytesIO()  # a zip file that breaks off half-way complains on its own account
    np.savez_compressed(
        packed,
        pose=motion.pose,
        hands=motion.hands,
        smplx=motion.smplx,
        expression=motion.expression,
        fps=np.float32(motion.fps),
        glosses=np.array([g.label for g in performance.glosses]),
        gloss_index=performance.gloss_index,
        label=np.array(LABEL),
    )
    with replacing(path) as temporary:
        temporary.write_bytes(packed.getbuffer())


def write_pose(performance: Performance, path: Path) -> None:
    """The 60 keypoints with depth as pose-format v0.1: BODY (18 points), left and right hand (21 each).

    The format has no place for a label: a component more, even without points, and its viewers fail."""
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

    body = load_body()
    keypoints = body.keypoints(*body.fk(performance.motion.smplx))  # [T, 60, 3] metres
    centred = (keypoints - keypoints[:, 1:2]) / body.shoulder_width_m * _POSE_SCALE
    width, height = _POSE_SIZE
    pixels = centred * np.array([1, -1, -1], np.float32) + np.array([width / 2, height * 0.4, 0], np.float32)

    hand_points = ["WRIST"] + [f"{finger.upper()}_{k}" for finger in FINGERS for k in range(1, 5)]
    body_colours = [(90, 110, 140)] * len(_LIMBS)
    finger_colours = [(230, 60, 60), (230, 150, 30), (60, 170, 60), (50, 110, 230), (160, 60, 200)]
    hand_colours = [finger_colours[k // 4] for k in range(len(HAND_BONES))]
    components = [
        PoseHeaderComponent("BODY", [n.upper() for n in COCO18_NAMES], list(_LIMBS), body_colours, "XYZC"),
        PoseHeaderComponent("LEFT_HAND_LANDMARKS", hand_points, list(HAND_BONES), hand_colours, "XYZC"),
        PoseHeaderComponent("RIGHT_HAND_LANDMARKS", hand_points, list(HAND_BONES), hand_colours, "XYZC"),
    ]
    header = PoseHeader(
        version=0.1, dimensions=PoseHeaderDimensions(width, height, width), components=components
    )
    data = np.ma.asarray(pixels[:, None].astype(np.float32))  # type: ignore[no-untyped-call]
    confidence = np.ones(data.shape[:3], np.float32)
    pose = Pose(header, NumPyPoseBody(fps=performance.motion.fps, data=data, confidence=confidence))
    with replacing(path) as temporary, temporary.open("wb") as file:
        _write_pose(pose, file)


def _write_pose(pose: object, file: BinaryIO) -> None:
    pose.write(file)  # type: ignore[attr-defined]


def write_video(
    performance: Performance,
    renderer: Renderer,
    path: Path,
    progress: Progress,
    source: str = ALGORITHM,
    seal: Seal | None = None,
) -> None:
    """H.264 in `.mp4` or `.mov`; VP9 with an alpha channel in `.webm` when drawn transparently.

    source: IPTC's digital source type, said inside. seal: has the last word on the finished file.
    """
    motion = performance.motion
    renderer.open()
    try:
        with replacing(path) as temporary:
            with av.open(str(temporary), "w") as container:
                container.metadata["title"] = " ".join(g.label for g in performance.glosses)[:200]
                container.metadata["comment"] = LABEL
                if path.suffix == ".webm":
                    container.metadata[TAG] = source
                stream = None
                for done, frame in enumerate(frames_of(performance), 1):
                    picture = renderer.render(frame)
                    if stream is None:
                        alpha = picture.alpha is not None
                        stream = _open_stream(container, path.suffix, motion.fps, alpha)
                        stream.width, stream.height = picture.width, picture.height
                    if picture.alpha is not None:
                        image = av.VideoFrame.from_ndarray(label_rgba(renderer.rgba(frame)), format="rgba")
                        image = image.reformat(format="yuva420p")
                    else:
                        image = av.VideoFrame.from_ndarray(label_i420(picture.i420), format="yuv420p")
                    image.pts = done - 1
                    container.mux(stream.encode(image))
                    progress(done, len(motion))
                if stream is not None:
                    container.mux(stream.encode())
            if path.suffix in OPAQUE:
                append_xmp(temporary, LABEL, source)
            if seal is not None:
                seal(temporary, LABEL, source)
    finally:
        renderer.close()


def _open_stream(
    container: av.container.OutputContainer, suffix: str, fps: float, alpha: bool
) -> av.video.stream.VideoStream:
    rate = Fraction(fps).limit_denominator(1001)
    if suffix == ".webm":
        stream = container.add_stream(
            "libvpx-vp9", rate=rate, options={"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "0"}
        )
        stream.pix_fmt = "yuva420p" if alpha else "yuv420p"
    else:
        if alpha:
            raise ValueError(NO_TRANSPARENCY.format(suffix))
        stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20"})
        stream.pix_fmt = "yuv420p"
    return stream


def write_sheet(
    performance: Performance,
    renderer: Renderer,
    path: Path,
    progress: Progress,
    source: str = ALGORITHM,
    seal: Seal | None = None,
) -> None:
    """A contact sheet: one labelled picture per gloss; source and seal as in `write_video`.

    A letter is shown at the end of its hold (its first frames still raise the hand), a sign in mid-movement.
    """
    from renderer.avatar.sheet import contact_sheet

    frames = list(frames_of(performance))
    pictures = []
    renderer.open()
    try:
        for number, gloss in enumerate(performance.glosses):
            where = np.flatnonzero(performance.gloss_index == number)
            if len(where):
                shown = where[-2:][0] if gloss.spelled else where[len(where) // 2]
                pictures.append((gloss.label, label_rgba(renderer.rgba(frames[int(shown)]))))
            progress(number + 1, len(performance.glosses))
    finally:
        renderer.close()
    with replacing(path) as temporary:
        contact_sheet(pictures).save(temporary, format="PNG", pnginfo=png_info(LABEL, source))
        if seal is not None:
            seal(temporary, LABEL, source)
