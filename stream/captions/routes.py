"""The HTTP side of captions: what a server mounts so that encoders, editors and recognisers can send to it.

Enters: requests. Leaves: cues, in the feed that the request belongs to. Does not know who reads the feed; who
may send is the server's to decide (its middlewares run first).

    POST {prefix}/text                            plain lines, or one JSON message (see `messages`)
    POST {prefix}/numbered?seq=N                  a UTC time line, then text (see `numbered_posts`)
    GET  {prefix}/lines                           WebSocket: the same messages as `text`
    GET  {prefix}/ebutt-live/{sequence}/publish   WebSocket: EBU-TT Live documents

A full feed answers POSTs with 503 and Retry-After, and lets WebSockets wait.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from aiohttp import WSMsgType, web

from stream.captions.ebutt_live import EbuttLive
from stream.captions.feed import Feed, FeedClosed, FeedFull
from stream.captions.messages import MessageReader
from stream.captions.numbered_posts import NumberedPosts
from stream.captions.sockets import Read, day_time_ns
from stream.captions.timed_text import CaptionError, Cue

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Charge = Callable[[web.Request, int, bool], Awaitable[None]]
"""Told how many characters or bytes a request has sent, before they are read, and whether it can wait. May
raise a web error where it cannot.
"""


async def _free(_request: web.Request, _size: int, _waits: bool) -> None:
    pass


def routes(
    feed: Feed | Callable[[web.Request], Feed], prefix: str = "/captions", charge: Charge = _free
) -> list[web.RouteDef]:
    """Routes that fill one feed, or the one that a function finds for a request (may raise a web error)."""
    if isinstance(feed, Feed):
        one = feed
        return _Captions(lambda _request: one, charge).routes(prefix)
    return _Captions(feed, charge).routes(prefix)


class _PerFeed(Generic[T]):
    """State of a feed's senders that outlives a request, and ends with the feed."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._states: WeakKeyDictionary[Feed, T] = WeakKeyDictionary()

    def of(self, feed: Feed) -> T:
        return self._states.setdefault(feed, self._make())


class _Captions:
    def __init__(self, feed_of: Callable[[web.Request], Feed], charge: Charge) -> None:
        self._charge = charge
        self._feed_of = feed_of
        self._numbered = _PerFeed(NumberedPosts)
        self._messages = _PerFeed(MessageReader)

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return [
            web.post(f"{prefix}/text", _explained(self.text)),
            web.post(f"{prefix}/numbered", _explained(self.numbered)),
            web.get(f"{prefix}/lines", _explained(self.lines)),
            web.get(f"{prefix}/ebutt-live/{{sequence}}/publish", _explained(self.ebutt_live)),
        ]

    async def text(self, request: web.Request) -> web.StreamResponse:
        feed = self._feed_of(request)
        text = await _body(request, feed)
        await self._charge(request, len(text), False)
        cues = self._messages.of(feed).take(text)
        await feed.offer(*cues)
        return web.json_response({"captions": len(cues)}, status=202)

    async def numbered(self, request: web.Request) -> web.StreamResponse:
        feed = self._feed_of(request)
        seq = request.query.get("seq", "")
        if not seq.isascii() or not seq.isdigit() or len(seq) > 16:
            raise CaptionError(f"seq: got {seq[:30]!r}; add ?seq=1 and count up by one with each POST")
        text = await _body(request, feed)
        await self._charge(request, len(text), False)
        await feed.offer(*self._numbered.of(feed).take(int(seq), text))
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        return web.Response(text=now)  # encoders set their clocks by it

    async def lines(self, request: web.Request) -> web.StreamResponse:
        reader = MessageReader()

        async def read(data: bytes) -> list[Cue]:
            return reader.take(data.decode("utf-8", "replace"))

        return await self._socket(request, read)

    async def ebutt_live(self, request: web.Request) -> web.StreamResponse:
        reader = EbuttLive(self._feed_of(request).limits)

        async def read(data: bytes) -> list[Cue]:
            return await asyncio.to_thread(reader.take, data, day_time_ns())  # XML takes milliseconds

        return await self._socket(request, read)

    async def _socket(self, request: web.Request, read: Read) -> web.StreamResponse:
        """Take messages until the sender or the feed closes. A bad one is answered, and the next taken."""
        feed = self._feed_of(request)
        limits = feed.limits
        socket = web.WebSocketResponse(max_msg_size=limits.message_bytes, heartbeat=limits.idle_s / 2)
        await socket.prepare(request)
        ending = asyncio.create_task(_close_with(feed, socket), name="captions socket")
        try:
            async for message in socket:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    continue
                data = message.data
                await self._charge(request, len(data), True)
                try:
                    cues = await read(data.encode("utf-8", "replace") if isinstance(data, str) else data)
                    for cue in cues:
                        await feed.put(cue)
                except FeedClosed:
                    break
                except CaptionError as error:
                    await socket.send_str(json.dumps(_problem(error), ensure_ascii=False))
        except ConnectionError:
            pass  # the sender vanished: nothing to tell it
        finally:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)
            await socket.close()
        return socket


async def _close_with(feed: Feed, socket: web.WebSocketResponse) -> None:
    await feed.wait_closed()
    await socket.close(code=1001, message=b"this caption feed has ended")


async def _body(request: web.Request, feed: Feed) -> str:
    body = bytearray()
    async for piece in request.content.iter_chunked(65_536):
        body += piece
        if len(body) > feed.limits.message_bytes:
            raise web.HTTPRequestEntityTooLarge(feed.limits.message_bytes, len(body))
    return body.decode("utf-8", "replace")


def _problem(error: CaptionError) -> dict[str, str]:
    what, _, remedy = str(error).rpartition("; ")
    return {"error": what or remedy, "remedy": remedy if what else "see docs/captions.md"}


def _explained(handler: Handler) -> Handler:
    async def explained(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except FeedFull as error:
            return web.json_response(_problem(error), status=503, headers={"Retry-After": "1"})
        except FeedClosed as error:
            return web.json_response(_problem(error), status=410)
        except CaptionError as error:
            return web.json_response(_problem(error), status=422)

    return explained
