"""Pictures into a file or a pipe while they are drawn.

Enters: `Shot`s, from any thread (latest wins, drops counted). Leaves: a container that is readable up to its
last picture whenever it ends: `.mp4`, `.mov`, `.mkv`, `.ts`, `.y4m`, or MPEG-TS on standard output for `-`.
Does not know who draws or watches. A file that cannot be written ends the recording, not the stream.
"""

from __future__ import annotations

import logging
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from stream.exports import LABEL
from stream.handoff import Latest
from stream.provenance import ALGORITHM, TAG, append_xmp
from stream.shot import Shot

log = logging.getLogger(__name__)

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".ts": "mpegts", ".y4m": "yuv4mpegpipe"}
MICROSECONDS = Fraction(1, 1_000_000)


class Recorder:
    """See the module. `offer` pictures, then `close`."""

    def __init__(self, path: str, fps: float, source: str = ALGORITHM) -> None:
        """path: a file, a named pipe, or `-`. source: IPTC's digital source type. Raises ValueError for a
        suffix that names no format."""
        suffix = ".ts" if path == "-" else Path(path).suffix.lower()
        if suffix not in FORMATS:
            raise ValueError(f"--out: got {path!r}, expected - or a name ending in {', '.join(FORMATS)}")
        self.path, self.frames, self.failed = path, 0, ""
        self._source = source
        self._format, self._fps = FORMATS[suffix], Fraction(round(fps * 1000), 1000)
        # y4m knows no times, only a rate
        self._tick = 1 / self._fps if suffix == ".y4m" else MICROSECONDS
        self._shots: Latest[None, Shot] = Latest()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        return self._shots.dropped

    def offer(self, shot: Shot) -> None:
        """Record a picture. Never waits."""
        self._shots.put(None, shot)

    def trouble(self) -> list[str]:
        return [f"{self.path} is not written any more: {self.failed}"] if self.failed else []

    def close(self) -> None:
        """End the file."""
        self._shots.close()
        self._thread.join(10.0)

    def _run(self) -> None:
        try:
            self._record()
        except (OSError, av.FFmpegError) as error:  # full disk, closed pipe: theirs to mend
            self.failed = str(error)
            log.error("%s cannot be written: %s", self.path, error)

    def _record(self) -> None:
        target: Any = sys.stdout.buffer if self.path == "-" else self.path
        options = {"flush_packets": "1"}
        if self._format in ("mp4", "mov"):
            options["movflags"] = "frag_keyframe+empty_moov"
        stream: Any = None
        first_ns = last = 0
        with av.open(target, "w", format=self._format, options=options) as container:
            container.metadata["comment"] = LABEL
            if self._format == "matroska":
                container.metadata[TAG] = self._source
            while (items := self._shots.take()) is not None:
                for _, shot in items:
                    rows, width = shot.i420.shape
                    if stream is None:
                        stream = self._stream(container, width, rows * 2 // 3)
                        first_ns, last = shot.pts_ns, -1
                    if (stream.width, stream.height) != (width, rows * 2 // 3):
                        raise OSError("the picture has changed its size; start again with another file")
                    frame = av.VideoFrame.from_ndarray(shot.i420, format="yuv420p")
                    at = Fraction(shot.pts_ns - first_ns, 1_000_000_000) / self._tick
                    last = max(last + 1, round(at))
                    frame.pts, frame.time_base = last, self._tick
                    container.mux(stream.encode(frame))
                    self.frames += 1
            if stream is not None:
                container.mux(stream.encode(None))
        if self._format in ("mp4", "mov") and Path(self.path).is_file():  # a pipe has no end to write at
            append_xmp(Path(self.path), LABEL, self._source)

    def _stream(self, container: Any, width: int, height: int) -> Any:
        if self._format == "yuv4mpegpipe":
            stream = container.add_stream("wrapped_avframe", rate=self._fps)
        else:
            stream = container.add_stream("libx264", rate=self._fps)
            stream.options = {"preset": "superfast", "tune": "zerolatency", "crf": "20"}
            stream.codec_context.gop_size = round(self._fps * 2)
            stream.codec_context.thread_count = 1
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = self._tick
        return stream
