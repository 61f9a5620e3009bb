"""The motion of a clip: from memory, the shipped pack, the disk, or retargeted now; never twice at once.

Enters: an `Entry` and the recordings of its source. Leaves: `Motion`. Does not know words.
"""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import engine.body
import engine.retarget.face
from engine.lexicon.cache import DiskCache
from engine.lexicon.codec import decode, encode
from engine.lexicon.index import Entry
from engine.lexicon.memory import MotionMemory
from engine.lexicon.pack import Pack
from engine.retarget import LETTER_LANGUAGES, METHOD, Source, measure_source, read_pose, retarget
from engine.signals import Motion

Retargeter = Callable[[Entry, Sequence[Path]], Motion]
"""Motion of an entry, given recordings of the same source. Raises ValueError when the recording is
unusable.
"""

MEMORY_BYTES = 128 * 2**20
_MAX_WAITING = 4096
_FORMAT = "1"
_ASSETS = (engine.body.ASSET, engine.retarget.face.ASSET)


@functools.lru_cache(maxsize=65536)
def _digest(path: Path, size: int, modified_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest(path: Path) -> str:
    """SHA-256 of a file; read again only when its size or date changed. Raises OSError."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


def content_key(entry: Entry, source: Sequence[Path], method: str = METHOD) -> str:
    """Names what the motion depends on: recording, part of it, source, method, body, face. Raises OSError."""
    parts = [_FORMAT, method, *map(digest, _ASSETS), digest(entry.path), entry.start_ms, entry.end_ms]
    parts += [[digest(path) for path in source], _rule(entry)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]


def _rule(entry: Entry) -> str | None:
    """The letter as which the hand closes, where retargeting knows how that letter does."""
    return entry.words[0].upper() if entry.letter and entry.language in LETTER_LANGUAGES else None


class RecordingRetargeter:
    """`engine.retarget`, with every source measured once."""

    def __init__(self) -> None:
        self._sources: dict[tuple[Path, ...], Source] = {}
        self._lock = threading.Lock()

    def __call__(self, entry: Entry, source: Sequence[Path]) -> Motion:
        recording = read_pose(entry.path, entry.start_ms, entry.end_ms or None)
        return retarget(recording, source=self._source(tuple(source)), letter=_rule(entry))

    def _source(self, paths: tuple[Path, ...]) -> Source:
        with self._lock:
            if paths not in self._sources:
                recordings = []
                for path in paths:
                    try:
                        recordings.append(read_pose(path))
                    except ValueError:
                        continue  # a broken neighbour does not spoil the source; `check` names it
                self._sources[paths] = measure_source(recordings)
            return self._sources[paths]


class MotionStore:
    """Motion by entry, thread-safe. Owns the memory, the warming thread and the pack; `close` ends them."""

    def __init__(
        self,
        *,
        retargeter: Retargeter | None = None,
        method: str = METHOD,
        disk: DiskCache | None = None,
        pack: Pack | None = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._retarget = retargeter or RecordingRetargeter()
        self._method = method
        self._disk = disk or DiskCache()
        self._pack = pack
        self.memory = MotionMemory(memory_bytes)
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._waiting: set[str] = set()
        self._threads: ThreadPoolExecutor | None = None
        self._closed = False

    def motion(self, entry: Entry, source: Sequence[Path]) -> Motion:
        """Blocks while it is made. Raises ValueError when the recording cannot be read."""
        motion = self.memory.get(entry.clip)
        if motion is not None:
            return motion
        with self._lock:
            making = self._making.setdefault(entry.clip, threading.Lock())
        try:
            with making:
                motion = self.memory.get(entry.clip)
                if motion is None:
                    motion = self._make(entry, source)
                    self.memory.put(entry.clip, motion)
                return motion
        finally:
            with self._lock:
                self._making.pop(entry.clip, None)

    def warm(self, entry: Entry, source: Sequence[Path]) -> None:
        """Have the motion made in the background. Beyond some thousands waiting, it is made when asked
        for.
        """
        with self._lock:
            if self._closed or entry.clip in self.memory or entry.clip in self._waiting:
                return
            if len(self._waiting) >= _MAX_WAITING:
                return
            if self._threads is None:
                self._threads = ThreadPoolExecutor(1, thread_name_prefix="lexicon")  # a core stays free
            self._waiting.add(entry.clip)
            self._threads.submit(self._warm, entry, source)

    @property
    def warming(self) -> bool:
        """Whether any motion asked for by `warm` is not made yet."""
        return bool(self._waiting)

    def _warm(self, entry: Entry, source: Sequence[Path]) -> None:
        try:
            self.motion(entry, source)
        except ValueError:
            pass  # whoever asks for it is told
        finally:
            with self._lock:
                self._waiting.discard(entry.clip)

    def _make(self, entry: Entry, source: Sequence[Path]) -> Motion:
        try:
            key = content_key(entry, source, self._method)
        except OSError as error:
            raise ValueError(
                f"{entry.path}: cannot be read ({error.strerror}); restore the file, or see "
                "`handstream lexicon check`"
            ) from error
        motion = self._pack.load(key) if self._pack else None
        if motion is not None:
            return motion
        data = self._disk.load(key)
        if data is not None:
            try:
                return decode(data)
            except ValueError:
                self._disk.discard(key)
        motion = self._retarget(entry, source)
        self._disk.save(key, encode(motion))
        return motion

    def close(self) -> None:
        """Ends the warming thread; clips being made are finished, waiting ones are dropped."""
        with self._lock:
            self._closed = True
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=True, cancel_futures=True)
        if self._pack is not None:
            self._pack.close()
