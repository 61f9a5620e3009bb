"""Corpora of recordings: DGS sentences with gloss timings, `.skels` of Progressive Transformers, folders of
`.pose`.

Enters: a folder. Leaves: a `Corpus`: names, and a way to make the `MotionSequence` of a name, so that
preparing can go on where it stopped. Does not know models. All are retargeted to our body
(`engine.retarget`), so the three modalities agree; what a recording does not show (a face in `.skels`, legs)
is at rest.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.retarget import Recording, Source, measure_source, read_pose, retarget
from engine.retarget.recording import BODY, BODY_POINTS, FACE_COUNT
from trainer.data.sequences import MotionSequence, even_spans

_POOLED = 12
"""Recordings of one signer from which the depth scale and the hand's proportions are measured."""

SKELS_FPS = 25.0
SKELS_VALUES = 150
_SKELS_UNIT = 1000.0
_SKELS_BODY = {
    "NOSE": 0, "LEFT_SHOULDER": 2, "LEFT_ELBOW": 3, "LEFT_WRIST": 4,
    "RIGHT_SHOULDER": 5, "RIGHT_ELBOW": 6, "RIGHT_WRIST": 7,
}  # fmt: skip
_SKELS_HAND = {"right": slice(8, 29), "left": slice(29, 50)}


@dataclass(frozen=True)
class Corpus:
    """Names of sequences, in order, and how each is made. `make` raises ValueError for one that cannot be
    read.
    """

    names: tuple[str, ...]
    make: Callable[[str], MotionSequence]


class _Sources:
    """The source of each signer, measured once from some of their recordings."""

    def __init__(self, paths: dict[str, list[Path]]) -> None:
        self._paths = paths
        self._found: dict[str, Source] = {}

    def of(self, signer: str) -> Source:
        if signer not in self._found:
            readable = []
            for path in self._paths[signer]:
                try:
                    readable.append(read_pose(path))
                except ValueError:  # told when its own turn comes
                    continue
                if len(readable) == _POOLED:
                    break
            self._found[signer] = measure_source(readable)
        return self._found[signer]


def frames_of(
    times_ms: Sequence[Sequence[float]], start_ms: float, fps: float, frames: int
) -> npt.NDArray[np.int32]:
    """Spans [G, 2] in frames of (start, end) pairs in milliseconds, at least one frame long; what lies
    outside the clip is cut off.
    """
    at = (np.asarray(times_ms, float).reshape(-1, 2) - start_ms) * fps / 1000
    first, last = np.round(at).T
    spans = np.stack([first, np.maximum(last, first + 1)], axis=1)
    return np.asarray(np.clip(spans, 0, frames), np.int32)


def dgs_sentences(folder: Path, kind: str = "original") -> Corpus:
    """`NAME_metadata.json` beside `NAME_original.pose` (the signer) and `NAME_updated.pose` (stitched from
    dictionary signs), as in fluent-pose-synthesis: German text, glosses with start and end in ms. kind: which
    of the two.
    """
    if kind not in ("original", "updated"):
        raise ValueError(f"DGS sentences: got {kind!r}, expected original or updated")
    metadata: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*_metadata.json")):
        name = str(path.relative_to(folder)).removesuffix("_metadata.json")
        try:
            data = json.loads(path.read_text("utf-8"))
            data["document_id"], data["sentence"]["glosses"]["gloss"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}: not the metadata of a sentence ({error!r}); expected document_id and sentence "
                "with start, "
                "german and glosses"
            ) from error
        metadata[name] = data
    if not metadata:
        raise ValueError(f"{folder}: no *_metadata.json here or below; give the folder of the DGS sentences")
    recordings = {name: folder / f"{name}_{kind}.pose" for name in metadata}
    by_signer: dict[str, list[Path]] = {}
    for name, data in metadata.items():
        by_signer.setdefault(data["document_id"], []).append(recordings[name])
    sources = _Sources(by_signer)

    def make(name: str) -> MotionSequence:
        data = metadata[name]
        sentence = data["sentence"]
        recording = read_pose(recordings[name])
        marks = sentence["glosses"]
        times = list(zip(marks["start"], marks["end"], strict=True))
        return MotionSequence(
            name=name,
            language="gsg",
            signer=data["document_id"],
            text=sentence.get("german", ""),
            glosses=tuple(marks["gloss"]),
            spans=frames_of(times, sentence["start"], recording.fps, len(recording)),
            motion=retarget(recording, source=sources.of(data["document_id"])),
            timed=kind == "original",
        )

    return Corpus(tuple(metadata), make)


