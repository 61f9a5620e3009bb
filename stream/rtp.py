"""One peer's RTP: numbers and headers around payloads that all peers share.

Enters: `EncodedFrame`s, the negotiated numbers. Leaves: packets as bytes, to be encrypted; lost ones again.
Does not know sockets, encoders or time but the wall clock's. It is the inner loop of the server (viewers x
packets a second), so headers are templates that are filled in, not built.

Per packet: mid and abs-send-time; on a frame's first packet also playout-delay 0, 0 (Chromium then shows
frames at once) and abs-capture-time. Sources: RFC 3550, RFC 8285 (extensions), RFC 4588 (retransmission).
"""

from __future__ import annotations

import random
import struct
import time
from dataclasses import dataclass, field

from aiortc.rtp import pack_header_extensions

from stream.encoder import NTP_TO_UNIX_S, EncodedFrame, rtp_ticks
from stream.rtc import ABS_CAPTURE_TIME, ABS_SEND_TIME, MID, PLAYOUT_DELAY

HISTORY_PACKETS = 256
RESEND_S = 0.4
"""A packet older than that would come too late: a keyframe brings its receiver up to date."""
_HEADER = struct.Struct("!BBHLL")
_SEND_TIME = b"\xa7\x5b\xe3"
_CAPTURE_TIME = b"\xc9\x1d\x72\xb4\x0f\xd6\x38\xea"
"""Placeholders in the templates, unlike anything else there."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was negotiated for this peer. extensions: id by URI. rtx_payload_type: None without RFC 4588."""

    payload_type: int
    rtx_payload_type: int | None = None
    mid: str = ""
    extensions: dict[str, int] = field(default_factory=dict)


class _Template:
    """A block of header extensions whose times are filled in."""

    def __init__(self, values: list[tuple[int, bytes]]) -> None:
        profile, block = pack_header_extensions(values)
        self._block = struct.pack("!HH", profile, len(block) // 4) + block if block else b""
        self._send_at = self._block.find(_SEND_TIME)
        self._capture_at = self._block.find(_CAPTURE_TIME)
        self.flags = 0x90 if block else 0x80

    def filled(self, send_time: bytes, capture_time: bytes) -> bytes:
        block = bytearray(self._block)
        if self._send_at >= 0:
            block[self._send_at : self._send_at + 3] = send_time
        if self._capture_at >= 0:
            block[self._capture_at : self._capture_at + 8] = capture_time
        return bytes(block)


class RtpWriter:
    """See the module. ssrc and rtx_ssrc: of this peer; origin: added to RTP times."""

    def __init__(self, numbers: Numbers, ssrc: int, rtx_ssrc: int, origin: int) -> None:
        self.packets_sent = 0
        self.octets_sent = 0
        self._numbers = numbers
        self._ssrc, self._rtx_ssrc, self._origin = ssrc, rtx_ssrc, origin
        # The lower half: SRTP derives its rollover from the first number it sees (as in libwebrtc).
        self._sequence = random.randrange(1 << 15)
        self._rtx_sequence = random.randrange(1 << 15)
        self._history: list[tuple[int, bytes, bytes, float] | None] = [None] * HISTORY_PACKETS
        self._keyframe_at: int | None = None
        known = numbers.extensions
        every = [(known[MID], numbers.mid.encode())] if MID in known and numbers.mid else []
        if ABS_SEND_TIME in known:
            every.append((known[ABS_SEND_TIME], _SEND_TIME))
        first = list(every)
        if PLAYOUT_DELAY in known:
            first.append((known[PLAYOUT_DELAY], b"\0\0\0"))
        if ABS_CAPTURE_TIME in known:
            first.append((known[ABS_CAPTURE_TIME], _CAPTURE_TIME))
        self._first, self._later = _Template(first), _Template(every)

    def timestamp(self, pts_ns: int) -> int:
        return (self._origin + rtp_ticks(pts_ns)) & 0xFFFFFFFF

    def packets(self, frame: EncodedFrame) -> list[bytes]:
        """The frame's packets for this peer, in order; remembered for `again`."""
        timestamp = self.timestamp(frame.shot.pts_ns)
        send_time = (int((time.time() + NTP_TO_UNIX_S) * (1 << 18)) & 0xFFFFFF).to_bytes(3, "big")
        capture_time = frame.capture_ntp.to_bytes(8, "big")
        now_s = time.monotonic()
        if frame.keyframe:
            self._keyframe_at = self._sequence
        template, block = self._first, self._first.filled(send_time, capture_time)
        last = len(frame.payloads) - 1
        packets = []
        for i, payload in enumerate(frame.payloads):
            if i == 1:
                template, block = self._later, self._later.filled(send_time, b"")
            sequence = self._sequence
            kind = self._numbers.payload_type | (0x80 if i == last else 0)
            head = _HEADER.pack(template.flags, kind, sequence, timestamp, self._ssrc) + block
            self._history[sequence % HISTORY_PACKETS] = (sequence, head, payload, now_s)
            self._sequence = (sequence + 1) & 0xFFFF
            self.octets_sent += len(payload)
            packets.append(head + payload)
        self.packets_sent += len(packets)
        return packets

    def leave_gap(self) -> None:
        """Use up a number, so that whoever gets the next packet knows that it missed something."""
        self._sequence = (self._sequence + 1) & 0xFFFF

    def healed(self, sequence: int) -> bool:
        """Whether a keyframe was sent after that packet: then nobody needs it any more."""
        return self._keyframe_at is not None and 0 < (self._keyframe_at - sequence) & 0xFFFF < 0x8000

    def again(self, sequence: int, now_s: float | None = None) -> bytes | None:
        """A lost packet once more, as RFC 4588 has it where negotiated; None when it is too old."""
        remembered = self._history[sequence % HISTORY_PACKETS]
        if remembered is None or remembered[0] != sequence:
            return None
        _, head, payload, sent_s = remembered
        if now_s is not None and now_s - sent_s > RESEND_S:
            return None
        kind = self._numbers.rtx_payload_type
        if kind is None:
            return head + payload
        flags, old_kind, _, timestamp, _ = _HEADER.unpack_from(head)
        new = _HEADER.pack(flags, (old_kind & 0x80) | kind, self._rtx_sequence, timestamp, self._rtx_ssrc)
        self._rtx_sequence = (self._rtx_sequence + 1) & 0xFFFF
        return new + head[_HEADER.size :] + sequence.to_bytes(2, "big") + payload
