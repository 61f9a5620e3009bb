"""A bad network between two peers: datagrams of a viewer's connection, dropped both ways as told."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from aiortc import RTCPeerConnection


class BadNetwork:
    """Put between `pc` and its peer once it is connected. loss: 0..1 of the media packets; 1 is a pulled
    cable. STUN and DTLS pass, or the connection would have to be made again.
    """

    def __init__(self, pc: RTCPeerConnection, seed: int = 0) -> None:
        self.loss = 0.0
        self.deaf = False
        """Nothing leaves the viewer: as if its process stood still."""
        self.dropped = 0
        self._rng = random.Random(seed)
        transport = pc.getTransceivers()[0].receiver.transport.transport
        for protocol in transport._connection._protocols:
            protocol.datagram_received = self._incoming(protocol.datagram_received)
            protocol.transport.sendto = self._outgoing(protocol.transport.sendto)

    def _lost(self, data: bytes) -> bool:
        media = len(data) > 0 and 127 < data[0] < 192  # RFC 7983: RTP and RTCP
        lost = media and self._rng.random() < self.loss
        self.dropped += lost
        return lost

    def _incoming(self, receive: Callable[..., None]) -> Callable[..., None]:
        return lambda data, addr: None if self._lost(data) else receive(data, addr)

    def _outgoing(self, send: Callable[..., Any]) -> Callable[..., Any]:
        def deliver(data: bytes, addr: Any = None) -> None:
            media = len(data) > 0 and 127 < data[0] < 192
            if not self._lost(data) and not (self.deaf and media):
                send(data, addr)

        return deliver
