"""Somebody else's WHEP or WHIP endpoint (RFC 9725): it answers an offer, and its sessions are left in order.

Enters: its address, a bearer token, what one session does. Leaves: answers; session after session. Does not
know what is sent or received. A session that fails is made again after a pause that doubles up to a bound;
the same complaint is made once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urljoin

import aiohttp
from aiortc import RTCPeerConnection

from stream.captions.backoff import Backoff
from stream.rtc import MALFORMED

log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 256 * 1024
Session = Callable[[aiohttp.ClientSession], Awaitable[None]]


@dataclass
class Endpoint:
    """See the module. least_s, most_s: pauses between sessions; one that held for steady_s was a good one.
    http_s: for a request. trouble: the latest complaint.
    """

    url: str
    token: str | None
    least_s: float
    most_s: float
    steady_s: float
    http_s: float
    trouble: str = ""
    _told: str = field(default="", repr=False)

    async def keep(self, session: Session) -> None:
        """One session after the other, until cancelled. Each ends by raising."""
        backoff = Backoff(self.most_s, self.least_s)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.http_s)) as http:
            while True:
                began_s = time.monotonic()
                try:
                    await session(http)
                except (*MALFORMED, aiohttp.ClientError, TimeoutError, OSError) as error:
                    self.complain(str(error) or type(error).__name__)
                if time.monotonic() - began_s > self.steady_s:
                    backoff.reset()
                await backoff.wait()

    async def answer(self, http: aiohttp.ClientSession, offer: str) -> tuple[str, str]:
        """The answer to an offer, and where its session is deleted. Raises ConnectionError, saying why."""
        headers = {"Content-Type": "application/sdp"} | self._bearer()
        async with http.post(self.url, data=offer, headers=headers) as response:
            answer = (await response.content.read(MAX_ANSWER_BYTES)).decode("utf-8", "replace")
            if response.status != 201:
                raise ConnectionError(f"it answered {response.status} {answer[:200]}")
            return answer, urljoin(str(response.url), response.headers.get("Location", ""))

    async def leave(self, http: aiohttp.ClientSession, pc: RTCPeerConnection, session: str) -> None:
        """Delete the session, unless there is none, and close the connection."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            if session and session != self.url:
                async with http.delete(session, headers=self._bearer()):
                    pass
        with contextlib.suppress(TimeoutError, *MALFORMED):
            await asyncio.wait_for(pc.close(), self.http_s)

    def complain(self, error: str) -> None:
        self.trouble = error[:300]
        if self.trouble != self._told:
            log.warning("%s: %s; trying again", self.url, self.trouble)
            self._told = self.trouble

    def well(self) -> None:
        """The same complaint would be news again."""
        self._told = ""

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}
