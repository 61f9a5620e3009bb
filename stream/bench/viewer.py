"""A real WebRTC viewer for benchmarks and tests: aiortc, speaking WHEP over aiohttp.

Enters: an address. Leaves: frames, events and motion, as they come. Does not know what they are good for.
Decodes by default; with `decode=False` packets are counted and thrown away, which is what a sink costs least.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import av
from aiortc import RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket

from stream import rtc

REMEMBERED = 512


@dataclass
class Viewer:
    """`await connect()`, look at `frames`, `events`, `motion`, then `await close()`."""

    base: str
    signer: str = "main"
    codecs: tuple[str, ...] = ("H264", "VP8")
    channels: tuple[str, ...] = ("events",)
    decode: bool = True
    keep_pictures: bool = False
    on_frame: Callable[[av.VideoFrame, int], None] | None = None
    """Called with each decoded frame and the monotonic ns at which its last packet came."""
    token: str = ""
    session: str = ""
    frames: int = 0
    packets: int = 0
    octets: int = 0
    first_frame_s: float = 0.0
    arrivals: dict[int, float] = field(default_factory=dict)
    pictures: list[Any] = field(default_factory=list)
    rtp: list[RtpPacket] = field(default_factory=list)
    keep_rtp: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    motion: list[bytes] = field(default_factory=list)
    http: aiohttp.ClientSession | None = None

    async def connect(self) -> Viewer:
        self.pc: RTCPeerConnection = rtc.connection()
        self._tasks: list[asyncio.Task[None]] = []
        self._whole_ns: dict[int, int] = {}
        self._ssrc = 0
        transceiver = self.pc.addTransceiver("video", direction="recvonly")
        transceiver.setCodecPreferences(rtc.preferences(self.codecs))
        receiver = transceiver.receiver
        rtc.release_on_marker(receiver)
        self._handle_rtp = receiver._handle_rtp_packet
        receiver._handle_rtp_packet = self._on_rtp  # type: ignore[method-assign]
        self.data: dict[str, RTCDataChannel] = {}
        for label in self.channels:
            unordered: dict[str, Any] = {"ordered": False, "maxRetransmits": 0} if label == "motion" else {}
            self.data[label] = channel = self.pc.createDataChannel(label, **unordered)
            channel.on("message", self._on_event if label == "events" else self._on_motion)
        self.pc.on("track", lambda track: self._tasks.append(asyncio.create_task(self._watch(track))))
        await self.pc.setLocalDescription(await self.pc.createOffer())
        self.offer = self.pc.localDescription.sdp
        self._own = self.http is None
        self.http = self.http or aiohttp.ClientSession()
        self.started_s = time.monotonic()
        async with self.http.post(
            f"{self.base}whep/{self.signer}",
            data=self.offer,
            headers={"Content-Type": "application/sdp"}
            | ({"Authorization": f"Bearer {self.token}"} if self.token else {}),
        ) as response:
            self.status, text = response.status, await response.text()
            self.retry_after = response.headers.get("Retry-After")
            if response.status != 201:
                await self.close(delete=False)
                raise ConnectionError(f"{response.status}: {text}")
            self.session = response.headers["Location"]
            self.answer = text
        await self.pc.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))
        return self

    async def until(self, condition: Any, timeout_s: float = 60.0) -> None:
        """Wait until `condition()` holds."""
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - any condition will do, and few have an event
                await asyncio.sleep(0.01)

    async def resync(self) -> None:
        """After a stall: forget what is incomplete, and ask for a keyframe, as browsers do."""
        receiver = self.pc.getTransceivers()[0].receiver
        rtc.release_on_marker(receiver)
        await receiver._send_rtcp_pli(self._ssrc)

    def shown_s(self, rtp: int) -> float | None:
        """When the picture of that RTP time was decoded, or, if it was dropped, the first one after it."""
        after = {(pts - rtp) & 0xFFFFFFFF: at_s for pts, at_s in self.arrivals.items()}
        later = [ticks for ticks in after if ticks < 1 << 31]
        return after[min(later)] if later else None

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["type"] == kind]

    async def close(self, delete: bool = True) -> None:
        """Leave, and tell the server unless `delete` is false. What that raises comes after all is closed."""
        try:
            if delete and self.session:
                assert self.http is not None
                async with self.http.delete(f"{self.base}{self.session.lstrip('/')}"):
                    pass
        finally:
            await self.pc.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._own and self.http is not None:
                await self.http.close()

    async def _on_rtp(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        self.packets += 1
        self.octets += len(packet.payload)
        if len(self.rtp) < self.keep_rtp:
            self.rtp.append(packet)
        self._ssrc = packet.ssrc
        new = packet.marker and packet.timestamp not in self._whole_ns
        if packet.marker:
            self._whole_ns[packet.timestamp] = time.monotonic_ns()
            while len(self._whole_ns) > REMEMBERED:
                self._whole_ns.pop(next(iter(self._whole_ns)))
        if self.decode:
            await self._handle_rtp(packet, arrival_time_ms=arrival_time_ms)
        elif new:  # not one that was sent again
            self.frames += 1

    async def _watch(self, track: Any) -> None:
        try:
            while True:
                frame: av.VideoFrame = await track.recv()
                self.frames += 1
                assert frame.pts is not None, "frames carry their RTP time"
                self.arrivals[frame.pts] = time.monotonic()
                if self.on_frame is not None:
                    self.on_frame(frame, self._whole_ns.get(frame.pts, 0))
                self.first_frame_s = self.first_frame_s or time.monotonic()
                if self.keep_pictures:
                    self.pictures.append((frame.pts, frame.to_ndarray(format="yuv420p")))
        except MediaStreamError:
            pass

    def _on_event(self, data: str) -> None:
        self.events.append(json.loads(data))

    def _on_motion(self, data: bytes) -> None:
        self.motion.append(data)
