"""The readers under test: sound inputs of each, how to call it, and what it may raise.

Enters: bytes. Leaves: nothing, or an exception; one that a reader announces is caught here. Captions have a
fuzzer of their own (tests/stream/captions/fuzz.py), which `python -m tests.fuzz` runs too.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgpack
import numpy as np
from pose_format import Pose

from engine.lexicon import Lexicon, codec
from engine.lexicon.lexicon import default_folder
from engine.lexicon.shelf import open_shelf
from engine.retarget import read_pose
from engine.signals import EXPRESSION_SHAPE, HANDS_SHAPE, POSE_SHAPE, SMPLX_SHAPE, MotionFrame
from stream import events, rtc, wire
from stream.access import read_tokens
from stream.kiosk.commands import Refused, parse
from stream.kiosk.config import KioskLimits
from stream.kiosk.schema import COMMANDS


@dataclass(frozen=True)
class Reader:
    """share: how often it is chosen, in relation to the others."""

    read: Callable[[bytes], object]
    seeds: Sequence[bytes]
    share: float


def _frame() -> MotionFrame:
    rng = np.random.default_rng(0)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    expression = rng.random(EXPRESSION_SHAPE).astype(np.float32)
    return MotionFrame(7, 10**12, draw(POSE_SHAPE), draw(HANDS_SHAPE), draw(SMPLX_SHAPE), expression, 3)


def _wire() -> Reader:
    def read(data: bytes) -> None:
        with suppress(wire.WireError):
            wire.decode(data)

    odd = [msgpack.packb(body) for body in ([], {}, [[[[]]]] * 8, [1, 2, 3, 2, b"", b"", b"", b""], "x" * 99)]
    sound = [wire.encode(_frame(), "float16"), wire.encode(_frame(), "float32")]
    return Reader(read, [*sound, *(b"\x01" + body for body in odd)], 45)


def _events() -> Reader:
    def read(data: bytes) -> None:
        with suppress(ValueError):
            events.parse(data.decode("utf-8", "replace"))

    seeds = [
        b'{"type": "say", "text": "good evening", "final": false}',
        b'{"type": "ping", "t": [1, {"a": 2}]}',
    ]
    return Reader(read, seeds, 15)


def _mqtt() -> Reader:
    limits = KioskLimits()

    def read(data: bytes) -> None:
        with suppress(Refused):
            parse(data, limits)

    seeds = [
        b'{"command": "say", "text": "Hello", "id": "1", "final": true}',
        b'{"command": "interrupt"}',
        b'{"command": "signer", "avatar": "x", "background": "plain", "left_handed": true}',
        b'{"command": "rate", "rate": 1.25}',
        b'{"command": "language", "language": "gsg"}',
        b'{"command": "ping", "id": "abc"}',
        *(json.dumps({"command": name, "text": "[" * 30, "id": "\ud800"}).encode() for name in COMMANDS),
    ]
    return Reader(read, seeds, 20)


def _tokens() -> Reader:
    def read(data: bytes) -> None:
        with suppress(ValueError):
            read_tokens(data)

    row = (
        b'[[token]]\nname = "desk"\nsha256 = "' + b"0a" * 32 + b'"\nscopes = ["watch", "say"]\nviewers = 3\n'
    )
    return Reader(read, [row, row * 3], 5)


OFFER = (
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=msid-semantic:WMS *\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 97 98\r\nc=IN IP4 0.0.0.0\r\na=recvonly\r\na=mid:0\r\na=rtcp-mux\r\n"
    "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=rtpmap:97 VP8/90000\r\na=rtcp-fb:97 nack\r\n"
    "a=rtpmap:98 rtx/90000\r\na=fmtp:98 apt=97\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
    "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\na=candidate:2 1 udp 5 x.local 9 typ host\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\na=setup:actpass\r\n"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sctp-port:5000\r\n"
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\na=setup:actpass\r\n"
).encode()


def _offers() -> Reader:
    def read(data: bytes) -> None:
        with suppress(*rtc.MALFORMED):
            rtc.check_offer(rtc.without_mdns(data.decode("utf-8", "replace")))

    return Reader(read, [OFFER], 8)


def _motions() -> Reader:
    lexicon = Lexicon.default()
    seed = codec.encode(lexicon.motion(lexicon.alphabet("ase")["a"]))
    lexicon.close()

    def read(data: bytes) -> None:
        with suppress(ValueError):
            codec.decode(data)

    return Reader(read, [seed], 2)


def _poses() -> Reader:
    """A recording of three frames, and a whole one."""
    path = next(iter(open_shelf(default_folder()).entries.values())).path
    pose = Pose.read(path.read_bytes())
    pose.body.data, pose.body.confidence = pose.body.data[:3], pose.body.confidence[:3]
    short = io.BytesIO()
    pose.write(short)
    folder = tempfile.TemporaryDirectory(prefix="handstream-fuzz-")
    file = Path(folder.name) / "a.pose"

    def read(data: bytes) -> None:
        assert folder.name, "kept as long as the reader is"
        file.write_bytes(data)
        with suppress(ValueError):
            read_pose(file)

    return Reader(read, [short.getvalue(), path.read_bytes()], 3)


def readers() -> dict[str, Reader]:
    """Every reader by name."""
    return {
        "wire": _wire(),
        "events": _events(),
        "mqtt": _mqtt(),
        "tokens": _tokens(),
        "offers": _offers(),
        "cache": _motions(),
        "pose": _poses(),
    }
