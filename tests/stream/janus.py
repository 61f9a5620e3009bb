"""A real Janus (Debian's) with a video room, and WHIP in front of it, for tests of what we publish.

Janus 1.1 speaks its own JSON over HTTP; the WHIP endpoint here only translates (as simple-whip-server
does): what negotiates, decrypts and forwards the video is Janus. `watch` subscribes to the room with aiortc.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from stream import rtc

ROOM = 1234
CONFIG = {
    "janus.jcfg": """
general: {{ configs_folder = "{folder}", server_name = "test", debug_level = 4, interface = "{address}"
  plugins_folder = "{lib}/plugins", transports_folder = "{lib}/transports"
  loggers_folder = "{lib}/loggers", events_folder = "{lib}/events" }}
nat: {{ ice_enforce_list = "{address}", ignore_mdns = true }}
media: {{ ipv6 = false }}
plugins: {{ disable = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,\
libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_streaming.so,libjanus_textroom.so,\
libjanus_videocall.so,libjanus_voicemail.so" }}
transports: {{ disable = "libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so,\
libjanus_websockets.so" }}
""",
    "janus.transport.http.jcfg": """
general: {{ json = "plain", base_path = "/janus", http = true, port = {port}, ip = "127.0.0.1" }}
admin: {{ admin_http = false }}
""",
    "janus.plugin.videoroom.jcfg": """
room-1234: {{ publishers = 6, videocodec = "h264,vp8", bitrate = 3000000, fir_freq = 0 }}
""",
}


def has_janus() -> bool:
    return shutil.which("janus") is not None


def library_folder() -> str:
    return str(next(Path("/usr/lib").glob("*/janus")))


def own_address() -> str:
    """An address of this machine that libnice gathers: it skips loopback where there is another."""
    return [*rtc._stock_addresses(True, False), "127.0.0.1"][0]


class Janus:
    """`async with Janus(folder) as janus:` a server; `janus.whip` is where to publish."""

    def __init__(self, folder: Path, token: str = "secret") -> None:
        self.folder, self.token = folder, token
        self.publishers: list[tuple[int, int]] = []
        self.offers: list[str] = []
        self.deleted = 0

    async def __aenter__(self) -> Janus:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, text in CONFIG.items():
            filled = text.format(folder=self.folder, lib=library_folder(), port=port, address=own_address())
            (self.folder / name).write_text(filled)
        self.log = open(self.folder / "janus.log", "w")  # noqa: SIM115, ASYNC230 - closed at the end
        self.process = subprocess.Popen(  # noqa: ASYNC220
            ["janus", "-F", str(self.folder), "-C", str(self.folder / "janus.jcfg")],
            stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.api = f"http://127.0.0.1:{port}/janus"
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        for _ in range(600):
            with contextlib.suppress(aiohttp.ClientError):
                async with self.http.get(f"{self.api}/info"):
                    break
            await asyncio.sleep(0.1)
        else:
            raise RuntimeError((self.folder / "janus.log").read_text()[-3000:])
        app = web.Application()
        app.add_routes([web.post("/whip/signs", self._offered), web.delete("/whip/signs/{id}", self._ended)])
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        where = self.runner.addresses[0][1]
        self.whip = f"http://127.0.0.1:{where}/whip/signs"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.runner.cleanup()
        await self.http.close()
        self.process.terminate()
        try:
            await asyncio.to_thread(self.process.wait, 10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()

    # -- Janus's own protocol

    async def ask(self, path: str, message: dict[str, Any]) -> dict[str, Any]:
        async with self.http.post(
            f"{self.api}{path}", json=message | {"transaction": secrets.token_hex(6)}
        ) as response:
            answer: dict[str, Any] = await response.json()
        if answer["janus"] == "error":
            raise RuntimeError(answer["error"])
        return answer

    async def handle(self) -> tuple[int, int]:
        session = (await self.ask("", {"janus": "create"}))["data"]["id"]
        attach = {"janus": "attach", "plugin": "janus.plugin.videoroom"}
        return session, (await self.ask(f"/{session}", attach))["data"]["id"]

    async def request(
        self, where: tuple[int, int], body: dict[str, Any], jsep: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """An asynchronous request of the plugin, and the event that answers it."""
        message = {"janus": "message", "body": body} | ({"jsep": jsep} if jsep else {})
        await self.ask(f"/{where[0]}/{where[1]}", message)
        while True:
            async with self.http.get(f"{self.api}/{where[0]}?maxev=1") as response:
                event: dict[str, Any] = await response.json()
            if event["janus"] == "event" and event.get("sender") == where[1]:
                return event

    async def destroy(self, where: tuple[int, int]) -> None:
        await self.ask(f"/{where[0]}", {"janus": "destroy"})

    # -- WHIP in front of it

    async def _offered(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401, text="who are you?")
        offer = await request.text()
        self.offers.append(offer)
        where = await self.handle()
        join = {"request": "joinandconfigure", "ptype": "publisher", "room": ROOM, "display": "signer"}
        event = await self.request(where, join, {"type": "offer", "sdp": offer})
        if "jsep" not in event:
            return web.Response(status=400, text=str(event))
        self.publishers.append(where)
        resource = f"/whip/signs/{where[0]}"
        return web.Response(
            status=201,
            text=event["jsep"]["sdp"],
            content_type="application/sdp",
            headers={"Location": resource},
        )

    async def _ended(self, request: web.Request) -> web.Response:
        for where in list(self.publishers):
            if str(where[0]) == request.match_info["id"]:
                self.publishers.remove(where)
                self.deleted += 1
                await self.destroy(where)
        return web.Response(status=200)


class Subscriber:
    """Watches the first publisher of the room. `pictures`: decoded, as I420."""

    def __init__(self, janus: Janus) -> None:
        self.janus = janus
        self.pictures: list[Any] = []
        self.pc: RTCPeerConnection = rtc.connection()
        self.tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Subscriber:
        self.where = await self.janus.handle()
        feeds: list[dict[str, Any]] = []
        while not feeds:
            found = await self.janus.ask(
                f"/{self.where[0]}/{self.where[1]}",
                {"janus": "message", "body": {"request": "listparticipants", "room": ROOM}},
            )
            feeds = [p for p in found["plugindata"]["data"]["participants"] if p.get("publisher")]
            await asyncio.sleep(0.1)
        join = {
            "request": "join",
            "ptype": "subscriber",
            "room": ROOM,
            "streams": [{"feed": feeds[-1]["id"]}],
        }
        event = await self.janus.request(self.where, join)
        self.pc.on("track", lambda track: self.tasks.append(asyncio.create_task(self._watch(track))))
        await self.pc.setRemoteDescription(RTCSessionDescription(event["jsep"]["sdp"], "offer"))
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        answer = {"type": "answer", "sdp": self.pc.localDescription.sdp}
        await self.janus.request(self.where, {"request": "start"}, answer)
        return self

    async def _watch(self, track: Any) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self.pictures.append(frame.to_ndarray(format="yuv420p"))

    async def __aexit__(self, *_: object) -> None:
        await self.pc.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        with contextlib.suppress(RuntimeError, aiohttp.ClientError):
            await self.janus.destroy(self.where)
