"""Damaged requests to a real server over real sockets.

Enters: a number, a seed. Leaves: a `Report`: a crash is an answer 500 or an exception that nobody caught, a
hang an answer that did not come. A third of the requests are damaged anywhere, in their head too; the others
only in their bodies, in one field of them, or in their paths, so that they get past aiohttp.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import re
import time
from typing import Any
from urllib.parse import quote

from stream.config import AccessSettings, Config
from stream.server import Server
from tests.fuzz.engine import Report, damaged
from tests.fuzz.readers import OFFER
from tests.stream.stand_ins import light_cast

ANSWER_S = 60.0
AT_ONCE = 64
GRACE_S = 0.05
"""So long may an answer take before the server is told that nothing more comes: told at once, it hangs up."""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


def _request(
    method: str, path: str, body: bytes = b"", kind: str = "application/json", more: str = ""
) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}"
    if body:
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


SOCKET = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
SEEDS = [
    _request("GET", "/"),
    _request("GET", "/signers"),
    _request("GET", "/signers/main/changes"),
    _request("GET", "/signers/anna"),
    _request("GET", "/stats"),
    _request("GET", "/languages"),
    _request("GET", "/avatars"),
    _request("GET", "/metrics", more="Accept: application/openmetrics-text\r\n"),
    _request("GET", "/readyz?access_token=abc", more="Cookie: handstream=x\r\nAuthorization: Bearer y\r\n"),
    _request("OPTIONS", "/whep/main", more="Origin: http://a\r\nAccess-Control-Request-Method: POST\r\n"),
    _request("POST", "/signers", b'{"name": "anna", "language": "gsg", "rate": 1.5, "left_handed": true}'),
    _request("PATCH", "/signers/main", b'{"rate": 0.9, "background": "green"}'),
    _request("DELETE", "/signers/anna"),
    _request("POST", "/signers/main/text", b'{"text": "hello there", "final": false, "language": "ase"}'),
    _request("POST", "/signers/main/interrupt", b"{}"),
    _request("POST", "/signers/main/captions/text", b'{"text": "the wea", "final": false, "id": 3}'),
    _request(
        "POST", "/signers/main/captions/numbered?seq=2", b"2026-01-31T12:00:00.000\nHELLO\n", "text/plain"
    ),
    _request("POST", "/whep/main", OFFER.replace(b"m=video", b"m=audio"), "application/sdp"),
    _request("DELETE", "/whep/main/nobody"),
    _request("GET", "/signers/main/captions/lines", more=SOCKET) + b"\x81\x85\x00\x00\x00\x00hello",
]


ODD: list[Any] = [
    None, True, -1, 0, 0.5, 1e308, 10**400, [], [[]] * 9, {}, {"a": {"b": []}},
    "", " ", "a", "\x00", "\ud800", "../..", "\u202e\U0001f91f", "a" * 70_000, "9" * 400, "1e999", "gsg",
    "1,5 $ 3. 12:30 1/2 -- http://a.b " * 9,
]  # fmt: skip


async def fuzz_http(inputs: int, seed: int = 0) -> Report:
    """That many requests, some at a time."""
    report, chance = Report(), random.Random(seed)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, told: report.crashes.append(f"http: {told}"))
    access = AccessSettings(header_s=ANSWER_S, body_s=ANSWER_S, max_connections_per_address=4 * AT_ONCE)
    server = Server(Config(port=0, width=64, height=64, access=access), light_cast(width=64))
    await server.start()
    port = int(server.address.rsplit(":", 1)[1].strip("/"))
    left = iter(range(inputs))
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)

    async def work() -> None:
        for _ in left:
            request = chance.choice(SEEDS)
            head, _, body = request.partition(b"\r\n\r\n")
            kind = chance.randrange(3)
            if kind == 0:
                data = damaged(request, chance)
            elif kind == 1 or not body:
                data = _elsewhere(head, chance) + b"\r\n\r\n" + body
            elif body.startswith(b"{") and chance.random() < 0.5:
                data = _fitted(head, _odd_field(body, chance))
            else:
                data = _fitted(head, damaged(body, chance))
            await _send(port, data, kind == 0, report)

    try:
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    finally:
        logging.disable(before)
        await server.close()
        loop.set_exception_handler(None)
    return report


def _elsewhere(head: bytes, chance: random.Random) -> bytes:
    """The same request for a damaged path."""
    method, path, rest = head.split(b" ", 2)
    return b" ".join((method, b"/" + quote(damaged(path[1:], chance), "/?=&%").encode()[:8000], rest))


def _odd_field(body: bytes, chance: random.Random) -> bytes:
    """A sound object with one value that it should not have."""
    fields = json.loads(body)
    name = chance.choice([*fields, "id", "language", "x" * chance.randrange(300)])
    return json.dumps(fields | {name: chance.choice(ODD)}).encode()


def _fitted(head: bytes, body: bytes) -> bytes:
    length = b"Content-Length: %d" % len(body)
    return re.sub(rb"Content-Length: \d+", length, head) + b"\r\n\r\n" + body


async def _send(port: int, data: bytes, half: bool, report: Report) -> None:
    """Send; where the request may be incomplete, say after a while that nothing more comes."""
    report.inputs["http"] = report.inputs.get("http", 0) + 1
    began_s = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        await writer.drain()
        answer = b""
        if half or b"Upgrade" in data:
            with contextlib.suppress(TimeoutError):
                answer = await asyncio.wait_for(reader.read(1 << 16), GRACE_S)
            writer.write_eof()
        answer += await asyncio.wait_for(reader.read(), ANSWER_S)
    except ConnectionError:
        answer = b""  # the server may hang up on what is not HTTP
    except TimeoutError:
        report.hangs.append(f"http: no answer: {data[:600]!r}")
        return
    finally:
        writer.close()
    took_ms = (time.monotonic() - began_s) * 1e3
    report.slowest_ms["http"] = round(max(report.slowest_ms.get("http", 0.0), took_ms), 1)
    for status in _STATUS.findall(answer):
        if status == b"500":
            report.crashes.append(f"http: {data[:600]!r}\n{answer[:600]!r}")
