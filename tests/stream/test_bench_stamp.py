"""The stamp in a picture says the same after any of our encoders, at any size, as when it was drawn."""

import av
import numpy as np
import pytest

from stream.bench import stamp
from stream.encoder import VideoEncoder
from stream.shot import Shot


def noisy(width: int, height: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(16, 235, (height * 3 // 2, width), dtype=np.uint8)


@pytest.mark.parametrize("size", [(64, 64), (128, 96), (512, 512), (1280, 720)])
@pytest.mark.parametrize(("codec", "library"), [("H264", "h264"), ("VP8", "vp8")])
def test_a_stamp_survives_compression(size, codec, library):
    width, height = size
    encoder = VideoEncoder(codec, 25.0)
    decoder = av.CodecContext.create(library, "r")
    for seq in range(4094, 4100):
        picture = noisy(width, height, 1)
        now_ns = 10_000_000_000 * seq
        stamp.draw(picture, gloss=seq - 4095, seq=seq, now_ns=now_ns)
        frame = encoder.encode(Shot(picture, seq, seq * 40_000_000, 0, 0, 0.0))
        packets = depacketised(codec, frame.payloads)
        decoded = [f for p in decoder.parse(packets) for f in decoder.decode(p)] if codec == "H264" else []
        decoded = decoded or decoder.decode(av.Packet(packets))
        for shown in decoded:
            read = stamp.read(shown.to_ndarray(format="yuv420p")[:height], now_ns + 5_000_000_000)
            assert read is not None
            assert read.gloss == read.seq - 4095 or read.seq < 4
            assert read.drawn_ns % 10_000_000_000 == 0
    encoder.close()


def depacketised(codec: str, payloads: tuple[bytes, ...]) -> bytes:
    from aiortc.codecs.h264 import h264_depayload
    from aiortc.codecs.vpx import VpxPayloadDescriptor

    if codec == "H264":
        return b"".join(h264_depayload(p) for p in payloads)
    return b"".join(VpxPayloadDescriptor.parse(p)[1] for p in payloads)


def test_a_damaged_stamp_is_not_read():
    picture = noisy(512, 512, 2)
    stamp.draw(picture, 7, 8, 123_456_700_000)
    assert stamp.read(picture[:512], 123_456_700_000) == stamp.Stamp(123_456_700_000, 7, 8)
    for cell in range(64):
        damaged = picture.copy()
        block = damaged[:8, cell * 8 : cell * 8 + 8]
        block[:] = 255 - block
        assert stamp.read(damaged[:512], 123_456_700_000) is None


def test_the_time_is_known_across_its_wrap_and_from_a_clock_that_runs_behind():
    wrap_ns = (1 << stamp.TIME_BITS) * stamp.NS_PER_UNIT
    for drawn_ns, read_ns in [
        (wrap_ns - 100_000, wrap_ns + 5_000_000),
        (wrap_ns + 3_000_000, wrap_ns + 2_000_000),
        (7 * wrap_ns + 500_000, 7 * wrap_ns + 900_000),
    ]:
        picture = noisy(64, 64, 3)
        stamp.draw(picture, -1, 5, drawn_ns)
        found = stamp.read(picture[:64], read_ns)
        assert found == stamp.Stamp(drawn_ns, -1, 5)
