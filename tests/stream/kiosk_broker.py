"""What the kiosk tests share: a real mosquitto, and a client that keeps what it hears.

Enters: nothing. Leaves: `Broker`, `House`, `Ear`. Everything that an `Ear` hears of a kiosk is checked
against the schemas of docs/asyncapi.yaml.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiomqtt
from jsonschema import Draft7Validator
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from stream.config import Config, SignerSettings
from stream.kiosk import Broker as Address
from stream.kiosk import KioskConfig, Kiosks, schema
from stream.server import Server
from tests.stream.page_driver import free_port
from tests.stream.stand_ins import light_cast

PATIENCE_S = 60.0
"""No test is about speed: a machine may be slow, a broken one is told apart by this."""

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
_CHECKS = {
    "state": Draft7Validator(schema.STATE),
    "status": Draft7Validator(schema.STATUS),
    "event": Draft7Validator({"oneOf": list(schema.EVENTS.values())}),
    "answer": Draft7Validator(schema.ACKNOWLEDGEMENT),
}


async def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> Any:
    """The first true value of `condition`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        await asyncio.sleep(0.02)
    return found


class Broker:
    """mosquitto on a port of its own, with its memory on disk: it can be killed and started again."""

    def __init__(self, folder: Path, *more: str) -> None:
        assert MOSQUITTO, "no mosquitto; apt-get install mosquitto"
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        lines = (
            f"listener {self.port} 127.0.0.1",
            f"user {getpass.getuser()}",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_on_changes true",
            "autosave_interval 1",
            "set_tcp_nodelay true",
            "max_queued_messages 10000",
            *(more or ("allow_anonymous true",)),
        )
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        assert MOSQUITTO is not None
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [MOSQUITTO, "-c", str(self._folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def kill(self) -> None:
        """As a power cut would: nothing is saved, nobody is told."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def hang(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    @property
    def log(self) -> str:
        return (self._folder / "mosquitto.log").read_text(errors="replace")[-3000:]

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None


class House:
    """Servers with kiosks, closed after the test; `played`: every text that reached a signer, in order."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.played: list[str] = []
        self.running: list[tuple[Server, Kiosks]] = []

    async def open(self, *names: str, wait: bool = True, high: int = 64, **options: Any) -> Kiosks:
        names = names or ("lobby",)
        options = {"state_gap_s": 0.05, "longest_pause_s": 0.5} | options
        config = KioskConfig(options.pop("broker", Address("127.0.0.1", self.port)), names, **options)
        kiosks = Kiosks(config)
        server = Server(
            Config(port=0, width=128, height=high, max_signers=64, signers=tuple(map(SignerSettings, names))),
            light_cast(height=high),
            [kiosks],
        )
        await server.start()
        self.running.append((server, kiosks))
        for name in names:
            server.stage.channel(name).listeners.append(self._heard)
        if wait:
            await until(lambda: all(k.link.connected for k in kiosks.kiosks.values()), "kiosks to connect")
        return kiosks

    async def close(self) -> None:
        while self.running:
            server, _ = self.running.pop()
            await server.close()

    def _heard(self, message: dict[str, Any]) -> None:
        if message["type"] == "caption":
            self.played.append(message["text"])


class Ear:
    """A client of its own that hears everything and asks for things. `async with Ear(port) as ear:`"""

    def __init__(self, port: int, **options: Any) -> None:
        self.port = port
        self.heard: list[tuple[str, Any]] = []
        self.answers: dict[bytes, list[Any]] = {}
        self.connected = asyncio.Event()
        self._options = options
        self._reply = f"reply/{uuid.uuid4().hex}"
        self._client: aiomqtt.Client | None = None
        self._wrong: list[str] = []

    async def __aenter__(self) -> Ear:
        self._task = asyncio.create_task(self._run())
        await asyncio.wait_for(self.connected.wait(), PATIENCE_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        while not self._task.done():  # aiomqtt may lose a cancellation, see stream.kiosk.link
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=5)
        assert not self._wrong, self._wrong

    # -- hearing

    def of(self, topic: str) -> list[Any]:
        return [payload for where, payload in self.heard if where == topic]

    def events(self, kind: str, kiosk: str = "lobby") -> list[Any]:
        return [event for event in self.of(f"signs/{kiosk}/event") if event["type"] == kind]

    def ids(self, kind: str, kiosk: str = "lobby") -> list[str]:
        return [event["id"] for event in self.events(kind, kiosk)]

    # -- asking

    async def publish(
        self, topic: str, payload: Any, *, qos: int = 1, retain: bool = False, answer: bytes | None = None,
        expiry_s: int | None = None, response_topic: str | None = None,
    ) -> None:  # fmt: skip
        """Once. Raises aiomqtt.MqttError where the broker is not there."""
        properties: Any = Properties(PacketTypes.PUBLISH)
        if answer is not None:
            properties.ResponseTopic = response_topic or self._reply
            properties.CorrelationData = answer
        if expiry_s is not None:
            properties.MessageExpiryInterval = expiry_s
        if self._client is None:
            raise aiomqtt.MqttError("not connected")
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        await self._client.publish(topic, data, qos, retain, properties, timeout=PATIENCE_S)

    async def ask(self, command: Any, kiosk: str = "lobby", **options: Any) -> Any:
        """The acknowledgement of a command that is sent once."""
        mark = uuid.uuid4().bytes
        await self.publish(f"signs/{kiosk}/cmd", command, answer=mark, **options)
        return (await until(lambda: self.answers.get(mark), f"an answer to {str(command)[:200]}"))[0]

    async def insist(self, command: Any, kiosk: str = "lobby") -> Any:
        """The acknowledgement of a command that is sent again until it is acknowledged, whatever breaks."""
        mark = uuid.uuid4().bytes
        deadline = time.monotonic() + 2 * PATIENCE_S
        while True:
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError):  # `until` waits longer
                async with asyncio.timeout(5):
                    await self.connected.wait()
                    await self.publish(f"signs/{kiosk}/cmd", command, answer=mark)
                    await until(lambda: mark in self.answers, "an answer")
            if mark in self.answers:
                return self.answers[mark][0]
            assert time.monotonic() < deadline, f"no answer to {command}"

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client(
                    "127.0.0.1", self.port, protocol=aiomqtt.ProtocolVersion.V5,
                    socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),), **self._options,
                ) as client:  # fmt: skip
                    client.pending_calls_threshold = 1000
                    await client.subscribe([("signs/#", 1), ("homeassistant/#", 1), ("reply/#", 1)])
                    self._client = client
                    self.connected.set()
                    async for message in client.messages:
                        self._hear(message)
            self._client = None
            self.connected.clear()
            await asyncio.sleep(0.1)

    def _hear(self, message: aiomqtt.Message) -> None:
        topic, data = str(message.topic), bytes(message.payload)  # type: ignore[arg-type]
        last = topic.rpartition("/")[2]
        if last == "cmd":
            return
        try:
            payload = data.decode() if last == "status" else json.loads(data)
        except ValueError:
            payload = data
        mark = getattr(message.properties, "CorrelationData", None)
        if topic == self._reply:
            self.answers.setdefault(mark, []).append(payload)
        else:
            self.heard.append((topic, payload))
        kind = "answer" if topic.startswith("reply/") else last
        if kind in _CHECKS and not topic.startswith("homeassistant/"):
            self._wrong += [
                f"{topic}: {e.message} in {payload}"[:800] for e in _CHECKS[kind].iter_errors(payload)
            ]