def skels(path: Path, language: str = "gsg") -> Corpus:
    """`X.skels` with `X.files`, `X.text` and, where there is one, `X.gloss`: one clip a line (Saunders et al.
    2020).

    Each frame is 50 joints x 3 numbers, then a counter 0..1, which is not used: timing is generated, never
    read. x to the right of the picture, y down, z to the camera; arm 2-3-4 and hand 29-49 are the signer's
    left, arm 5-6-7 and hand 8-28 the right. Gloss times are not known.
    """
    lines = _lines(path)
    beside = {suffix: path.with_suffix(suffix) for suffix in (".files", ".text", ".gloss")}
    tables = {suffix: _lines(file) if file.exists() else [""] * len(lines) for suffix, file in beside.items()}
    for suffix, table in tables.items():
        if len(table) != len(lines):
            raise ValueError(
                f"{path}: {len(lines)} clips but {len(table)} lines in {beside[suffix].name}; they must "
                "pair up"
            )
    names = tuple(name.strip() or f"{path.stem}/{i}" for i, name in enumerate(tables[".files"]))
    number = {name: i for i, name in enumerate(names)}

    def make(name: str) -> MotionSequence:
        i = number[name]
        recording = skeleton_recording(_skeleton(lines[i], f"{path}:{i + 1}"), name)
        glosses = tuple(tables[".gloss"][i].split())
        motion = retarget(recording, source=measure_source([recording], alpha=_SKELS_UNIT))
        spans = even_spans(len(glosses), len(motion))
        text = tables[".text"][i].strip()
        return MotionSequence(name, language, "unknown", text, glosses, spans, motion, timed=False)

    return Corpus(names, make)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); give the path of a .skels file") from error


def _skeleton(line: str, where: str) -> npt.NDArray[np.float64]:
    """[T, 50, 3] of one line."""
    try:
        values = np.array(line.split(), dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"{where}: not a line of numbers ({error})") from error
    if not len(values) or len(values) % (SKELS_VALUES + 1):
        raise ValueError(
            f"{where}: got {len(values)} numbers, expected a multiple of {SKELS_VALUES + 1} (50 joints x 3, "
            "and a counter); "
            "is the line cut short?"
        )
    frames = values.reshape(-1, SKELS_VALUES + 1)[:, :SKELS_VALUES]
    wrong = ~np.isfinite(frames).all(1)
    if wrong.any():
        raise ValueError(
            f"{where}: NaN or infinity in {wrong.sum()} of {len(frames)} frames; leave the clip out"
        )
    return frames.reshape(-1, 50, 3)


def skeleton_recording(joints: npt.NDArray[np.float64], name: str) -> Recording:
    """A `Recording` of a 50-joint skeleton [T, 50, 3]: 7 body points and both hands."""
    frames = len(joints)
    placed = joints * np.array([_SKELS_UNIT, _SKELS_UNIT, -1.0])
    body = np.full((frames, len(BODY_POINTS), 3), np.nan)
    confidence = np.zeros((frames, len(BODY_POINTS)))
    for point, joint in _SKELS_BODY.items():
        body[:, BODY[point]], confidence[:, BODY[point]] = placed[:, joint], 1.0
    return Recording(
        fps=SKELS_FPS,
        body=body,
        face=np.full((frames, FACE_COUNT, 3), np.nan),
        hands={side: placed[:, joints_of] for side, joints_of in _SKELS_HAND.items()},
        body_confidence=confidence,
        name=name,
    )


TABLE = "sequences.tsv"
_COLUMNS = ("name", "language", "signer", "text", "glosses", "times")


def pose_folder(folder: Path, language: str = "ase") -> Corpus:
    """A folder of `.pose` files, with or without `sequences.tsv`.

    The table has a heading and, parted by tabs, name (path without `.pose`), language, signer, text, glosses
    (parted by blanks) and times (`start-end` in ms of each gloss, parted by blanks; empty where they are not
    known). Without a table every file is a clip of `language` without text, and all are taken for one signer.
    """
    rows: dict[str, dict[str, str]] = {}
    table = folder / TABLE
    if table.exists():
        with table.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            if set(reader.fieldnames or ()) != set(_COLUMNS):
                raise ValueError(f"{table}: got columns {reader.fieldnames}, expected {', '.join(_COLUMNS)}")
            rows = {row["name"]: {k: v or "" for k, v in row.items() if k} for row in reader}
    else:
        for path in sorted(folder.rglob("*.pose")):
            name = str(path.relative_to(folder).with_suffix(""))
            rows[name] = {"language": language, "signer": folder.name} | dict.fromkeys(_COLUMNS[3:], "")
    if not rows:
        raise ValueError(
            f"{folder}: no .pose files here or below, and no {TABLE}; give a folder of recordings"
        )
    by_signer: dict[str, list[Path]] = {}
    for name, row in rows.items():
        by_signer.setdefault(row["signer"], []).append(folder / f"{name}.pose")
    sources = _Sources(by_signer)

    def make(name: str) -> MotionSequence:
        row = rows[name]
        recording = read_pose(folder / f"{name}.pose")
        glosses, times = tuple(row["glosses"].split()), row["times"].split()
        if times and len(times) != len(glosses):
            raise ValueError(
                f"{table}: {name} has {len(glosses)} glosses and {len(times)} times; expected as many"
            )
        try:
            pairs = [[float(t) for t in time.split("-")] for time in times]
            spans = (
                frames_of(pairs, 0.0, recording.fps, len(recording))
                if times
                else even_spans(len(glosses), len(recording))
            )
        except ValueError as error:
            raise ValueError(f"{table}: {name}: times {times} are not start-end in ms ({error})") from error
        motion = retarget(recording, source=sources.of(row["signer"]))
        return MotionSequence(
            name, row["language"], row["signer"], row["text"], glosses, spans, motion, timed=bool(times)
        )

    return Corpus(tuple(rows), make)
