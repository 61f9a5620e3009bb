"""The connection to a signer elsewhere: joins by WHEP with data channels alone, and stays, whatever happens.

Enters: the address of a signer (`http://host:8080/whep/main`). Leaves: motion frames as they arrive, and the
signer's events. Does not know what becomes of them. A connection that fails, or brings no motion for
`SILENCE_S`, is closed and made again after a pause that doubles up to `MOST_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urljoin

import aiohttp
from aiortc import RTCIceServer, RTCPeerConnection, RTCSessionDescription

from engine.signals import MotionFrame
from stream import rtc, wire
from stream.rtc import MALFORMED

log = logging.getLogger(__name__)

SILENCE_S = 2.0
"""A signer sends motion all the time: without any for so long the way to it is broken."""
FIRST_S = 10.0
"""Until the first frame: the handshake, perhaps through relays."""
LEAST_S, MOST_S = 0.25, 8.0
HTTP_S = 10.0
MAX_ANSWER_BYTES = 256 * 1024


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
        self.last_error = ""
        self.on_connected: Callable[[], None] = lambda: None
        """Called before the first frame of each connection."""
        self._on_motion, self._on_event = on_motion, on_event
        self._token, self._ice, self._precision = token, tuple(ice_servers), precision
        self._heard_s = 0.0
        self._worst = ""

    async def run(self) -> None:
        """Join, and join again, until cancelled."""
        pause_s = LEAST_S
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=HTTP_S)) as http:
            while True:
                began_s = time.monotonic()
                try:
                    await self._join(http)
                except (*MALFORMED, aiohttp.ClientError, TimeoutError, OSError) as error:
                    self._complain(f"{error or type(error).__name__}")
                finally:
                    self.connected = False
                pause_s = LEAST_S if time.monotonic() - began_s > MOST_S else min(pause_s * 2, MOST_S)
                await asyncio.sleep(pause_s * random.uniform(0.75, 1.0))

    def trouble(self) -> list[str]:
        """What is wrong just now, in words."""
        return [] if self.connected else [f"no motion from {self.url}: {self.last_error or 'connecting'}"]

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
            headers = {"Content-Type": "application/sdp"} | self._bearer()
            async with http.post(self.url, data=pc.localDescription.sdp, headers=headers) as response:
                answer = (await response.content.read(MAX_ANSWER_BYTES)).decode("utf-8", "replace")
                if response.status != 201:
                    raise ConnectionError(f"{self.url} answered {response.status}: {answer[:300]}")
                session = urljoin(str(response.url), response.headers.get("Location", ""))
            await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            await self._watch(pc)
        finally:
            await asyncio.shield(self._leave(http, pc, session))

    async def _watch(self, pc: RTCPeerConnection) -> None:
        """Until there is no motion any more."""
        self._heard_s = 0.0
        began_s = time.monotonic()
        while pc.connectionState not in ("failed", "closed"):
            now_s = time.monotonic()
            if self._heard_s and not self.connected:
                self.connected, self._worst = True, ""
                self.connections += 1
                log.info("motion comes from %s", self.url)
            if now_s - (self._heard_s or began_s) > (SILENCE_S if self._heard_s else FIRST_S):
                raise ConnectionError("no motion came")
            await asyncio.sleep(0.1)
        raise ConnectionError(f"the connection {pc.connectionState}")

    async def _leave(self, http: aiohttp.ClientSession, pc: RTCPeerConnection, session: str) -> None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            if session:
                async with http.delete(session, headers=self._bearer()):
                    pass
        with contextlib.suppress(TimeoutError, *MALFORMED):
            await asyncio.wait_for(pc.close(), HTTP_S)

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _complain(self, error: str) -> None:
        self.last_error = error[:300]
        if self.last_error != self._worst:  # the same again and again is said once
            log.warning("%s: %s; trying again", self.url, self.last_error)
            self._worst = self.last_error

    def _motion(self, data: object) -> None:
        now_ns = time.monotonic_ns()
        try:
            if not isinstance(data, bytes):
                raise wire.WireError("text on the motion channel")
            frame = wire.decode(data)
        except wire.WireError as error:
            self.refused_frames += 1
            self._complain(str(error))
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
