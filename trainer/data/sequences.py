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

import contextlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from engine.signals import EXPRESSION_SHAPE, HANDS_SHAPE, POSE_SHAPE, SMPLX_SHAPE, FloatArray, Motion

log = logging.getLogger(__name__)

HEADER = "sequences.json"
FORMAT, VERSION = "handstream.sequences", 1
FIELDS = {
    "pose": POSE_SHAPE,
    "hands": HANDS_SHAPE,
    "smplx": SMPLX_SHAPE,
    "expression": EXPRESSION_SHAPE,
    "confidence": (2,),
}
"""What a row holds, in this order."""
COLUMNS = sum(int(np.prod(shape)) for shape in FIELDS.values())
SHARD_FRAMES = 1 << 17
"""A shard is closed when it holds this many frames (218 MiB)."""
_HEAD = {"format": FORMAT, "version": VERSION, "columns": {k: list(v) for k, v in FIELDS.items()}}


@dataclass(frozen=True, eq=False)
class MotionSequence:
    """One clip with what is signed in it.

    name: unique in a folder. language: of signing (ISO 639-3). signer: who, or which recordings. glosses:
    labels in the order signed, as `Gloss.label` shows them (`HELLO`, `Z`). spans int32 [G, 2]: first and
    one-past-last frame of each. motion: T frames. word_ends [G]: `Gloss.word_end` of each (empty: every one
    is a word). rate: the signing rate it was made at (1 where recorded). timed: False where the corpus does
    not say when its glosses are; the spans are then even shares of the clip, and nothing to learn timing
    from. Raises ValueError where these do not fit together, or where a number is not finite.
    """

    name: str
    language: str
    signer: str
    text: str
    glosses: tuple[str, ...]
    spans: npt.NDArray[np.int32]
    motion: Motion
    word_ends: tuple[bool, ...] = field(default=())
    rate: float = 1.0
    timed: bool = True

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError(
                "MotionSequence.name: got an empty name, expected one that is unique in its folder"
            )
        frames, spans = len(self.motion), np.asarray(self.spans, dtype=np.int32).reshape(-1, 2)
        object.__setattr__(self, "spans", spans)
        if not self.word_ends:
            object.__setattr__(self, "word_ends", (True,) * len(self.glosses))
        if frames == 0:
            raise ValueError(f"{self.name}: got a motion of no frames; leave the clip out")
        if len(spans) != len(self.glosses) or len(self.word_ends) != len(self.glosses):
            raise ValueError(
                f"{self.name}: got {len(self.glosses)} glosses, {len(spans)} spans and "
                f"{len(self.word_ends)} word "
                "ends; expected as many of each"
            )
        if len(spans) and ((spans[:, 0] < 0) | (spans[:, 0] > spans[:, 1]) | (spans[:, 1] > frames)).any():
            raise ValueError(
                f"{self.name}: got spans {spans.tolist()}, expected first <= last within {frames} frames; "
                "are they in milliseconds?"
            )
        for name in FIELDS:
            wrong = ~np.isfinite(getattr(self.motion, name)).reshape(frames, -1).all(1)
            if wrong.any():
                raise ValueError(
                    f"{self.name}: {name} holds NaN or infinity in {wrong.sum()} of {frames} frames, first "
                    "in "
                    f"frame {int(wrong.argmax())}; fill or cut them before training"
                )

    def __len__(self) -> int:
        return len(self.motion)


def even_spans(glosses: int, frames: int) -> npt.NDArray[np.int32]:
    """[G, 2] even shares of a clip, for glosses whose times are not known."""
    edges = np.round(np.linspace(0, frames, glosses + 1)).astype(np.int32)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _rows(motion: Motion) -> FloatArray:
    """[T, COLUMNS]"""
    parts = [np.asarray(getattr(motion, name), np.float32).reshape(len(motion), -1) for name in FIELDS]
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def _motion(rows: FloatArray, fps: float) -> Motion:
    parts: dict[str, FloatArray] = {}
    at = 0
    for name, shape in FIELDS.items():
        size = int(np.prod(shape))
        parts[name] = np.array(rows[:, at : at + size], np.float32).reshape(len(rows), *shape)
        at += size
    return Motion(fps, **parts)


def _lines(path: Path, *, last: bool) -> tuple[list[dict[str, Any]], int]:
    """Complete lines of a journal, and their bytes. last: the newest shard, whose last line may be half
    written.
    """
    data = path.read_bytes() if path.exists() else b""
    whole = data.rfind(b"\n") + 1
    if whole != len(data) and not last:
        raise ValueError(
            f"{path}: ends within a line, and is not the newest shard; copy the folder again or prepare it "
            "anew"
        )
    lines = []
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            entry = json.loads(line)
            entry["name"], entry["start"] + entry["frames"], entry["crc"]
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path}:{number}: not a sequence's line ({error!r}); copy the folder again or prepare it "
                "anew"
            ) from error
        lines.append(entry)
    return lines, whole


def _journals(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.jsonl"))


def _check_header(folder: Path) -> None:
    remedy = "give a folder that `handstream train prepare` made"
    try:
        head = json.loads((folder / HEADER).read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{folder}: no sequences here ({HEADER}: {error.strerror}); {remedy}") from error
    except ValueError as error:
        raise ValueError(f"{folder}: {HEADER} is damaged ({error}); {remedy}") from error
    if head != _HEAD:
        raise ValueError(
            f"{folder}: {HEADER} says {head.get('format') if isinstance(head, dict) else head!r} version "
            f"{head.get('version') if isinstance(head, dict) else '?'}, expected {FORMAT} version "
            f"{VERSION}; prepare "
            "it anew with this version"
        )


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
            if not (self.folder / HEADER).exists() and not _journals(self.folder):
                draft = self.folder / f".{HEADER}.tmp"
                draft.write_text(json.dumps(_HEAD) + "\n", "utf-8")
                os.replace(draft, self.folder / HEADER)
            _check_header(self.folder)
            self._names: set[str] = set()
            self._shard, self._frames = 0, 0
            paths = _journals(self.folder)
            for path in paths:
                entries, whole = _lines(path, last=path == paths[-1])
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
            raise ValueError(_truncated(data, got, expected))
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
        rows = _rows(sequence.motion).tobytes()
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


def _truncated(path: Path, got: int, expected: int) -> str:
    return (
        f"{path}: holds {got} bytes, expected at least {expected}: it is truncated; copy the folder again, "
        "or delete "
        f"{path.name} and {path.stem}.jsonl and prepare them anew"
    )


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
        _check_header(folder)
        paths = _journals(folder)
        for path in paths:
            entries, _ = _lines(path, last=path == paths[-1])
            if not entries:
                continue
            data = path.with_suffix(".f32")
            expected = max(e["start"] + e["frames"] for e in entries) * COLUMNS * 4
            got = data.stat().st_size if data.exists() else 0
            if got < expected:
                raise ValueError(_truncated(data, got, expected))
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
            motion=_motion(self.rows(index), entry["fps"]),
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
