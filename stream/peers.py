"""One viewer's WebRTC connection, from its offer to its end.

Enters: an SDP offer, then frames (through its queue), events and motion. Leaves: an answer, RTP, data-channel
messages. Does not know HTTP, nor what the signer signs. Everything it starts ends in `close`, which runs
once, whoever asks: the viewer (DELETE, DTLS goodbye), ICE (no consent for 30 s), the handshake's deadline,
or the server's end.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aiortc import RTCDataChannel, RTCIceServer

from stream import events, rtc
from stream.access import Bearer
from stream.broadcast import Broadcast
from stream.encoder import Codec, EncodedFrame
from stream.frame_queue import FrameQueue
from stream.sender import FrameSender
from stream.wire import Precision

log = logging.getLogger(__name__)

MAX_EVENT_BYTES = 256 * 1024
"""Unsent events of one peer. Beyond that it is not listening: further events are dropped and counted."""
MAX_MOTION_BYTES = 8 * 1024
"""Unsent motion of one peer: five frames. Late motion is worth nothing."""
MAX_ERRANDS = 16
CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class PeerHooks:
    """What a peer tells its signer: events channel open, a message came, gone, a frame has left for it."""

    opened: Callable[[Peer], None]
    message: Callable[[Peer, events.Message], None]
    closed: Callable[[Peer, str], None]
    sent: Callable[[EncodedFrame], None] = lambda _: None


class Peer:
    """See the module. Raises one of `rtc.MALFORMED` from `answer` when the offer cannot be used."""

    def __init__(
        self,
        broadcast: Broadcast,
        hooks: PeerHooks,
        codecs: Sequence[Codec],
        ice_servers: Iterable[RTCIceServer],
        handshake_s: float,
    ) -> None:
        self.session = secrets.token_urlsafe(12)
        self.codec: str | None = None
        self.motion_precision: Precision | None = None
        self.owner: Bearer | None = None
        """Whose token it came with; None where none is needed."""
        self.dropped_events = 0
        self.dropped_motion = 0
        self.opened_s = time.monotonic()
        self._broadcast = broadcast
        self._hooks = hooks
        self._codecs = codecs
        self._pc = rtc.connection(ice_servers)
        self._queue = FrameQueue(on_starved=lambda: broadcast.request_keyframe(self._queue))
        self._sender = FrameSender(
            self._queue,
            broadcast.rtp_origin,
            on_keyframe=lambda: broadcast.request_keyframe(self._queue),
            on_ready=self._ready,
            on_sent=hooks.sent,
        )
        self._events: RTCDataChannel | None = None
        self._motion: RTCDataChannel | None = None
        self._closing: asyncio.Task[None] | None = None
        self._errands: deque[Coroutine[Any, Any, None]] = deque()
        self._worker: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(handshake_s, self._handshake_over)
        self._pc.on("connectionstatechange", self._state_changed)
        self._pc.on("datachannel", self._channel_opened)

    @property
    def connected(self) -> bool:
        return self._pc.connectionState == "connected" and self._closing is None

    @property
    def dropped_frames(self) -> int:
        return self._queue.dropped

    async def answer(self, offer: str) -> str:
        """Answer the offer; returns the SDP with all candidates (nothing is trickled)."""
        description = await rtc.answering(self._pc, self._sender, offer, self._codecs)
        return description.sdp

    def send_event(self, text: str) -> None:
        """Send one JSON event to a viewer that opened the channel; a viewer that does not listen loses it."""
        if self._events is not None and not rtc.send_on(self._events, text, MAX_EVENT_BYTES):
            self.dropped_events += 1

    def send_motion(self, data: bytes) -> None:
        """Send one motion frame to a viewer that asked for them; late ones are dropped and counted."""
        if self._motion is not None and not rtc.send_on(self._motion, data, MAX_MOTION_BYTES):
            self.dropped_motion += 1

    def start(self, errand: Coroutine[Any, Any, None]) -> None:
        """Do something on this viewer's behalf, after what it asked before; it ends with the connection."""
        if len(self._errands) >= MAX_ERRANDS or self._closing is not None:
            errand.close()
            busy = events.error(f"{MAX_ERRANDS} messages are still being worked on", "wait for their events")
            self.send_event(json.dumps(busy))
            return
        self._errands.append(errand)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._errands:
            await self._errands.popleft()

    def stats(self) -> dict[str, object]:
        """Figures for /stats. Addresses and session names are nobody else's business, and stay out."""
        return {
            "state": self._pc.connectionState,
            "codec": self.codec,
            "seconds": round(time.monotonic() - self.opened_s, 1),
            "queued": len(self._queue),
            "dropped_frames": self._queue.dropped,
            "dropped_events": self.dropped_events,
            "dropped_motion": self.dropped_motion,
            **asdict(self._sender.stats),
        }

    def begin_close(self, reason: str) -> asyncio.Task[None]:
        """End the connection. Idempotent; the returned task is done when nothing is left."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(reason), name=f"close {self.session}")
        return self._closing

    async def _close(self, reason: str) -> None:
        self._deadline.cancel()
        self._broadcast.unsubscribe(self._queue)
        self._events = self._motion = None
        self.motion_precision = None
        if self._worker is not None:
            self._worker.cancel()
        while self._errands:
            self._errands.pop().close()
        self._hooks.closed(self, reason)
        try:
            await asyncio.wait_for(self._pc.close(), CLOSE_S)
        except TimeoutError:
            log.warning("a connection did not close within %.0f s and was abandoned (%s)", CLOSE_S, reason)
        except Exception:  # the peer's boundary: aiortc trips over half-built connections
            log.exception("a connection could not be closed in order (%s)", reason)

    def _ready(self, codec: str) -> None:
        """The sender starts: only now are frames worth queueing."""
        self._deadline.cancel()
        self.codec = codec
        if self._closing is None:
            self._broadcast.subscribe("H264" if codec.upper() == "H264" else "VP8", self._queue)

    def _handshake_over(self) -> None:
        self.begin_close("the handshake was not completed in time")

    def _state_changed(self) -> None:
        if self._pc.connectionState == "connected" and not self._pc.getTransceivers():
            self._deadline.cancel()  # it came for motion alone: no video will ever be ready
        if self._pc.connectionState in ("failed", "closed"):
            self.begin_close(f"the connection {self._pc.connectionState}")

    def _channel_opened(self, channel: RTCDataChannel) -> None:
        if channel.label == "events" and self._events is None:
            self._events = channel
            channel.on("message", self._message)
            self._hooks.opened(self)
        elif channel.label == "motion" and self._motion is None:
            self._motion = channel
            self.motion_precision = "float32" if channel.protocol == "float32" else "float16"
            channel.on("close", self._motion_closed)
        else:
            channel.close()

    def _motion_closed(self) -> None:
        self._motion = None
        self.motion_precision = None

    def _message(self, data: object) -> None:
        try:
            message = events.parse(data)
        except ValueError as problem:
            self.send_event(json.dumps(events.error(str(problem), "see PROTOCOL.md")))
            return
        if message["type"] == "ping":
            self.send_event(json.dumps({"type": "pong", "t": message.get("t")}))
        else:
            self._hooks.message(self, message)
