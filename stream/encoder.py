"""Pictures to compressed frames: one encoder per distinct output, H.264 (x264) or VP8 (libvpx).

Enters: `Shot` (a picture with its timing). Leaves: `EncodedFrame`, already cut into RTP payloads, so that the
cutting too is paid once for all peers. Does not know peers, and is used by one thread.

H.264: superfast + zerolatency + baseline, one thread, constant quality under a rate cap, very long GOP with
keyframes on request; parameter sets travel with each keyframe. VP8: libvpx real-time, cpu-used -6.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import av
from av.video.frame import PictureType

from stream.rtc import packetise
from stream.shot import Shot

Codec = Literal["H264", "VP8"]
RTP_CLOCK = Fraction(1, 90_000)
NS_PER_TICK = Fraction(1_000_000_000, 90_000)
NTP_TO_UNIX_S = 2_208_988_800
BITS_PER_PIXEL = 0.16
"""Rate cap: 1.05 Mbit/s for 512x512 at 25 fps. Small fast fingers need it; idle costs a tenth."""


def ntp_time(pts_ns: int) -> int:
    """A point on the monotonic clock as 64-bit NTP time."""
    ns = time.time_ns() - (time.monotonic_ns() - pts_ns) + NTP_TO_UNIX_S * 1_000_000_000
    return (ns << 32) // 1_000_000_000


def rtp_ticks(pts_ns: int) -> int:
    """Presentation time on the 90 kHz axis (not yet wrapped to 32 bits)."""
    return int(pts_ns / NS_PER_TICK)


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One compressed frame, cut into RTP payloads shared by every peer of the output."""

    shot: Shot = field(repr=False)
    payloads: tuple[bytes, ...] = field(repr=False)
    keyframe: bool
    encode_ms: float
    capture_ntp: int = 0
    """When the picture was presented, as 64-bit NTP time of the wall clock."""
    encoded_ns: int = 0
    """When it was done (monotonic)."""

    @property
    def size(self) -> int:
        return sum(map(len, self.payloads))


class VideoEncoder:
    """Encodes shots of any even size; a new size or rate reopens it and starts with a keyframe.

    codec: "H264" or "VP8". fps: what the rate control expects. bit_rate: cap in bits a second; None
    derives it from the picture size. Raises ValueError for other codecs, RuntimeError when PyAV lacks them.
    """

    def __init__(self, codec: Codec, fps: float, bit_rate: int | None = None) -> None:
        if codec not in ("H264", "VP8"):
            raise ValueError(f"codec: got {codec!r}, expected 'H264' or 'VP8'")
        self.codec: Codec = codec
        self._fps = fps
        self._bit_rate = bit_rate
        self._context: av.VideoCodecContext | None = None
        self._last_ticks = -1
        self._picture_id = 0

    def encode(self, shot: Shot, keyframe: bool = False) -> EncodedFrame | None:
        """Compress one shot (1.5 ms H.264, 2.5 ms VP8 at 512x512); None when the encoder gave nothing."""
        started = time.perf_counter()
        rows, width = shot.i420.shape
        height = rows * 2 // 3
        context = self._context
        if context is None or (context.width, context.height) != (width, height):
            context = self._context = self._open(width, height)
            keyframe = True
        # The frame is made here and mutated by this encoder only: encoders scribble on what they are given.
        frame = av.VideoFrame.from_ndarray(shot.i420, format="yuv420p")
        self._last_ticks = max(self._last_ticks + 1, rtp_ticks(shot.pts_ns))
        frame.pts = self._last_ticks
        frame.time_base = RTP_CLOCK
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        packets = context.encode(frame)
        if not packets:
            return None
        data = b"".join(map(bytes, packets))
        payloads = packetise(self.codec, data, self._picture_id)
        self._picture_id = (self._picture_id + 1) % (1 << 15)
        return EncodedFrame(
            shot=shot,
            payloads=tuple(payloads),
            keyframe=any(p.is_keyframe for p in packets),
            encode_ms=(time.perf_counter() - started) * 1e3,
            capture_ntp=ntp_time(shot.pts_ns),
            encoded_ns=time.monotonic_ns(),
        )

    def close(self) -> None:
        self._context = None  # PyAV frees the codec with its last reference

    def _open(self, width: int, height: int) -> av.VideoCodecContext:
        library = {"H264": "libx264", "VP8": "libvpx"}[self.codec]
        try:
            context = av.VideoCodecContext.create(library, "w")
        except (ValueError, av.FFmpegError) as error:
            raise RuntimeError(
                f"PyAV has no {library}; install the PyPI wheel: pip install 'av>=17.1'"
            ) from error
        assert isinstance(context, av.VideoCodecContext)
        rate = self._bit_rate or int(width * height * self._fps * BITS_PER_PIXEL)
        context.width, context.height = width, height
        context.pix_fmt = "yuv420p"
        context.framerate = Fraction(round(self._fps * 1000), 1000)
        context.time_base = RTP_CLOCK
        context.thread_count = 1  # more threads mean whole frames of delay, and take cores from other signers
        context.gop_size = round(self._fps * 60)
        if self.codec == "H264":
            context.options = {
                "preset": "superfast",
                "tune": "zerolatency",
                "profile": "baseline",
                "level": _h264_level(width, height, self._fps),
                "crf": "21",
                "maxrate": str(rate),
                "bufsize": str(rate // 2),
                "forced-idr": "1",
                "x264-params": "repeat-headers=1:scenecut=0",
            }
        else:
            context.bit_rate = rate
            context.options = {
                "deadline": "realtime",
                "cpu-used": "-6",
                "lag-in-frames": "0",
                "maxrate": str(rate),
                "bufsize": str(rate // 2),
                "static-thresh": "1",
                "undershoot-pct": "100",
                "overshoot-pct": "15",
            }
        return context


def _h264_level(width: int, height: int, fps: float) -> str:
    """The lowest level that holds the picture, from 3.1 (what 42e01f promises) upward (H.264 table A-1)."""
    macroblocks = math.ceil(width / 16) * math.ceil(height / 16)
    for level, per_frame, per_second in (
        ("31", 3600, 108_000),
        ("32", 5120, 216_000),
        ("40", 8192, 245_760),
        ("42", 8704, 522_240),
        ("50", 22_080, 589_824),
    ):
        if macroblocks <= per_frame and macroblocks * fps <= per_second:
            return level
    return "51"
