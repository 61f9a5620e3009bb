"""Encoders: every picture comes back from a real decoder, keyframes come when asked, alpha travels below."""

import av
import numpy as np
import pytest
from aiortc.codecs import depayload
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from renderer.base import Picture
from stream.encoder import VideoEncoder, rtp_ticks
from stream.shot import Shot, stack_alpha
from tests.stream.stand_ins import BITS, BarRenderer, motion_frame, read_bars

CODECS = ("H264", "VP8")


def shots(count: int, width: int = 128, height: int = 64) -> list[Shot]:
    renderer = BarRenderer(width, height)
    renderer.open()
    return [Shot.of(renderer.render(motion_frame(i, i * 40_000_000)), 1.0) for i in range(count)]


def decode(codec: str, frames: list) -> list:
    """Back through aiortc's depacketiser and FFmpeg's decoder."""
    decoder = av.CodecContext.create({"H264": "h264", "VP8": "vp8"}[codec], "r")
    parameters = RTCRtpCodecParameters(f"video/{codec}", 90000, payloadType=97)
    pictures = []
    for frame in frames:
        data = b"".join(depayload(parameters, payload) for payload in frame.payloads)
        pictures += decoder.decode(av.Packet(data))
    return pictures + decoder.decode(None)


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_encoded_can_be_decoded(codec):
    encoder = VideoEncoder(codec, 25)
    frames = [encoder.encode(shot) for shot in shots(40)]
    assert None not in frames, "no frame may wait inside the encoder"
    pictures = decode(codec, frames)
    assert [read_bars(p.to_ndarray(format="yuv420p")[:64]) for p in pictures] == list(range(40))
    assert [f.keyframe for f in frames].count(True) == 1
    assert max(len(p) for f in frames for p in f.payloads) <= 1300


@pytest.mark.parametrize("codec", CODECS)
def test_a_keyframe_comes_when_asked_and_stands_alone(codec):
    encoder = VideoEncoder(codec, 25)
    frames = [encoder.encode(shot, keyframe=i == 20) for i, shot in enumerate(shots(30))]
    assert [i for i, f in enumerate(frames) if f.keyframe] == [0, 20]
    pictures = decode(codec, frames[20:])
    assert [read_bars(p.to_ndarray(format="yuv420p")[:64]) for p in pictures] == list(range(20, 30))


@pytest.mark.parametrize("codec", CODECS)
def test_a_new_size_starts_anew_with_a_keyframe(codec):
    encoder = VideoEncoder(codec, 25)
    frames = [encoder.encode(s) for s in shots(3)] + [encoder.encode(s) for s in shots(3, 96, 128)]
    assert [f.keyframe for f in frames] == [True, False, False, True, False, False]


def test_h264_is_what_42e01f_promises():
    encoder = VideoEncoder("H264", 25)
    frame = encoder.encode(shots(1, 512, 512)[0])
    sps = next(p for p in _nal_units(frame.payloads) if p[0] & 0x1F == 7)
    profile, constraints, level = sps[1], sps[2], sps[3]
    assert (profile, constraints & 0xC0, level) == (66, 0xC0, 31)


def _nal_units(payloads):
    for payload in payloads:
        if payload[0] & 0x1F == 24:  # several NAL units in one packet
            at = 1
            while at < len(payload):
                size = int.from_bytes(payload[at : at + 2], "big")
                yield payload[at + 2 : at + 2 + size]
                at += 2 + size
        else:
            yield payload


def test_alpha_is_stacked_below_the_colour():
    rng = np.random.default_rng(0)
    height, width = 32, 48
    i420 = rng.integers(16, 235, (height * 3 // 2, width), np.uint8)
    alpha = rng.integers(0, 256, (height, width), np.uint8)
    alpha[0, :2] = 0, 255
    stacked = stack_alpha(i420, alpha)
    frame = av.VideoFrame.from_ndarray(stacked, format="yuv420p")
    assert (frame.width, frame.height) == (width, 2 * height)
    colour = av.VideoFrame.from_ndarray(i420, format="yuv420p")
    for plane in (1, 2):
        whole, upper = (np.frombuffer(f.planes[plane], np.uint8) for f in (frame, colour))
        stride, small = frame.planes[plane].line_size, colour.planes[plane].line_size
        both = whole.reshape(-1, stride)[:height, : width // 2]
        np.testing.assert_array_equal(
            both[: height // 2], upper.reshape(-1, small)[: height // 2, : width // 2]
        )
        assert (both[height // 2 :] == 128).all()
    assert stacked[height, :2].tolist() == [16, 235]
    back = (stacked[height : 2 * height].astype(float) - 16) * 255 / 219
    assert np.abs(back - alpha).max() <= 1


def test_a_picture_with_alpha_becomes_a_shot_twice_as_high():
    alpha = np.full((64, 128), 255, np.uint8)
    picture = Picture(1, 2, 128, 64, np.zeros((96, 128), np.uint8), alpha, gloss=3)
    shot = Shot.of(picture, 4.0)
    assert (shot.i420.shape, shot.gloss, shot.render_ms) == ((192, 128), 3, 4.0)


def test_rtp_time_is_exact_and_never_drifts():
    assert [rtp_ticks(round(i * 1e9 / 25)) for i in (0, 1, 25, 25 * 3600 * 24)] == [
        0,
        3600,
        90_000,
        7_776_000_000,
    ]
    assert BITS == 16


def test_an_unknown_codec_is_named():
    with pytest.raises(ValueError, match="'AV1'"):
        VideoEncoder("AV1", 25)  # type: ignore[arg-type]
