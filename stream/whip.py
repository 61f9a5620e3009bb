"""Publishing a signer's picture onwards by WHIP (RFC 9725): to a media server, an SFU, a broadcaster.

Enters: a signer's `Broadcast`, an endpoint, a bearer token. Leaves: the same RTP that every viewer gets, sent
from our side: one encoder serves viewers and endpoint. Does not know who draws. A session that fails is
deleted and made again after a pause that doubles up to `MOST_S`; the same complaint is made once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Iterable, Sequence
from urllib.parse import urljoin

import aiohttp
from aiortc import RTCIceServer, RTCPeerConnection, RTCSessionDescription

from stream import rtc
from stream.broadcast import Broadcast
from stream.encoder import Codec
from stream.frame_queue import FrameQueue
from stream.rtc import MALFORMED
from stream.sender import FrameSender

log = logging.getLogger(__name__)

LEAST_S, MOST_S = 0.5, 15.0
HTTP_S = 15.0
HANDSHAKE_S = 15.0
STEADY_S = 30.0
MAX_ANSWER_BYTES = 256 * 1024


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
        self.last_error = "connecting"
        self._broadcast, self._token = broadcast, token
        self._codecs, self._ice = tuple(codecs), tuple(ice_servers)
        self._sender: FrameSender | None = None
        self._told = ""
        self._up = False

    async def run(self) -> None:
        """Publish, and publish again, until cancelled."""
        pause_s = LEAST_S
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=HTTP_S)) as http:
            while True:
                began_s = time.monotonic()
                try:
                    await self._session(http)
                except (*MALFORMED, aiohttp.ClientError, TimeoutError, OSError) as error:
                    self._complain(str(error) or type(error).__name__)
                steady = time.monotonic() - began_s > STEADY_S
                pause_s = LEAST_S if steady else min(pause_s * 2, MOST_S)
                await asyncio.sleep(pause_s * random.uniform(0.75, 1.0))

    @property
    def publishing(self) -> bool:
        """Whether the endpoint gets pictures."""
        return self._up

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
            headers = {"Content-Type": "application/sdp"} | self._bearer()
            async with http.post(self.url, data=offer, headers=headers) as response:
                answer = (await response.content.read(MAX_ANSWER_BYTES)).decode("utf-8", "replace")
                if response.status != 201:
                    raise ConnectionError(f"it answered {response.status} {answer[:200]}")
                resource = urljoin(str(response.url), response.headers.get("Location", ""))
            rtc.check_offer(answer)
            await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            codec = await asyncio.wait_for(ready, HANDSHAKE_S)
            self._broadcast.subscribe("H264" if codec.upper() == "H264" else "VP8", queue)
            self._up, self._told = True, ""
            self.sessions += 1
            log.info("publishing to %s in %s", self.url, codec)
            await self._until_down(pc)
        finally:
            self._up = False
            self._broadcast.unsubscribe(queue)
            await asyncio.shield(self._leave(http, pc, resource))

    async def _until_down(self, pc: RTCPeerConnection) -> None:
        while pc.connectionState not in ("failed", "closed", "disconnected"):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.1)
        raise ConnectionError(f"the connection {pc.connectionState}")

    async def _leave(self, http: aiohttp.ClientSession, pc: RTCPeerConnection, resource: str) -> None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            if resource and resource != self.url:
                async with http.delete(resource, headers=self._bearer()):
                    pass
        with contextlib.suppress(TimeoutError, *MALFORMED):
            await asyncio.wait_for(pc.close(), HTTP_S)

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _complain(self, error: str) -> None:
        self.last_error = error[:300]
        if self.last_error != self._told:
            log.warning("%s: %s; trying again", self.url, self.last_error)
            self._told = self.last_error
