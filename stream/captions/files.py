"""Caption files on disk (or standard input): finished ones, and ones that are still being written.

Enters: a path, and a reader for its format. Leaves: cues. Does not know formats. Files are read in threads,
in small pieces, so a slow disk never holds the event loop.

A growing file is followed like `tail -F`: one that became shorter is read again from its start, one that was
replaced (rotation) is read to its end and then left for the new one, one that vanished is waited for.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import stat
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import BinaryIO, Protocol

from stream.captions.limits import DEFAULT_LIMITS, Limits
from stream.captions.timed_text import CaptionError, Cue, plain_lines

PIECE_BYTES = 65_536


class TextReader(Protocol):
    """What turns text into cues: see `cue_files.CueReader` and `LineReader`."""

    def push(self, text: str) -> list[Cue]: ...

    def finish(self) -> list[Cue]: ...


class LineReader:
    """Plain lines: each is a caption of its own. Lines beyond `block_chars` are delivered in pieces."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS, language: str = "") -> None:
        self._limits = limits
        self._language = language
        self._rest = ""

    def push(self, text: str) -> list[Cue]:
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        if len(self._rest) > self._limits.block_chars:
            lines.append(self._rest)
            self._rest = ""
        said = (plain_lines(line, markup=False).rstrip() for line in lines)
        return [Cue(line, language=self._language) for line in said if line]

    def finish(self) -> list[Cue]:
        return self.push("\n") if self._rest else []


async def read_file(path: Path, reader: TextReader) -> AsyncGenerator[Cue, None]:
    """A finished file, from start to end. Raises CaptionError when it cannot be read."""
    decode = _decoder()
    with await _open(path) as file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            for cue in reader.push(decode.decode(piece)):
                yield cue
        for cue in [*reader.push(decode.decode(b"", True)), *reader.finish()]:
            yield cue


async def follow_file(
    path: Path, reader: TextReader, limits: Limits = DEFAULT_LIMITS
) -> AsyncGenerator[Cue, None]:
    """A file that grows, without end. It need not exist yet."""
    while True:
        file = await _wait_for(path, limits)
        decode = _decoder()
        with file:
            while True:
                piece = await asyncio.to_thread(file.read, PIECE_BYTES)
                for cue in reader.push(decode.decode(piece)):
                    yield cue
                if piece:
                    continue
                if await asyncio.to_thread(_renewed, path, file):
                    break
                await asyncio.sleep(limits.poll_s)
            for cue in reader.finish():
                yield cue


async def read_pipe(file: BinaryIO, reader: TextReader) -> AsyncGenerator[Cue, None]:
    """Standard input, to its end; what comes is passed on at once.

    A pipe or terminal is never read in a thread: a thread that waits for input could not be ended.
    """
    decode = _decoder()
    pieces = _file_pieces(file) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else _pipe_pieces(file)
    try:
        async for piece in pieces:
            for cue in reader.push(decode.decode(piece)):
                yield cue
        for cue in [*reader.push(decode.decode(b"", True)), *reader.finish()]:
            yield cue
    finally:
        await pieces.aclose()


async def _file_pieces(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
        yield piece


async def _pipe_pieces(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    loop = asyncio.get_running_loop()
    arriving = asyncio.StreamReader(limit=PIECE_BYTES)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(arriving), file)
    try:
        while piece := await arriving.read(PIECE_BYTES):
            yield piece
    finally:
        transport.close()


def _open_file(path: Path) -> BinaryIO:
    """Open for reading; a named pipe is refused, because opening it would wait for its writer."""
    if path.exists() and not path.is_file():
        raise CaptionError(f"{path}: not a regular file; to read from a pipe, use standard input: - < {path}")
    return path.open("rb", 0)


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")


async def _open(path: Path) -> BinaryIO:
    try:
        return await asyncio.to_thread(_open_file, path)
    except OSError as error:
        raise CaptionError(
            f"{path}: cannot be read ({error.strerror}); check the name and that you may read it, "
            "or write follow:PATH for a file that does not exist yet"
        ) from error


async def _wait_for(path: Path, limits: Limits) -> BinaryIO:
    while True:
        try:
            return await asyncio.to_thread(_open_file, path)
        except FileNotFoundError:
            await asyncio.sleep(limits.poll_s)
        except OSError as error:
            raise CaptionError(
                f"{path}: cannot be read ({error.strerror}); choose a file you may read"
            ) from error


def _renewed(path: Path, file: BinaryIO) -> bool:
    """Whether `path` is now another file, or the same one cut short; False while it is only missing."""
    try:
        now = os.stat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(file.fileno())
    return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino) or now.st_size < file.tell()
