"""One way to open every caption input: `open_captions("file:news.vtt")`.

Enters: a name. Leaves: a `CaptionSource`. Does not know formats or networks; it knows who does.

    file:PATH  or PATH            a finished .vtt, .srt, .ttml/.xml/.dfxp or .txt file
    follow:PATH                   a .vtt, .srt or .txt file that grows (`tail -F`); it may not exist yet
    -                             standard input: plain lines
    hls:http(s)://.../subs.m3u8   an HLS playlist with WebVTT segments
    ws(s)://...                   a WebSocket with plain lines or JSON messages
    ebutt-live+ws(s)://...        an EBU-TT Live node
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import aiohttp

from stream.captions.condition import Condition
from stream.captions.cue_files import CueReader
from stream.captions.feed import Feed, PumpedFeed
from stream.captions.files import LineReader, TextReader, follow_file, read_file, read_pipe
from stream.captions.hls import hls_cues
from stream.captions.limits import DEFAULT_LIMITS, Limits
from stream.captions.pacing import paced
from stream.captions.persistence import persistent
from stream.captions.sockets import ebutt_cues, line_cues
from stream.captions.timed_text import CaptionError, Cue

Cues = AsyncGenerator[Cue, None]
FromNetwork = Callable[[str, aiohttp.ClientSession, Limits, str, Condition], Cues]

SCHEMES = "file:PATH, follow:PATH, -, hls:http://..., ws://... or ebutt-live+ws://..."


def open_captions(
    name: str,
    *,
    language: str = "",
    limits: Limits = DEFAULT_LIMITS,
    speed: float | None = None,
    condition: Condition | None = None,
) -> Feed:
    """Open a caption input (see the module); close it with `aclose`. Needs an event loop.

    language: the spoken language, where the input does not say. speed: deliver by the cues' own times, at
    this multiple of real time (for files that are to be replayed); None: as they come. condition: told how
    the input is; with it, an input that may come back (all but finished files and standard input) is opened
    again when it fails.
    Raises CaptionError for a name that means nothing; what fails later is raised to the reader.
    """
    told = condition or Condition()
    cues = _cues(name, language, limits, told)
    if condition is not None and may_come_back(name):
        cues = persistent(lambda: _cues(name, language, limits, told), condition, limits.backoff_s)
    if speed is not None:
        if speed <= 0:
            raise CaptionError(f"speed: got {speed}, expected above 0; 1 is real time")
        cues = paced(cues, speed)
    return PumpedFeed(cues, limits)


def may_come_back(name: str) -> bool:
    """Whether an input is live: not a finished file or standard input, which wait until they are read."""
    return name.startswith("follow:") or "://" in name


def _cues(name: str, language: str, limits: Limits, condition: Condition) -> Cues:
    scheme, _, rest = name.partition(":")
    if name == "-":
        return read_pipe(sys.stdin.buffer, LineReader(limits, language))
    if scheme == "hls":
        return _from_network(hls_cues, rest, limits, language, condition)
    if scheme in ("ebutt-live+ws", "ebutt-live+wss"):
        return _from_network(ebutt_cues, name.removeprefix("ebutt-live+"), limits, language, condition)
    if scheme in ("ws", "wss"):
        return _from_network(line_cues, name, limits, language, condition)
    if scheme in ("http", "https") and name.partition("?")[0].endswith(".m3u8"):
        return _from_network(hls_cues, name, limits, language, condition)
    if "://" in name or not name or (scheme in ("file", "follow") and not rest):
        raise CaptionError(f"captions: cannot open {name[:120]!r}; give one of {SCHEMES}")
    return _from_file(
        Path(rest if scheme in ("file", "follow") else name), scheme == "follow", limits, language
    )


def _from_file(path: Path, follow: bool, limits: Limits, language: str) -> Cues:
    suffix = path.suffix.lower()
    if suffix in (".ttml", ".xml", ".dfxp"):
        if follow:
            raise CaptionError(f"{path}: TTML files cannot grow; use file:PATH, or EBU-TT Live for live TTML")
        return _ttml_file(path, limits, language)
    readers: dict[str, Callable[[], TextReader]] = {
        ".vtt": lambda: CueReader("vtt", limits, language),
        ".srt": lambda: CueReader("srt", limits, language),
        ".txt": lambda: LineReader(limits, language),
    }
    if suffix not in readers:
        raise CaptionError(f"{path}: got a name ending in {suffix!r}; expected .vtt, .srt, .ttml or .txt")
    reader = readers[suffix]()
    return follow_file(path, reader, limits) if follow else read_file(path, reader)


async def _ttml_file(path: Path, limits: Limits, language: str) -> Cues:
    from stream.captions.ttml import ttml_cues  # ttconv loads slowly

    try:
        with path.open("rb") as file:
            document = file.read(limits.document_bytes + 1)
    except OSError as error:
        raise CaptionError(f"{path}: cannot be read ({error.strerror}); check the name") from error
    for cue in await asyncio.to_thread(ttml_cues, document, limits, language):
        yield cue


async def _from_network(
    read: FromNetwork, url: str, limits: Limits, language: str, condition: Condition
) -> Cues:
    async with aiohttp.ClientSession() as session:
        cues = read(url, session, limits, language, condition)
        try:
            async for cue in cues:
                yield cue
        finally:
            await cues.aclose()
