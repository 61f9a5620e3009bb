"""One kiosk's connection to the broker, made again whenever it is lost. The only module that knows aiomqtt.

Enters: packets of the broker, and what is to be published. Leaves: `Incoming` messages in order, and
publications. Does not know commands. Policies, each bounded and counted:
in: the broker sends at most `inflight` QoS 1 messages ahead of our acknowledgements and keeps the rest;
QoS 0 beyond `inbox` is dropped. out: of a retained topic the latest wins; all else goes in order, and when
the broker is away too long the oldest goes. A publication is repeated until the broker has acknowledged it.

aiomqtt does not reconnect, acknowledges before anybody has looked at a message, and keeps the DUP flag and
the session flag to itself; the places where it is reached around are marked `reach`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from stream.kiosk.config import KioskConfig
from stream.kiosk.wire import read_in_gulps, write_at_once

log = logging.getLogger(__name__)

ANSWER_EXPIRY_S = 600
"""Acknowledgements and events that nobody fetched are of no use after that."""
SETTLED_S = 5.0
"""A connection that held for so long was a good one: the next loss begins with a short pause."""
TIMEOUT_S = 5.0
SENT_AHEAD = 8
"""Publications that the broker need not have acknowledged before the next one goes."""
_ONLINE, _OFFLINE = b"online", b"offline"


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message. deadline_s: on the monotonic clock, None without message expiry. packet: its number in
    this session, 0 for QoS 0. repeated: the broker may have sent it before. connection: which it came by.
    """

    topic: str
    payload: bytes
    packet: int = 0
    repeated: bool = False
    retained: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    deadline_s: float | None = None
    connection: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Outgoing:
    topic: str
    payload: bytes
    correlation: bytes | None
    important: bool


