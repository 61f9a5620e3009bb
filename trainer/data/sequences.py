"""The one format of motion for training: sequences of the three modalities with their glosses, in shards.

Enters: `MotionSequence`s, one after the other. Leaves: the same, memory-mapped. Does not know corpora or
models.

    with SequenceWriter(folder) as writer:          # opening a folder again goes on where it was left
        problems = writer.write_all(names, make)    # names already there are skipped; a progress line
    store = SequenceStore(folder)
    store[3].motion.smplx                           # [T, 55, 3]

A folder holds `sequences.json` (what format this is) and shards: `00000.f32`, rows of `COLUMNS` float32
numbers, one a frame, and `00000.jsonl`, one line a sequence. A sequence counts once its line is complete:
what a killed run leaves behind half written is cut off when the folder is next opened for writing, and never
read.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.signals import FloatArray
from trainer.data.sequence import FIELDS, MotionSequence, even_spans
from trainer.data.sequence_files import (
    COLUMNS,
    HEADER,
    check_header,
    journals,
    motion_of,
    read_journal,
    truncated,
)
from trainer.data.sequence_writer import SHARD_FRAMES, SequenceWriter

__all__ = [
    "COLUMNS",
    "FIELDS",
    "HEADER",
    "SHARD_FRAMES",
    "MotionSequence",
    "SequenceStore",
    "SequenceWriter",
    "even_spans",
]


class SequenceStore:
    """Sequences of a folder (or of several, one after the other), read from memory-mapped shards.

    `store[i]` copies one sequence out; `store.entry(i)` tells of it without touching its motion. Any number
    of readers, also while the folder is being written (what is complete on opening is seen).
    Raises ValueError for folders that are no sequences, damaged, truncated or empty.
    """

    def __init__(self, *folders: Path | str) -> None:
        self._entries: list[dict[str, Any]] = []
        self._shards: list[np.memmap[Any, np.dtype[np.float32]]] = []
        self._shard_of: list[int] = []
        for folder in map(Path, folders):
            self._open(folder)
        if not self._entries:
            told = ", ".join(map(str, folders)) or "no folder"
            raise ValueError(f"sequences: {told} holds none; run `handstream train prepare` into it first")
        self.lengths = np.array([entry["frames"] for entry in self._entries], np.int64)
        """Frames of each sequence, for batching by length."""

    def _open(self, folder: Path) -> None:
        check_header(folder)
        paths = journals(folder)
        for path in paths:
            entries, _ = read_journal(path, last=path == paths[-1])
            if not entries:
                continue
            data = path.with_suffix(".f32")
            expected = max(e["start"] + e["frames"] for e in entries) * COLUMNS * 4
            got = data.stat().st_size if data.exists() else 0
            if got < expected:
                raise ValueError(truncated(data, got, expected))
            rows = expected // 4 // COLUMNS
            self._shards.append(np.memmap(data, np.float32, "r", shape=(rows, COLUMNS)))
            self._entries += entries
            self._shard_of += [len(self._shards) - 1] * len(entries)

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, index: int) -> dict[str, Any]:
        """Name, language, signer, text, glosses, spans, word_ends, rate, timed, fps and frames of a
        sequence.
        """
        return self._entries[index]

    def rows(self, index: int) -> FloatArray:
        """All numbers of a sequence [T, COLUMNS] in the order of `FIELDS`, as a view of the file."""
        entry = self._entries[index]
        return self._shards[self._shard_of[index]][entry["start"] : entry["start"] + entry["frames"]]

    def __getitem__(self, index: int) -> MotionSequence:
        entry = self._entries[index]
        return MotionSequence(
            name=entry["name"],
            language=entry["language"],
            signer=entry["signer"],
            text=entry["text"],
            glosses=tuple(entry["glosses"]),
            spans=np.array(entry["spans"], np.int32).reshape(-1, 2),
            motion=motion_of(self.rows(index), entry["fps"]),
            word_ends=tuple(entry["word_ends"]),
            rate=entry["rate"],
            timed=entry.get("timed", True),
        )

    def __iter__(self) -> Iterator[MotionSequence]:
        return (self[i] for i in range(len(self)))

    def check(self) -> None:
        """Read everything once. Raises ValueError naming the first sequence that was changed since it was
        written.
        """
        for index, entry in enumerate(self._entries):
            if zlib.crc32(np.ascontiguousarray(self.rows(index)).tobytes()) != entry["crc"]:
                raise ValueError(
                    f"{entry['name']}: its numbers are not those that were written (checksum); copy the "
                    "folder again"
                )
