"""The files of a folder of sequences: header, shards of numbers, journals. See `trainer.data.sequences`.

Enters: a folder, motion. Leaves: rows of numbers and lines, checked. Does not know who writes or reads them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from engine.signals import FloatArray, Motion
from trainer.data.sequence import FIELDS

HEADER = "sequences.json"
FORMAT, VERSION = "handstream.sequences", 1
COLUMNS = sum(int(np.prod(shape)) for shape in FIELDS.values())
HEAD = {"format": FORMAT, "version": VERSION, "columns": {k: list(v) for k, v in FIELDS.items()}}


def rows_of(motion: Motion) -> FloatArray:
    """[T, COLUMNS]"""
    parts = [np.asarray(getattr(motion, name), np.float32).reshape(len(motion), -1) for name in FIELDS]
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def motion_of(rows: FloatArray, fps: float) -> Motion:
    parts: dict[str, FloatArray] = {}
    at = 0
    for name, shape in FIELDS.items():
        size = int(np.prod(shape))
        parts[name] = np.array(rows[:, at : at + size], np.float32).reshape(len(rows), *shape)
        at += size
    return Motion(fps, **parts)


def read_journal(path: Path, *, last: bool) -> tuple[list[dict[str, Any]], int]:
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


def journals(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.jsonl"))


def check_header(folder: Path) -> None:
    remedy = "give a folder that `handstream train prepare` made"
    try:
        head = json.loads((folder / HEADER).read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{folder}: no sequences here ({HEADER}: {error.strerror}); {remedy}") from error
    except ValueError as error:
        raise ValueError(f"{folder}: {HEADER} is damaged ({error}); {remedy}") from error
    if head != HEAD:
        raise ValueError(
            f"{folder}: {HEADER} says {head.get('format') if isinstance(head, dict) else head!r} version "
            f"{head.get('version') if isinstance(head, dict) else '?'}, expected {FORMAT} version "
            f"{VERSION}; prepare "
            "it anew with this version"
        )


def truncated(path: Path, got: int, expected: int) -> str:
    return (
        f"{path}: holds {got} bytes, expected at least {expected}: it is truncated; copy the folder again, "
        "or delete "
        f"{path.name} and {path.stem}.jsonl and prepare them anew"
    )
