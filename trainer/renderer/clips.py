"""Pictures with the motion they show: what the video renderer learns from, in memory and on disk.

Enters: motion drawn by the avatar, or files. Leaves: `PictureClip`s. Does not know models.

On disk a folder holds `pictures.json` (format, version, size) and an `.npz` a clip, each written whole.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.lexicon import Lexicon
from engine.signals import Motion
from engine.skeleton import mirror_expression, mirror_hands, mirror_pose, mirror_smplx
from renderer.avatar import AvatarConfig, AvatarRenderer
from renderer.base import Bytes
from renderer.resting import resting_motion
from trainer.renderer.looks import Look, Scene, scene

HEADER = "pictures.json"
FORMAT, VERSION = "handstream.pictures", 1
_FIELDS = ("pose", "hands", "smplx", "expression")


@dataclass(frozen=True, eq=False)
class PictureClip:
    """pictures [T, S, S, 3] uint8 of motion, T frames; reference [S, S, 3]: the same signer in the same
    place, in the pose of `reference_motion`, one frame. Raises ValueError where these do not fit together."""

    name: str
    signer: str
    motion: Motion
    pictures: Bytes
    reference: Bytes
    reference_motion: Motion

    def __post_init__(self) -> None:
        size = self.pictures.shape[1:2] * 2
        if self.pictures.shape != (len(self.motion), *size, 3) or self.reference.shape != (*size, 3):
            raise ValueError(
                f"{self.name}: got pictures {self.pictures.shape} and a reference {self.reference.shape} for "
                f"{len(self.motion)} frames; expected [T, S, S, 3] and [S, S, 3]"
            )
        if len(self.motion) < 2 or len(self.reference_motion) != 1:
            raise ValueError(f"{self.name}: got {len(self.motion)} frames, expected at least two")
        for motion in (self.motion, self.reference_motion):
            if not all(np.isfinite(getattr(motion, name)).all() for name in _FIELDS):
                raise ValueError(f"{self.name}: its motion holds NaN or infinity; leave the clip out")

    @property
    def size(self) -> int:
        return int(self.pictures.shape[1])


class Studio:
    """Draws looks in scenes with the avatar; each is opened once. To be used by `with`, on one thread."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._open: dict[tuple[Look, str], AvatarRenderer] = {}

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        for renderer in self._open.values():
            renderer.close()
        self._open.clear()

    def draw(self, motion: Motion, look: Look, lit: Scene) -> Bytes:
        """[T, S, S, 3]"""
        background = "plain" if lit.background is None else "transparent"
        renderer = self._open.get((look, background))
        if renderer is None:
            config = AvatarConfig(look.signer, self._size, self._size, background)
            renderer = self._open[look, background] = AvatarRenderer(config, look.mesh())
            renderer.open()
        return np.stack([lit.lit(renderer.rgba(frame)) for frame in motion.frames()])

    def clip(self, name: str, motion: Motion, look: Look, lit: Scene) -> PictureClip:
        """Motion drawn by the avatar, with its reference."""
        rest = resting_motion()
        pictures, [reference] = self.draw(motion, look, lit), self.draw(rest, look, lit)
        return PictureClip(name, look.name, motion, pictures, reference, rest)


def windows(motions: Sequence[Motion], count: int, frames: int, seed: int) -> list[Motion]:
    """So many stretches of motion, half of them mirrored; the raised hand is preferred to the rest around."""
    rng = np.random.default_rng([seed, 11])
    made = []
    for _ in range(count):
        motion = motions[int(rng.integers(len(motions)))]
        spare = max(0, len(motion) - frames)
        start = round(spare * rng.beta(2, 2))
        part = motion[start : start + frames]
        made.append(mirrored(part) if rng.random() < 0.5 else part)
    return made


