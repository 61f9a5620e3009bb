"""HLS subtitles: a playlist is polled, its WebVTT segments become cues, each once and on one time axis.

Enters: the address of a media playlist, or of a master playlist that names one. Leaves: cues. Does not know
what they are for. Playlists are read by m3u8, segments by `CueReader`; `hls_time` puts times on one axis.

Segments are fetched in order. One that cannot be fetched is tried again, then passed over and logged; a
playlist that cannot be fetched is tried again without end (but for the first time, which raises).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from urllib.parse import urljoin, urlsplit

import aiohttp
import m3u8

from stream.captions.backoff import Backoff
from stream.captions.condition import Condition
from stream.captions.cue_files import CueReader
from stream.captions.hls_time import MediaAxis
from stream.captions.limits import DEFAULT_LIMITS, Limits
from stream.captions.privacy import private_log
from stream.captions.timed_text import CaptionError, Cue

log = private_log(__name__)

TRIES = 3


async def hls_cues(
    url: str,
    session: aiohttp.ClientSession,
    limits: Limits = DEFAULT_LIMITS,
    language: str = "",
    condition: Condition | None = None,
) -> AsyncGenerator[Cue, None]:
    """The cues of a playlist, until it ends (`#EXT-X-ENDLIST`). Raises CaptionError if the first is bad."""
    condition = condition or Condition()
    playlist, url, language = await _choose(url, session, limits, language)
    condition.well()
    axis = MediaAxis()
    backoff = Backoff(limits.backoff_s)
    done = -1
    while True:
        first = playlist.media_sequence or 0
        if first + len(playlist.segments) <= done:
            log.warning("%s: numbering started anew at %d", url, first)
            done = -1
            axis.restart()
        elif 0 <= done < first:
            log.warning("%s: %d segments went by before they could be fetched", url, first - done)
            axis.restart()
        fresh = [(first + i, segment) for i, segment in enumerate(playlist.segments) if first + i >= done]
        for number, segment in fresh:
            done = number + 1
            text = await _segment(urljoin(url, segment.uri or ""), session, limits)
            if segment.discontinuity:
                axis.restart()
            for cue in await asyncio.to_thread(_cues, text, axis, limits, language):
                yield cue
        if playlist.is_endlist:
            return
        target_s = min(limits.longest_poll_s, max(limits.poll_s, float(playlist.target_duration or 2)))
        await asyncio.sleep(target_s if fresh else target_s / 2)
        while True:
            try:
                playlist = await _playlist(url, session, limits)
                backoff.reset()
                condition.well()
                break
            except CaptionError as error:
                condition.fails(error)
                log.warning("%s; trying again", error)
                await backoff.wait()


async def _choose(
    url: str, session: aiohttp.ClientSession, limits: Limits, language: str
) -> tuple[m3u8.M3U8, str, str]:
    """The media playlist to read, its address, and its language."""
    playlist = await _playlist(url, session, limits)
    if playlist.segments or not (playlist.is_variant or playlist.media):  # ffmpeg's master may lack variants
        return playlist, url, language
    offered = [medium for medium in playlist.media if medium.type == "SUBTITLES" and medium.uri]
    spoken = [medium for medium in offered if language and (medium.language or "").startswith(language)]
    spoken = spoken or [medium for medium in offered if not medium.language]
    if not offered or (language and not spoken):
        languages = ", ".join(str(medium.language) for medium in offered) or "none"
        raise CaptionError(
            f"{url}: no subtitles in language {language or 'any'!r}; offered: {languages}; "
            "choose one of these or give the address of a subtitle playlist"
        )
    chosen = (spoken or offered)[0]
    address = urljoin(url, chosen.uri)
    return await _playlist(address, session, limits), address, language or chosen.language or ""


async def _playlist(url: str, session: aiohttp.ClientSession, limits: Limits) -> m3u8.M3U8:
    return await asyncio.to_thread(read_playlist, await fetch_text(url, session, limits), url)


def read_playlist(text: str, url: str) -> m3u8.M3U8:
    """Text of a playlist, and where it is from. Raises CaptionError where it is none, or broken."""
    if not text.lstrip("\ufeff").startswith("#EXTM3U"):
        raise CaptionError(f"{url}: not an HLS playlist: it begins with {text[:30]!r}, expected #EXTM3U")
    try:
        return m3u8.loads(text.lstrip("\ufeff"), uri=url)
    except Exception as error:  # the library's boundary: it raises whatever a malformed attribute leads to
        raise CaptionError(f"{url}: this HLS playlist is malformed ({error})") from error


async def _segment(url: str, session: aiohttp.ClientSession, limits: Limits) -> str:
    backoff = Backoff(1.0)
    for _ in range(TRIES):
        try:
            return await fetch_text(url, session, limits)
        except CaptionError as error:
            log.warning("%s", error)
            await backoff.wait()
    log.warning("%s: passed over; its captions are lost", url)
    return ""


def _cues(text: str, axis: MediaAxis, limits: Limits, language: str) -> list[Cue]:
    reader = CueReader("vtt", limits, language, identity="content")
    try:
        cues = [*reader.push(text), *reader.finish()] if text.strip() else []
    except CaptionError as error:
        log.warning("segment passed over: %s", error)
        return []
    return axis.place(cues, reader.metadata)


async def fetch_text(url: str, session: aiohttp.ClientSession, limits: Limits) -> str:
    """A document over HTTP, up to `document_bytes`. Raises CaptionError."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise CaptionError(f"{url[:120]}: only http and https addresses are fetched")
    try:
        timeout = aiohttp.ClientTimeout(total=limits.timeout_s)
        async with session.get(url, timeout=timeout, max_redirects=3) as response:
            if response.status != 200:
                raise CaptionError(f"{url}: the server answered {response.status} {response.reason}")
            body = bytearray()
            async for piece in response.content.iter_chunked(65_536):
                body += piece
                if len(body) > limits.document_bytes:
                    raise CaptionError(
                        f"{url}: more than {limits.document_bytes} bytes; captions are smaller"
                    )
            return body.decode("utf-8", "replace")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        if isinstance(error, CaptionError):
            raise
        raise CaptionError(f"{url}: cannot be fetched ({error or type(error).__name__})") from error