class Link:
    """See the module. `run` until cancelled; everything else may be called at any time on the loop.

    topics: what to subscribe to. status_topic: retained `online` while connected; `offline` is the last will,
    and said on the way out. on_connected(kept): whether the broker had kept the session.
    gate: shared by the links of a server, so that a broker that hangs does not take up every helper thread.
    """

    def __init__(
        self,
        config: KioskConfig,
        identifier: str,
        topics: tuple[str, ...],
        status_topic: str,
        on_connected: Callable[[bool], Awaitable[None]],
        gate: asyncio.Semaphore,
    ) -> None:
        self.connected = False
        self.trouble = "not connected yet"
        self.connections = self.dropped_in = self.dropped_out = 0
        self._config, self._identifier, self._gate = config, identifier, gate
        self._topics, self._status_topic, self._on_connected = topics, status_topic, on_connected
        self._inbox: deque[Incoming] = deque()
        self._arrived = asyncio.Event()
        self._retained: dict[str, bytes] = {}
        self._outbox: deque[_Outgoing] = deque()
        self._ahead: dict[int, tuple[_Outgoing, float]] = {}
        """Published and not yet acknowledged by the broker, by packet number, and when; in order."""
        self._forward_to: Any = None
        self._to_keep = asyncio.Event()
        self._client: aiomqtt.Client | None = None
        self._kept = False

    # -- what the kiosk uses -----------------------------------------------------------------------

    async def next(self) -> Incoming:
        """The next message, oldest first."""
        while not self._inbox:
            self._arrived.clear()
            await self._arrived.wait()
        return self._inbox.popleft()

    def done(self, message: Incoming) -> None:
        """The message is dealt with: the broker may forget it. Until then it would send it again."""
        if message.packet and message.connection == self.connections and self._client is not None:
            self._client._client.ack(message.packet, 1)  # reach: paho acknowledges when told to

    def send(
        self, topic: str, payload: bytes, correlation: bytes | None = None, *, important: bool = True
    ) -> None:
        """Publish once, QoS 1, in order. When too much waits the oldest of little importance is dropped."""
        if len(self._outbox) >= self._config.limits.outbox:
            self.dropped_out += 1
            victim = next((i for i, o in enumerate(self._outbox) if not o.important), 0)
            del self._outbox[victim]
        self._outbox.append(_Outgoing(topic, payload, correlation, important))
        self._forward()

    def keep(self, topic: str, payload: bytes) -> None:
        """Publish retained, QoS 1; a newer one under the same topic takes its place."""
        self._retained[topic] = payload
        self._to_keep.set()

    # -- the connection ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Be connected, whatever happens, until cancelled; then say `offline` and leave."""
        config, attempt = self._config, 0
        while True:
            began_s = time.monotonic()
            try:
                await self._once()
            except (aiomqtt.MqttError, OSError) as error:
                if self.connected and time.monotonic() - began_s > SETTLED_S:
                    attempt = 0
                self._lost(error, attempt)
            finally:
                self.connected = False
            attempt += 1
            pause_s = min(config.longest_pause_s, config.first_pause_s * 2 ** min(attempt - 1, 16))
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # a restarted broker gets us one by one

    def _lost(self, error: Exception, attempt: int) -> None:
        self.trouble = (
            f"the broker {self._config.broker.shown} cannot be used: {error or type(error).__name__}"
        )
        level = logging.WARNING if attempt in (0, 10) or attempt % 100 == 0 else logging.DEBUG
        log.log(level, "%s: %s; trying again", self._identifier, self.trouble)

    async def _once(self) -> None:
        client = self._make()
        try:
            async with self._gate:
                await client.__aenter__()
            _if_cancelled()
            await self._serve(client)
        finally:
            self._client = None
            await self._leave(client)

    async def _serve(self, client: aiomqtt.Client) -> None:
        await self._on_connected(self._kept)
        # Their retained messages are not for us: a retained command would be obeyed at every connection.
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        codes: Any = await client.subscribe([(topic, options) for topic in self._topics])
        refused = [
            t for t, code in zip(self._topics, codes, strict=True) if int(getattr(code, "value", code)) >= 128
        ]
        if refused:
            raise aiomqtt.MqttError(
                f"it does not let us subscribe to {', '.join(refused)}; check its access rules"
            )
        await client.publish(self._status_topic, _ONLINE, qos=1, retain=True)
        _if_cancelled()
        self.connected, self.trouble = True, ""
        log.info("%s: connected to %s", self._identifier, self._config.broker.shown)
        # Not a TaskGroup: in Python 3.11 its failure leaves this task marked as cancelled (`_if_cancelled`).
        working = {asyncio.create_task(work(client)) for work in (self._watch, self._send, self._keep)}
        try:
            done, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    async def _watch(self, client: aiomqtt.Client) -> None:
        async for _ in client.messages:  # none comes this way (`_make`): it ends when the connection does
            pass

    async def _send(self, client: aiomqtt.Client) -> None:
        self._forward_to = client._client  # reach: a task and a turn of the loop less for each publication
        try:
            while True:
                self._forward()
                await asyncio.sleep(TIMEOUT_S / 4)
                _, sent_s = next(iter(self._ahead.values()), (None, math.inf))
                if time.monotonic() - sent_s > TIMEOUT_S:
                    raise aiomqtt.MqttError("it does not acknowledge what is published")
        finally:
            self._forward_to = None
            self._outbox.extendleft(message for message, _ in reversed(self._ahead.values()))
            self._ahead.clear()

    def _forward(self) -> None:
        """Publish what waits, now: it is written when this returns. Somebody waits for an answer, so it does
        not wait until the broker has acknowledged the one before."""
        paho = self._forward_to
        while paho is not None and self._outbox and len(self._ahead) < SENT_AHEAD:
            message, sent_s = self._outbox[0], time.monotonic()
            properties = _properties(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = ANSWER_EXPIRY_S
            properties.ContentType = "application/json"
            if message.correlation is not None:
                properties.CorrelationData = message.correlation
            told = paho.publish(message.topic, message.payload, 1, properties=properties)
            if told.rc:  # the connection is lost, which `_watch` will notice
                return
            self._outbox.popleft()
            self._ahead[told.mid] = message, sent_s

    def _acknowledged(self, number: int) -> None:
        if self._ahead.pop(number, None) is not None and self._outbox:
            asyncio.get_running_loop().call_soon(self._forward)  # paho must not be called from its callbacks

    async def _keep(self, client: aiomqtt.Client) -> None:
        while True:
            self._to_keep.clear()
            while self._retained:
                topic, payload = next(iter(self._retained.items()))
                await client.publish(topic, payload, qos=1, retain=True)
                if self._retained.get(topic) is payload:
                    del self._retained[topic]
                _if_cancelled()
            await self._to_keep.wait()

    async def _leave(self, client: aiomqtt.Client) -> None:
        """Say goodbye where there is somebody to say it to, and close the socket in any case."""
        paho: Any = client._client  # reach: after a failed connect aiomqtt leaves paho's socket open
        with contextlib.suppress(aiomqtt.MqttError, OSError):
            if paho.is_connected():
                async with asyncio.timeout(2 * TIMEOUT_S):
                    await client.publish(self._status_topic, _OFFLINE, qos=1, retain=True, timeout=1.0)
                    await client.__aexit__(None, None, None)
        with contextlib.suppress(Exception):  # whatever state the socket is in, it is to be gone
            paho._reset_sockets()

    def _make(self) -> aiomqtt.Client:
        config, broker = self._config, self._config.broker
        asked = _properties(PacketTypes.CONNECT)
        asked.SessionExpiryInterval = config.session_s
        asked.ReceiveMaximum = config.limits.inflight
        asked.MaximumPacketSize = config.limits.packet_bytes
        client = aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            tls_context=broker.tls,
            identifier=self._identifier,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=asked,
            will=aiomqtt.Will(self._status_topic, _OFFLINE, qos=1, retain=True),
            keepalive=config.keepalive_s,
            timeout=TIMEOUT_S,
            logger=_wire_log,
        )
        paho: Any = client._client  # reach: three settings that aiomqtt does not pass on
        paho.connect_timeout = TIMEOUT_S
        paho.manual_ack_set(True)
        read_in_gulps(paho)
        accepted, published, number = client._on_connect, client._on_publish, self.connections + 1

        def on_connect(paho: Any, data: Any, flags: Any, reason: Any, properties: Any = None) -> None:
            if (
                not reason.is_failure
            ):  # messages of a kept session follow at once, and want to be acknowledged
                self._kept, self._client, self.connections = bool(flags.session_present), client, number
                write_at_once(paho)
            accepted(paho, data, flags, reason, properties)

        def on_message(paho: Any, data: Any, message: Any) -> None:
            self._take_in(message, number)

        def on_publish(paho: Any, data: Any, mid: int, reason: Any, properties: Any) -> None:
            if self._forward_to is paho:
                self._acknowledged(mid)
            published(paho, data, mid, reason, properties)

        paho.on_connect, paho.on_message, paho.on_publish = on_connect, on_message, on_publish
        return client

    def _take_in(self, message: Any, connection: int) -> None:
        if message.qos == 0 and len(self._inbox) >= self._config.limits.inbox:
            self.dropped_in += 1
            return
        told = message.properties
        expiry_s = getattr(told, "MessageExpiryInterval", None)
        self._inbox.append(
            Incoming(
                topic=message.topic,
                payload=bytes(message.payload),
                packet=message.mid if message.qos else 0,
                repeated=bool(message.dup),
                retained=bool(message.retain),
                response_topic=getattr(told, "ResponseTopic", None),
                correlation=getattr(told, "CorrelationData", None),
                deadline_s=None if expiry_s is None else time.monotonic() + expiry_s,
                connection=connection,
            )
        )
        self._arrived.set()


def _if_cancelled() -> None:
    """aiomqtt waits with `asyncio.wait_for`, which in Python 3.11 loses a cancellation that comes together
    with what is waited for; then nothing would ever end. Raises the cancellation that was lost.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _properties(packet: int) -> Any:
    return Properties(packet)  # type: ignore[no-untyped-call]


_wire_log = log.getChild("wire")
_wire_log.setLevel(logging.WARNING)  # paho's own remarks: one for each packet below that
