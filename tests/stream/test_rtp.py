"""Packets: what aiortc's own parser reads from them is what went in."""

import struct

import numpy as np
import pytest
from aiortc.rtp import RtpPacket, unpack_header_extensions, unwrap_rtx
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.encoder import EncodedFrame, ntp_time, rtp_ticks
from stream.rtc import ABS_CAPTURE_TIME, ABS_SEND_TIME, MID, PLAYOUT_DELAY
from stream.rtp import HISTORY_PACKETS, Numbers, RtpWriter
from stream.shot import Shot

SMALL = {MID: 1, ABS_SEND_TIME: 3, PLAYOUT_DELAY: 11, ABS_CAPTURE_TIME: 12}
LARGE = {uri: number + 20 for uri, number in SMALL.items()}


def frame(seq: int, payloads: tuple[bytes, ...]) -> EncodedFrame:
    pts_ns = seq * 40_000_000
    shot = Shot(np.zeros((6, 4), np.uint8), seq, pts_ns, -1, 0, 0.0)
    return EncodedFrame(shot, payloads, False, 1.0, capture_ntp=ntp_time(pts_ns))


def extensions(data: bytes) -> dict[int, bytes]:
    profile, words = struct.unpack_from("!HH", data, 12)
    return dict(unpack_header_extensions(profile, data[16 : 16 + 4 * words]))


@pytest.mark.parametrize("ids", [SMALL, LARGE, {}, {MID: 4}], ids=["small", "large", "none", "mid"])
@given(st.lists(st.binary(min_size=1, max_size=1300), min_size=1, max_size=6), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_packets_are_read_back(ids, payloads, seq):
    writer = RtpWriter(Numbers(97, 98, "video0", ids), ssrc=0xDEADBEEF, rtx_ssrc=7, origin=2**32 - 5)
    packets = writer.packets(frame(seq, tuple(payloads)))
    parsed = [RtpPacket.parse(p) for p in packets]
    assert [p.payload for p in parsed] == payloads
    assert [p.marker for p in parsed] == [0] * (len(payloads) - 1) + [1]
    assert {(p.ssrc, p.payload_type, p.timestamp) for p in parsed} == {
        (0xDEADBEEF, 97, (rtp_ticks(seq * 40_000_000) - 5) % 2**32)
    }
    first = parsed[0].sequence_number
    assert [p.sequence_number for p in parsed] == [(first + i) % 65536 for i in range(len(parsed))]
    for i, data in enumerate(packets if ids else []):
        found = extensions(data)
        assert found[ids[MID]] == b"video0"
        if ABS_CAPTURE_TIME in ids:
            assert (ids[ABS_CAPTURE_TIME] in found) == (ids[PLAYOUT_DELAY] in found) == (i == 0)
            assert len(found[ids[ABS_SEND_TIME]]) == 3


@pytest.mark.parametrize("rtx", [98, None])
def test_a_lost_packet_comes_again_until_it_is_too_old(rtx):
    writer = RtpWriter(Numbers(97, rtx, "0", SMALL), ssrc=1, rtx_ssrc=2, origin=0)
    sent = [p for i in range(HISTORY_PACKETS + 10) for p in writer.packets(frame(i, (b"%d" % i,)))]
    lost = RtpPacket.parse(sent[-5])
    again = RtpPacket.parse(writer.again(lost.sequence_number))
    if rtx is not None:
        assert (again.ssrc, again.payload_type) == (2, 98)
        again = unwrap_rtx(again, payload_type=97, ssrc=1)
    assert (again.payload, again.sequence_number, again.timestamp, again.marker, again.ssrc) == (
        lost.payload,
        lost.sequence_number,
        lost.timestamp,
        1,
        1,
    )
    assert writer.again(RtpPacket.parse(sent[0]).sequence_number) is None
    assert writer.again((lost.sequence_number + 100) % 65536) is None


def test_numbers_wrap():
    writer = RtpWriter(Numbers(97), ssrc=1, rtx_ssrc=2, origin=0)
    writer._sequence = 65535
    numbers = [RtpPacket.parse(p).sequence_number for p in writer.packets(frame(1, (b"a", b"b", b"c")))]
    assert numbers == [65535, 0, 1]
    assert writer.again(0) is not None
