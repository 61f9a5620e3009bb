"""The sender of one peer: takes frames from its queue, sends them, and answers the receiver's feedback.

Enters: `EncodedFrame`s and RTCP. Leaves: RTP and RTCP on aiortc's transport. Does not know encoders, signers,
other peers, or what a packet looks like (rtp). It stands where aiortc's `RTCRtpSender` would (same methods,
as far as `RTCPeerConnection` calls them): that one encodes, packs and numbers everything once per peer.
Sender reports pair RTP time with the moment the picture was presented.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aiortc.codecs import is_rtx
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpparameters import RTCRtpSendParameters
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    unpack_remb_fci,
)
from aiortc.stats import RTCStatsReport
from aiortc.utils import random32

from stream.encoder import EncodedFrame, ntp_time
from stream.frame_queue import FrameQueue
from stream.rtc import RtpSink
from stream.rtp import HISTORY_PACKETS, Numbers, RtpWriter

MAX_UNSENT_BYTES = 32 * 1024
"""What a relay over TCP has not taken: a few frames, or a keyframe. More would be old when it arrives."""


PULSE_S, PULSE_COUNT = 1.75, 4
"""Without a report for so long a receiver is taken for stalled, once it has sent a few."""
REMEMBERED_GAPS = 32
SELDOM_S = 2.0
"""Who reports less often than that does so at no steady pace."""
PROBE_S = 0.06
"""A stalled receiver gets one packet so often (of every other frame): the first that arrives makes it ask for
what it missed."""


@dataclass
class SenderStats:
    """What this peer was sent and what it reported.

    given_up: times that packets were lost so long ago that a keyframe was asked for instead of sending
    them again. pauses: times that it fell silent and was sent next to nothing. loss in 0..1; rtt_ms and
    remb_bps None until reported.
    """

    frames: int = 0
    keyframe_requests: int = 0
    retransmitted: int = 0
    given_up: int = 0
    pauses: int = 0
    loss: float = 0.0
    rtt_ms: float | None = None
    remb_bps: int | None = None


class Pulse:
    """Whether a receiver is still there: it reports about once a second, some stacks every few seconds.

    One that falls silent for longer than it did of late has stalled, or its network has; what is sent to it
    meanwhile only piles up in sockets on the way, to be shown late. Times are monotonic seconds, handed in.
    """

    def __init__(self) -> None:
        self._heard_s: float | None = None
        self._gaps_s: deque[float] = deque(maxlen=REMEMBERED_GAPS)
        self._longest_s = 0.0
        self._count = 0

    def heard(self, now_s: float) -> None:
        if self._heard_s is not None and not self.silent(now_s):
            self._gaps_s.append(now_s - self._heard_s)
            self._longest_s = max(self._gaps_s)
        self._heard_s = now_s
        self._count += 1

    def silent(self, now_s: float) -> bool:
        if self._heard_s is None or self._count < PULSE_COUNT:
            return False
        patience = 1.15 if self._longest_s < SELDOM_S else 3.0
        return now_s - self._heard_s > max(PULSE_S, patience * self._longest_s)


class FrameSender:
    """See the module. `on_keyframe` is called for PLI and FIR, `on_ready` at the start with the codec,
    `on_sent` with each frame that has left.
    """

    kind = "video"
    track: MediaStreamTrack | None = None

    def __init__(
        self,
        queue: FrameQueue,
        rtp_origin: int,
        on_keyframe: Callable[[], None],
        on_ready: Callable[[str], None],
        on_sent: Callable[[EncodedFrame], None] = lambda _: None,
    ) -> None:
        self.stats = SenderStats()
        self._on_sent = on_sent
        self._queue = queue
        self._origin = rtp_origin
        self._on_keyframe = on_keyframe
        self._on_ready = on_ready
        self._ssrc = random32()
        self._rtx_ssrc = random32()
        self._stream_id = ""
        self._track_id = "video"
        self._enabled = True
        self._tasks: list[asyncio.Task[None]] = []
        self._cname = ""
        self._last_pts_ns: int | None = None
        self._report_sent: tuple[int, float] = (0, 0.0)
        self._pulse = Pulse()
        self._paused = False
        self._probed_s = 0.0

    # -- what RTCPeerConnection calls

    def adopt(self, transport: RTCDtlsTransport, stream_id: str) -> None:
        """Take the place of aiortc's own sender."""
        self._transport = transport
        self._stream_id = stream_id

    @property
    def transport(self) -> RTCDtlsTransport:
        return self._transport

    def setTransport(self, transport: RTCDtlsTransport) -> None:
        self._transport = transport

    async def getStats(self) -> RTCStatsReport:
        report = RTCStatsReport()
        report.update(self._transport._get_stats())
        return report

    async def send(self, parameters: RTCRtpSendParameters) -> None:
        """The connection is up: learn the negotiated numbers and begin."""
        if self._tasks:
            return
        codec = parameters.codecs[0]
        assert codec.payloadType is not None, "negotiated codecs are numbered"
        rtx = [c for c in parameters.codecs if is_rtx(c) and c.parameters.get("apt") == codec.payloadType]
        numbers = Numbers(
            payload_type=codec.payloadType,
            rtx_payload_type=rtx[0].payloadType if rtx else None,
            mid=parameters.muxId,
            extensions={extension.uri: extension.id for extension in parameters.headerExtensions},
        )
        writer = RtpWriter(numbers, self._ssrc, self._rtx_ssrc, self._origin)
        self._writer, self._sink = writer, RtpSink(self._transport)
        self._cname = parameters.rtcp.cname or ""
        self._transport._register_rtp_sender(self, parameters)
        self._on_ready(codec.name)
        self._tasks = [asyncio.create_task(self._run_rtp()), asyncio.create_task(self._run_rtcp())]

    async def stop(self) -> None:
        """End both tasks and say goodbye."""
        if not self._tasks:
            return
        self._transport._unregister_rtp_sender(self)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._send_rtcp([RtcpByePacket(sources=[self._ssrc])])

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        self._pulse.heard(time.monotonic())
        if self._paused:
            self._paused = False
            self._queue.start_over()
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == self._ssrc:
                    self.stats.loss = report.fraction_lost / 256
                    middle, sent_s = self._report_sent
                    if report.lsr and report.lsr == middle:
                        self.stats.rtt_ms = (time.monotonic() - sent_s - report.dlsr / 65536) * 1e3
        elif isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
            self._retransmit(packet.lost[:HISTORY_PACKETS])
        elif isinstance(packet, RtcpPsfbPacket):
            if packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
                self.stats.keyframe_requests += 1
                self._on_keyframe()
            elif packet.fmt == RTCP_PSFB_APP:
                try:
                    bit_rate, ssrcs = unpack_remb_fci(packet.fci)
                except (ValueError, struct.error):
                    return
                if self._ssrc in ssrcs:
                    self.stats.remb_bps = bit_rate

    # -- sending

    async def _run_rtp(self) -> None:
        try:
            while True:
                # A relay over TCP may stall: wait, and let the queue drop what gets old, which is counted.
                while self._sink.unsent_bytes() > MAX_UNSENT_BYTES:  # noqa: ASYNC110 - sockets tell no other way
                    await asyncio.sleep(0.02)
                frame = await self._queue.get()
                if self._paused or self._pulse.silent(time.monotonic()):
                    self._probe(frame)
                    continue
                for packet in self._writer.packets(frame):
                    self._sink.send(packet)
                self._last_pts_ns = frame.shot.pts_ns
                self.stats.frames += 1
                self._on_sent(frame)
        except ConnectionError:
            pass  # the connection closes; its owner sees that by itself

    def _probe(self, frame: EncodedFrame) -> None:
        """Too little of a frame to pile up or to be shown, but enough to be missed."""
        now_s = time.monotonic()
        if not self._paused:
            self._paused, self._probed_s = True, now_s
            self.stats.pauses += 1
            self._writer.leave_gap()
        elif now_s - self._probed_s >= PROBE_S:
            self._probed_s = now_s
            self._sink.send(self._writer.packets(frame)[0])

    def _retransmit(self, lost: list[int]) -> None:
        """Young packets are sent again; for old ones a keyframe is asked for, unless one was sent since."""
        now_s, hopeless = time.monotonic(), False
        with contextlib.suppress(ConnectionError):
            for number in lost:
                packet = self._writer.again(number, now_s)
                if packet is not None:
                    self.stats.retransmitted += 1
                    self._sink.send(packet)
                else:
                    hopeless = hopeless or not self._writer.healed(number)
        if hopeless:
            self.stats.given_up += 1
            self._on_keyframe()

    async def _run_rtcp(self) -> None:
        while True:
            await asyncio.sleep(0.5 + random.random())  # RFC 3550 6.2: spread, so that peers do not keep step
            if self._last_pts_ns is None:
                continue
            ntp = ntp_time(self._last_pts_ns)
            self._report_sent = ((ntp >> 16) & 0xFFFFFFFF, time.monotonic())
            info = RtcpSenderInfo(
                ntp_timestamp=ntp,
                rtp_timestamp=self._writer.timestamp(self._last_pts_ns),
                packet_count=self._writer.packets_sent & 0xFFFFFFFF,
                octet_count=self._writer.octets_sent & 0xFFFFFFFF,
            )
            source = RtcpSourceInfo(ssrc=self._ssrc, items=[(1, self._cname.encode())])
            await self._send_rtcp([RtcpSrPacket(ssrc=self._ssrc, sender_info=info), RtcpSdesPacket([source])])

    async def _send_rtcp(self, packets: list[AnyRtcpPacket]) -> None:
        with contextlib.suppress(ConnectionError):
            await self._transport._send_rtp(b"".join(map(bytes, packets)))