def mirrored(motion: Motion) -> Motion:
    """As a left-handed signer would."""
    return Motion(
        motion.fps,
        mirror_pose(motion.pose),
        mirror_hands(motion.hands),
        mirror_smplx(motion.smplx),
        mirror_expression(motion.expression),
        np.ascontiguousarray(motion.confidence[:, ::-1]),
    )


def alphabet_motions(languages: Sequence[str] = (), most: int = 0) -> list[Motion]:
    """Every letter's recording of the built-in alphabets (or of some, or the first few of each)."""
    lexicon = Lexicon.default()
    try:
        known = list(languages) or sorted(lexicon.languages())
        clips = {
            clip: None for language in known for clip in _some(lexicon.alphabet(language).values(), most)
        }
        return [lexicon.motion(clip) for clip in clips]
    finally:
        lexicon.close()


def _some(clips: Iterable[str], most: int) -> list[str]:
    return list(clips)[: most or None]


def avatar_clips(
    motions: Sequence[Motion],
    count: int,
    frames: int,
    size: int,
    signers: Sequence[Look],
    seed: int = 0,
    plain: float = 0.4,
    first: int = 0,
) -> Iterator[PictureClip]:
    """So many clips, numbered from `first`: the signers in turn, windows of the motions, each in a light and
    place of its own, but a share `plain` in the avatar's."""
    with Studio(size) as studio:
        for number, motion in enumerate(windows(motions, count, frames, seed), first):
            look, lit = signers[number % len(signers)], scene(seed * 100_003 + number, size, plain)
            yield studio.clip(f"{look.name}-{number:05d}", motion, look, lit)


def save_clip(folder: Path, clip: PictureClip) -> None:
    """Write one clip. Raises ValueError where the folder holds another size."""
    folder.mkdir(parents=True, exist_ok=True)
    head = {"format": FORMAT, "version": VERSION, "size": clip.size}
    path = folder / HEADER
    if path.exists() and json.loads(path.read_text("utf-8")) != head:
        raise ValueError(
            f"{folder}: holds other pictures ({path.read_text('utf-8').strip()}); give a new folder"
        )
    path.write_text(json.dumps(head) + "\n", "utf-8")
    draft = folder / f".{clip.name}.tmp"
    arrays = {f"motion_{n}": getattr(clip.motion, n) for n in _FIELDS}
    arrays |= {f"reference_{n}": getattr(clip.reference_motion, n) for n in _FIELDS}
    with draft.open("wb") as file:
        arrays |= {"pictures": clip.pictures, "reference": clip.reference}
        np.savez_compressed(file, fps=clip.motion.fps, signer=clip.signer, **arrays)
    draft.replace(folder / f"{clip.name}.npz")


def open_clips(folder: Path, size: int = 0) -> list[PictureClip]:
    """All clips of a folder. Raises ValueError for one that holds none, another size, or damaged files."""
    try:
        head = json.loads((folder / HEADER).read_text("utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{folder}: no pictures ({error}); make them with `handstream train prepare pictures` or `videos`"
        ) from error
    if head.get("format") != FORMAT or head.get("version") != VERSION:
        raise ValueError(f"{folder}: got {head}, expected {FORMAT} version {VERSION}; prepare it again")
    if size and head["size"] != size:
        raise ValueError(
            f"{folder}: got pictures of {head['size']} pixels, expected {size}; prepare them in that size"
        )
    clips = [_read(path) for path in sorted(folder.glob("*.npz"))]
    if not clips:
        raise ValueError(f"{folder}: no clips in it; prepare it again")
    return clips


def _read(path: Path) -> PictureClip:
    try:
        with np.load(path) as data:
            motions = [
                Motion(float(data["fps"]), *(data[f"{which}_{n}"] for n in _FIELDS))
                for which in ("motion", "reference")
            ]
            return PictureClip(
                path.stem, str(data["signer"]), motions[0], data["pictures"], data["reference"], motions[1]
            )
    except (OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}: not a clip of pictures ({error}); delete it, or prepare it again"
        ) from error
