"""Writing sequences: one after the other into shards, so that a killed run or a full disk loses nothing.

Enters: `MotionSequence`s. Leaves: a folder (see `trainer.data.sequences`). Does not know corpora.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from tqdm import tqdm

from trainer.data.sequence import MotionSequence
from trainer.data.sequence_files import (
    COLUMNS,
    HEAD,
    HEADER,
    check_header,
    journals,
    read_journal,
    rows_of,
    truncated,
)

log = logging.getLogger(__name__)

SHARD_FRAMES = 1 << 17
"""A shard is closed when it holds this many frames (218 MiB)."""


class SequenceWriter:
    """Writes into `folder`, going on after what it holds. One writer at a time. See the module.

    Raises ValueError for a folder that holds something else, or that another process is writing.
    """

    def __init__(self, folder: Path, shard_frames: int = SHARD_FRAMES) -> None:
        if shard_frames < 1:
            raise ValueError(f"SequenceWriter.shard_frames: got {shard_frames}, expected at least 1")
        self.folder, self.shard_frames = Path(folder), shard_frames
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / ".writing").open("a")
        try:
            self._claim()
            if not (self.folder / HEADER).exists() and not journals(self.folder):
                draft = self.folder / f".{HEADER}.tmp"
                draft.write_text(json.dumps(HEAD) + "\n", "utf-8")
                os.replace(draft, self.folder / HEADER)
            check_header(self.folder)
            self._names: set[str] = set()
            self._shard, self._frames = 0, 0
            paths = journals(self.folder)
            for path in paths:
                entries, whole = read_journal(path, last=path == paths[-1])
                self._names |= {entry["name"] for entry in entries}
                self._shard = int(path.stem)
                self._frames = max((e["start"] + e["frames"] for e in entries), default=0)
            self._open(whole if paths else 0)
        except BaseException:
            self._lock.close()
            raise

    def _claim(self) -> None:
        """Hold the folder until this process ends, however it ends."""
        with contextlib.suppress(ImportError):  # no fcntl on Windows: there the user sees to it
            import fcntl

            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ValueError(
                    f"{self.folder}: another process is writing here; wait for it, or give another folder"
                ) from error

    def _open(self, journal_bytes: int) -> None:
        """Open the present shard for appending, cut back to what is complete."""
        data, journal = self.folder / f"{self._shard:05d}.f32", self.folder / f"{self._shard:05d}.jsonl"
        self._data: IO[bytes] = data.open("ab", buffering=0)
        self._journal: IO[bytes] = journal.open("ab", buffering=0)
        expected = self._frames * COLUMNS * 4
        if self._data.tell() < expected:
            got = self._data.tell()
            self._data.close()
            self._journal.close()
            raise ValueError(truncated(data, got, expected))
        os.truncate(data, expected)
        os.truncate(journal, journal_bytes)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._names)

    def write(self, sequence: MotionSequence) -> bool:
        """Add a sequence; False where its name is there already (then nothing is changed).

        Raises OSError where the disk is full; what was written before stays whole.
        """
        if sequence.name in self._names:
            return False
        if self._frames and self._frames + len(sequence) > self.shard_frames:
            self._sync()
            self._shard, self._frames = self._shard + 1, 0
            self._open(0)
        rows = rows_of(sequence.motion).tobytes()
        entry = {
            "name": sequence.name,
            "language": sequence.language,
            "signer": sequence.signer,
            "text": sequence.text,
            "glosses": list(sequence.glosses),
            "spans": sequence.spans.tolist(),
            "word_ends": [bool(end) for end in sequence.word_ends],
            "rate": sequence.rate,
            "timed": sequence.timed,
            "fps": sequence.motion.fps,
            "start": self._frames,
            "frames": len(sequence),
            "crc": zlib.crc32(rows),
        }
        line = (json.dumps(entry, ensure_ascii=False) + "\n").encode()
        at, line_at = self._frames * COLUMNS * 4, os.fstat(self._journal.fileno()).st_size
        try:
            _write_whole(self._data, rows)
            _write_whole(self._journal, line)
        except OSError as error:
            os.ftruncate(self._data.fileno(), at)
            os.ftruncate(self._journal.fileno(), line_at)
            raise OSError(
                error.errno,
                f"{self.folder}: {sequence.name} could not be written ({error.strerror}); the {len(self)} "
                "sequences "
                "before it are whole: make room on the disk and run the same command again",
            ) from error
        self._frames += len(sequence)
        self._names.add(sequence.name)
        return True

    def write_all(
        self, names: Sequence[str], make: Callable[[str], MotionSequence], *, what: str = "sequences"
    ) -> list[tuple[str, str]]:
        """Make and write each name that is not there yet, with a progress line on a terminal.

        A sequence that cannot be made (ValueError) is left out. Returns their names and reasons.
        """
        problems: list[tuple[str, str]] = []
        for name in tqdm(names, desc=what, unit="clip", disable=None):
            if name in self:
                continue
            try:
                sequence = make(name)
            except ValueError as error:
                log.warning("%s is left out: %s", name, error)
                problems.append((name, str(error)))
                continue
            self.write(sequence)
        return problems

    def _sync(self) -> None:
        for file in (self._data, self._journal):
            os.fsync(file.fileno())
            file.close()

    def close(self) -> None:
        """What was written has reached the disk. Closing twice is harmless."""
        if not self._data.closed:
            self._sync()
        self._lock.close()

    def __enter__(self) -> SequenceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _write_whole(file: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
