"""PHOENIX14T+: a corpus folder with videos or result files becomes motion sequences of three modalities.

Enters: a folder in the layout of `docs/training-data.md`. Leaves: a `Corpus`. Does not know how estimators
work: an `Extractor` says what it makes of a clip, the first in line that has a modality gives it.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from engine.lexicon.video import pose_from_video
from engine.retarget import Source, measure_source, read_pose, retarget
from engine.signals import FloatArray, Motion
from trainer.data.parts import Part, dwpose, hamer, smplerx, together
from trainer.data.recordings import Corpus
from trainer.data.sequences import MotionSequence, even_spans

FPS = 25.0
SPLITS = ("train", "dev", "test")
_COLUMNS = {"name", "speaker", "orthography", "translation"}
_VIDEOS = (".mp4", ".avi", ".mkv", ".webm", ".mov")
_POOLED = 12


@dataclass(frozen=True)
class Clip:
    """One clip of the corpus. video: a file, or a pattern of numbered pictures; None where there is none."""

    name: str
    split: str
    speaker: str
    glosses: tuple[str, ...]
    text: str
    video: Path | None

    @property
    def key(self) -> str:
        return f"{self.split}/{self.name}"


class Extractor(Protocol):
    """What makes modalities of a clip. None: it has nothing for this one. Raises ValueError for what is
    broken.
    """

    def __call__(self, clip: Clip) -> Part | None: ...


def read_clips(folder: Path, splits: Sequence[str] = SPLITS) -> list[Clip]:
    """The clips of a corpus folder, in the order of its tables `*.SPLIT.corpus.csv` (parted by `|`, as
    released).

    Raises ValueError where no table is there, or one lacks columns.
    """
    clips = []
    for split in splits:
        for table in sorted(folder.rglob(f"*.{split}.corpus.csv")):
            if "complex" in table.name:
                continue
            with table.open(encoding="utf-8", newline="") as file:
                rows = csv.DictReader(file, delimiter="|", quoting=csv.QUOTE_NONE)
                if not set(rows.fieldnames or ()) >= _COLUMNS:
                    raise ValueError(
                        f"{table}: got columns {rows.fieldnames}, expected at least "
                        f"{', '.join(sorted(_COLUMNS))}, "
                        "parted by |"
                    )
                for row in rows:
                    glosses = tuple((row["orthography"] or "").split())
                    video = _video(folder, split, row["name"])
                    text = row["translation"] or ""
                    clips.append(Clip(row["name"], split, row["speaker"] or "unknown", glosses, text, video))
    if not clips:
        raise ValueError(
            f"{folder}: no *.train.corpus.csv (or dev, test) here or below; give the folder of "
            "PHOENIX-2014-T, or one in "
            "the layout of docs/training-data.md"
        )
    return clips


def _video(folder: Path, split: str, name: str) -> Path | None:
    for pictures in folder.glob(f"**/fullFrame-*/{split}/{name}"):
        if (pictures / "images0001.png").exists():
            return pictures / "images%04d.png"
    for beside in (folder / "videos" / split, folder / "videos"):
        for suffix in _VIDEOS:
            if (beside / f"{name}{suffix}").exists():
                return beside / f"{name}{suffix}"
    return None


class Results:
    """Result files beside the videos: `dwpose/NAME.json|.npz`, `hamer/NAME.npz`, `smplerx/NAME/`."""

    def __init__(
        self, folder: Path, kind: str, mean_hands: tuple[FloatArray, FloatArray] | None = None
    ) -> None:
        self._folder, self._kind, self._mean_hands = folder / kind, kind, mean_hands

    def __call__(self, clip: Clip) -> Part | None:
        for place in (self._folder / clip.split / clip.name, self._folder / clip.name):
            if self._kind == "smplerx":
                if place.is_dir():
                    if self._mean_hands is None:
                        raise ValueError(
                            f"{place}: hand poses of SMPLer-X are told from the model's mean hand; give "
                            "your own model "
                            "file: --smplx-model SMPLX_NEUTRAL.npz"
                        )
                    return smplerx(place, self._mean_hands)
                continue
            for suffix in (".json", ".npz") if self._kind == "dwpose" else (".npz",):
                path = place.with_name(place.name + suffix)
                if path.exists():
                    return dwpose(path) if self._kind == "dwpose" else hamer(path)
        return None


class MediaPipe:
    """Videos through MediaPipe (extra `vision`) and retargeting. Recordings are kept in `cache`: detecting is
    what takes long, and is never done twice.
    """

    def __init__(self, clips: Sequence[Clip], cache: Path) -> None:
        self._cache = cache
        self._by_speaker: dict[str, list[Clip]] = {}
        for clip in clips:
            if clip.video is not None:
                self._by_speaker.setdefault(clip.speaker, []).append(clip)
        self._source: Callable[[str], Source] = lru_cache(maxsize=None)(self._measure)

    def __call__(self, clip: Clip) -> Part | None:
        if clip.video is None:
            return None
        motion = retarget(read_pose(self._recorded(clip)), source=self._source(clip.speaker))
        modalities = (motion.pose, motion.hands, motion.smplx, motion.expression)
        return Part(*modalities, motion.confidence, fps=motion.fps)

    def _recorded(self, clip: Clip) -> Path:
        path = self._cache / f"{clip.key}.pose"
        if not path.exists():
            assert clip.video is not None
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            try:
                draft.write_bytes(pose_from_video(clip.video))
                os.replace(draft, path)
            finally:
                draft.unlink(missing_ok=True)
        return path

    def _measure(self, speaker: str) -> Source:
        """Depth scale and hand of a speaker, from the first of their clips that can be read."""
        readable = []
        for clip in self._by_speaker[speaker]:
            try:
                readable.append(read_pose(self._recorded(clip)))
            except ValueError:  # told when its own turn comes
                continue
            if len(readable) == _POOLED:
                break
        return measure_source(readable)


def phoenix14t_plus(
    clips: Sequence[Clip], extractors: Sequence[Extractor], language: str = "gsg", fps: float = FPS
) -> Corpus:
    """All clips; modalities from `extractors` in order, asked until all are there. Gloss times are not
    known.
    """
    by_key = {clip.key: clip for clip in clips}

    def make(key: str) -> MotionSequence:
        clip = by_key[key]
        parts: list[Part] = []
        for extractor in extractors:
            if parts and _complete(parts):
                break
            part = extractor(clip)
            if part is not None:
                parts.append(part)
        if not parts:
            raise ValueError(
                f"{key}: neither a video nor result files; see docs/training-data.md for where they go"
            )
        known = next((part.fps for part in parts if part.fps is not None), fps)
        motion = Motion(known, **together(parts, key))
        spans = even_spans(len(clip.glosses), len(motion))
        return MotionSequence(
            key, language, clip.speaker, clip.text, clip.glosses, spans, motion, timed=False
        )

    return Corpus(tuple(by_key), make)


def _complete(parts: Sequence[Part]) -> bool:
    fields = ("pose", "hands", "smplx", "expression")
    return all(any(getattr(part, field) is not None for part in parts) for field in fields)
