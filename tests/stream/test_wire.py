"""Motion on the wire: what is decoded is what was encoded, and nothing else gets through."""

import contextlib

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream import wire
from tests.stream.stand_ins import motion_frame

ARRAYS = ("pose", "hands", "smplx", "expression")


@given(st.integers(0, 2**40), st.integers(0, 2**62), st.integers(-1, 2**31))
@settings(max_examples=50, deadline=None)
def test_decode_of_encode_is_the_frame(seq, pts_ns, gloss):
    frame = motion_frame(seq, pts_ns, gloss)
    exact = wire.decode(wire.encode(frame, "float32"))
    short = wire.decode(wire.encode(frame))
    for back in (exact, short):
        assert (back.seq, back.pts_ns, back.gloss) == (seq, pts_ns, gloss)
    for name in ARRAYS:
        sent = getattr(frame, name)
        np.testing.assert_array_equal(getattr(exact, name), sent)
        np.testing.assert_array_equal(getattr(short, name), sent.astype(np.float16).astype(np.float32))


def test_a_frame_fits_one_packet():
    assert len(wire.encode(motion_frame(1, 2))) <= 1200
    assert len(wire.encode(motion_frame(2**40, 2**62, 2**31), "float32")) <= wire.MAX_BYTES


@given(st.binary(max_size=3000))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_frame_or_a_wire_error(data):
    for candidate in (data, bytes([wire.VERSION]) + data):
        with contextlib.suppress(wire.WireError):
            wire.decode(candidate)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_frame_is_a_frame_or_a_wire_error(data):
    good = bytearray(wire.encode(motion_frame(7, 8, 9)))
    cut = data.draw(st.integers(1, len(good)))
    for _ in range(data.draw(st.integers(0, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(wire.WireError):
        wire.decode(bytes(good[:cut]))


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused_with_a_remedy(version):
    data = wire.encode(motion_frame(1, 2))
    with pytest.raises(wire.UnknownVersion, match=f"version {version}.*update the older side"):
        wire.decode(bytes([version]) + data[1:])


@pytest.mark.parametrize(
    "body",
    [
        [True, 0, 0, 2],
        [-1, 0, 0, 2],
        [0, 0, -2, 2],
        [0, 0, 0, 8],
        [0, 0, 0, 2.0],
        {"a": 1},
        7,
    ],
)
def test_wrong_fields_are_named(body):
    if isinstance(body, list):
        body = [*body, *(bytes(2 * n) for n in (120, 96, 165, 52))]
    with pytest.raises(wire.WireError):
        wire.decode(bytes([wire.VERSION]) + msgpack.packb(body))


def test_what_float16_cannot_hold_is_not_sent():
    frame = motion_frame(1, 2)
    frame.pose[0, 0] = 1e6
    with pytest.raises(ValueError, match=r"MotionFrame\.pose"):
        wire.encode(frame)
    assert wire.decode(wire.encode(frame, "float32")).pose[0, 0] == 1e6
    frame.pose[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        wire.encode(frame, "float32")
