"""The connection to a signer elsewhere: joins by WHEP with data channels alone, and stays, whatever happens.

Enters: the address of a signer (`http://host:8080/whep/main`). Leaves: motion frames as they arrive, and the
signer's events. Does not know what becomes of them. A connection that fails, or brings no motion for
`SILENCE_S`, is closed and made again (`stream.endpoint`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

import aiohttp
from aiortc import RTCIceServer, RTCPeerConnection, RTCSessionDescription

from engine.signals import MotionFrame
from stream import rtc, wire
from stream.endpoint import Endpoint

log = logging.getLogger(__name__)

SILENCE_S = 2.0
"""A signer sends motion all the time: without any for so long the way to it is broken."""
FIRST_S = 10.0
"""Until the first frame: the handshake, perhaps through relays."""
LEAST_S, MOST_S = 0.25, 8.0
HTTP_S = 10.0


class Link:
    """See the module. Lives on the event loop; `run` until it is cancelled."""

    def __init__(
        self,
        url: str,
        on_motion: Callable[[MotionFrame, int], None],
        on_event: Callable[[dict[str, Any]], None],
        token: str | None = None,
        ice_servers: Iterable[RTCIceServer] = (),
        precision: wire.Precision = "float16",
    ) -> None:
        """on_motion gets each frame with its arrival (monotonic ns). Raises ValueError for another URL."""
        if not url.startswith(("http://", "https://")) or "/whep/" not in url:
            raise ValueError(f"--from: got {url!r}, expected a signer such as http://host:8080/whep/main")
        self.url = url
        self.connected = False
        self.connections = self.refused_frames = 0
        self.on_connected: Callable[[], None] = lambda: None
        """Called before the first frame of each connection."""
        self._on_motion, self._on_event = on_motion, on_event
        self._endpoint = Endpoint(url, token, LEAST_S, MOST_S, MOST_S, HTTP_S, trouble="connecting")
        self._ice, self._precision = tuple(ice_servers), precision
        self._heard_s = 0.0

    async def run(self) -> None:
        """Join, and join again, until cancelled."""
        await self._endpoint.keep(self._join)

    def trouble(self) -> list[str]:
        """What is wrong just now, in words."""
        return [] if self.connected else [f"no motion from {self.url}: {self._endpoint.trouble}"]

    def stats(self) -> dict[str, object]:
        return {
            "from": self.url,
            "connected": self.connected,
            "connections": self.connections,
            "refused_frames": self.refused_frames,
        }

    async def _join(self, http: aiohttp.ClientSession) -> None:
        """One connection, from offer to end."""
        pc = rtc.connection(self._ice)
        session = ""
        try:
            motion = pc.createDataChannel("motion", ordered=False, maxRetransmits=0, protocol=self._precision)
            motion.on("message", self._motion)
            pc.createDataChannel("events").on("message", self._event)
            await pc.setLocalDescription(await pc.createOffer())
            answer, session = await self._endpoint.answer(http, pc.localDescription.sdp)
            await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            await self._watch(pc)
        finally:
            self.connected = False
            await asyncio.shield(self._endpoint.leave(http, pc, session))

    async def _watch(self, pc: RTCPeerConnection) -> None:
        """Until there is no motion any more."""
        self._heard_s = 0.0
        began_s = time.monotonic()
        while pc.connectionState not in ("failed", "closed"):
            now_s = time.monotonic()
            if self._heard_s and not self.connected:
                self.connected = True
                self._endpoint.well()
                self.connections += 1
                log.info("motion comes from %s", self.url)
            if now_s - (self._heard_s or began_s) > (SILENCE_S if self._heard_s else FIRST_S):
                raise ConnectionError("no motion came")
            await asyncio.sleep(0.1)
        raise ConnectionError(f"the connection {pc.connectionState}")

    def _motion(self, data: object) -> None:
        now_ns = time.monotonic_ns()
        try:
            if not isinstance(data, bytes):
                raise wire.WireError("text on the motion channel")
            frame = wire.decode(data)
        except wire.WireError as error:
            self.refused_frames += 1
            self._endpoint.complain(str(error))
            return
        if not self._heard_s:
            self.on_connected()
        self._heard_s = time.monotonic()
        self._on_motion(frame, now_ns)

    def _event(self, data: object) -> None:
        try:
            message = json.loads(data) if isinstance(data, str) else None
        except (ValueError, RecursionError):
            return
        if isinstance(message, dict) and isinstance(message.get("type"), str):
            self._on_event(message)
