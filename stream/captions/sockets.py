"""WebSockets that we connect to: a caption editor, a recogniser, an EBU-TT Live node.

Enters: an address. Leaves: cues, across reconnections. Does not know what messages mean (`messages`,
`ebutt_live`). A lost or refused connection is tried again without end, at growing intervals; messages that
make no sense are logged and passed over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable

import aiohttp

from stream.captions.backoff import Backoff
from stream.captions.condition import Condition
from stream.captions.ebutt_live import EbuttLive
from stream.captions.limits import DEFAULT_LIMITS, Limits
from stream.captions.messages import MessageReader
from stream.captions.privacy import private_log
from stream.captions.timed_text import CaptionError, Cue

log = private_log(__name__)

Read = Callable[[bytes], Awaitable[list[Cue]]]
DAY_NS = 86_400_000_000_000


async def line_cues(
    url: str,
    session: aiohttp.ClientSession,
    limits: Limits = DEFAULT_LIMITS,
    language: str = "",
    condition: Condition | None = None,
) -> AsyncGenerator[Cue, None]:
    """Plain lines or JSON messages from a WebSocket."""
    reader = MessageReader(language)

    async def read(data: bytes) -> list[Cue]:
        return reader.take(data.decode("utf-8", "replace"))

    async for cue in _cues(url, session, limits, read, condition or Condition()):
        yield cue


async def ebutt_cues(
    url: str,
    session: aiohttp.ClientSession,
    limits: Limits = DEFAULT_LIMITS,
    language: str = "",
    condition: Condition | None = None,
) -> AsyncGenerator[Cue, None]:
    """EBU-TT Live documents from a node's `/{sequence}/subscribe`."""
    reader = EbuttLive(limits, language)

    async def read(data: bytes) -> list[Cue]:
        return await asyncio.to_thread(reader.take, data, day_time_ns())  # XML takes milliseconds

    async for cue in _cues(url, session, limits, read, condition or Condition()):
        yield cue


def day_time_ns() -> int:
    """Time of day (UTC): where documents without times are put."""
    return time.time_ns() % DAY_NS


async def _cues(
    url: str, session: aiohttp.ClientSession, limits: Limits, read: Read, condition: Condition
) -> AsyncGenerator[Cue, None]:
    async for data in _messages(url, session, limits, condition):
        try:
            cues = await read(data)
        except CaptionError as error:
            log.warning("%s: message passed over: %s", url, error)
            continue
        for cue in cues:
            yield cue


async def _messages(
    url: str, session: aiohttp.ClientSession, limits: Limits, condition: Condition
) -> AsyncGenerator[bytes, None]:
    backoff = Backoff(limits.backoff_s)
    while True:
        try:
            async with session.ws_connect(
                url, max_msg_size=limits.message_bytes, heartbeat=limits.idle_s / 2
            ) as socket:
                condition.well()
                async for message in socket:
                    backoff.reset()
                    if message.type is aiohttp.WSMsgType.TEXT:
                        yield message.data.encode("utf-8", "replace")
                    elif message.type is aiohttp.WSMsgType.BINARY:
                        yield message.data
            condition.fails(f"{url}: closed (code {socket.close_code})")
            log.warning("%s: closed (code %s); connecting again", url, socket.close_code)
        except aiohttp.InvalidURL as error:
            raise CaptionError(
                f"{url[:120]}: not an address; give for example ws://host:port/path"
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            condition.fails(f"{url}: {error or type(error).__name__}")
            log.warning("%s: %s; connecting again", url, error or type(error).__name__)
        await backoff.wait()
