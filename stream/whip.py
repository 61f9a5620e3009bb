"""Publishing a signer's picture onwards by WHIP (RFC 9725): to a media server, an SFU, a broadcaster.

Enters: a signer's `Broadcast`, an endpoint, a bearer token. Leaves: the same RTP that every viewer gets, sent
from our side: one encoder serves viewers and endpoint. Does not know who draws. A session that fails is
deleted and made again (`stream.endpoint`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

import aiohttp
from aiortc import RTCIceServer, RTCPeerConnection, RTCSessionDescription

from stream import rtc
from stream.broadcast import Broadcast
from stream.encoder import Codec
from stream.endpoint import Endpoint
from stream.frame_queue import FrameQueue
from stream.sender import FrameSender

log = logging.getLogger(__name__)

LEAST_S, MOST_S = 0.5, 15.0
HTTP_S = 15.0
HANDSHAKE_S = 15.0
STEADY_S = 30.0


class Publisher:
    """See the module. Lives on the event loop; `run` until it is cancelled."""

    def __init__(
        self,
        broadcast: Broadcast,
        url: str,
        token: str | None = None,
        codecs: Sequence[Codec] = ("H264", "VP8"),
        ice_servers: Iterable[RTCIceServer] = (),
    ) -> None:
        """Raises ValueError for what is no HTTP address."""
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"--whip: got {url!r}, expected a WHIP endpoint such as https://host/whip/room")
        self.url = url
        self.sessions = 0
        self._broadcast = broadcast
        self._endpoint = Endpoint(url, token, LEAST_S, MOST_S, STEADY_S, HTTP_S, trouble="connecting")
        self._codecs, self._ice = tuple(codecs), tuple(ice_servers)
        self._sender: FrameSender | None = None
        self._up = False

    async def run(self) -> None:
        """Publish, and publish again, until cancelled."""
        await self._endpoint.keep(self._session)

    @property
    def publishing(self) -> bool:
        """Whether the endpoint gets pictures."""
        return self._up

    @property
    def last_error(self) -> str:
        return self._endpoint.trouble

    def trouble(self) -> list[str]:
        """What is wrong just now, in words."""
        return [] if self._up else [f"nothing is published to {self.url}: {self.last_error}"]

    def stats(self) -> dict[str, object]:
        sender = self._sender
        return {
            "to": self.url,
            "publishing": self._up,
            "sessions": self.sessions,
            "frames": sender.stats.frames if sender else 0,
            "keyframe_requests": sender.stats.keyframe_requests if sender else 0,
            "retransmitted": sender.stats.retransmitted if sender else 0,
            "loss": sender.stats.loss if sender else 0.0,
            "rtt_ms": sender.stats.rtt_ms if sender else None,
        }

    async def _session(self, http: aiohttp.ClientSession) -> None:
        """One session, from offer to end."""
        pc = rtc.connection(self._ice)
        queue = FrameQueue(on_starved=lambda: self._broadcast.request_keyframe(queue))
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        sender = self._sender = FrameSender(
            queue,
            self._broadcast.rtp_origin,
            on_keyframe=lambda: self._broadcast.request_keyframe(queue),
            on_ready=lambda codec: None if ready.done() else ready.set_result(codec),
        )
        resource = ""
        try:
            offer = await rtc.offering(pc, sender, self._codecs)
            answer, resource = await self._endpoint.answer(http, offer)
            rtc.check_offer(answer)
            await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            codec = await asyncio.wait_for(ready, HANDSHAKE_S)
            self._broadcast.subscribe("H264" if codec.upper() == "H264" else "VP8", queue)
            self._up = True
            self._endpoint.well()
            self.sessions += 1
            log.info("publishing to %s in %s", self.url, codec)
            await self._until_down(pc)
        finally:
            self._up = False
            self._broadcast.unsubscribe(queue)
            await asyncio.shield(self._endpoint.leave(http, pc, resource))

    async def _until_down(self, pc: RTCPeerConnection) -> None:
        while pc.connectionState not in ("failed", "closed", "disconnected"):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.1)
        raise ConnectionError(f"the connection {pc.connectionState}")
