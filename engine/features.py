"""Motion as models see it: one float vector a frame, and back.

Enters: `Motion` or `MotionFrame`, or the vectors of a model. Leaves: the other of the two.
Does not know models, clips or time.

A frame is 694 numbers, the three modalities side by side (`SLICES`):

    pose     0..120    60 keypoints, x and y, in shoulder widths
    hands  120..312    2 hands x 16 joints x 6: rotations as 6D (Zhou et al. 2019), left hand first
    smplx  312..694    55 joints x 6, then the 52 face units, which belong to the body's modality

Rotations are 6D because they are continuous: a model that is a little off is off by a little. `split`,
`join` and `Normaliser` take numpy arrays or torch tensors, give back what came in, and keep gradients.

`Normaliser` brings every channel to mean 0 and spread 1 by figures stored with the model. A channel that
never moved in training (toes, say) would be divided by nothing: it is 0 for the model, and its mean comes
back out, whatever the model says of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast, overload

import numpy as np
import torch
from torch import Tensor

from engine.rotations import matrix_from_rotvec, matrix_from_sixd, rotvec_from_matrix, sixd_from_matrix
from engine.signals import FloatArray, Motion, MotionFrame

MODALITIES: Final = ("pose", "hands", "smplx")
WIDTHS: Final = {"pose": 120, "hands": 192, "smplx": 382}
SLICES: Final = {"pose": slice(0, 120), "hands": slice(120, 312), "smplx": slice(312, 694)}
ROTATIONS: Final = slice(312, 642)
"""The SMPL-X rotations within a frame."""
EXPRESSION: Final = slice(642, 694)
WIDTH: Final = 694

STILL: Final = 1e-4
"""A channel whose spread is below this never moved (shoulder widths, or units of a rotation matrix)."""
LEAST: Final = 0.01
"""Spreads are taken as at least this: else a channel that barely trembles would weigh as much as a wrist."""

Array = TypeVar("Array", FloatArray, Tensor)


# -- frames to vectors -------------------------------------------------------------------------


def pack(motion: Motion | MotionFrame) -> FloatArray:
    """The vectors [T, 694] of a clip, or [694] of one frame; float32, not normalised."""
    lead = motion.smplx.shape[:-2]
    parts = (
        motion.pose.reshape(*lead, 120),
        sixd_from_matrix(matrix_from_rotvec(motion.hands)).reshape(*lead, 192),
        sixd_from_matrix(matrix_from_rotvec(motion.smplx)).reshape(*lead, 330),
        motion.expression,
    )
    return np.ascontiguousarray(np.concatenate(parts, axis=-1), dtype=np.float32)


def unpack(vectors: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """pose [..., 60, 2], hands [..., 2, 16, 3], smplx [..., 55, 3], expression [..., 52] of [..., 694].

    Any 6D numbers become proper rotations (Gram-Schmidt); face units are kept within 0..1.
    """
    _check(vectors.shape)
    lead = vectors.shape[:-1]
    sixd = np.concatenate(
        [vectors[..., SLICES["hands"]].reshape(*lead, 32, 6), vectors[..., ROTATIONS].reshape(*lead, 55, 6)],
        axis=-2,
    )
    rotvec = rotvec_from_matrix(matrix_from_sixd(sixd)).astype(np.float32)  # [..., 87, 3]
    return (
        np.ascontiguousarray(vectors[..., SLICES["pose"]], dtype=np.float32).reshape(*lead, 60, 2),
        np.ascontiguousarray(rotvec[..., :32, :]).reshape(*lead, 2, 16, 3),
        np.ascontiguousarray(rotvec[..., 32:, :]),
        np.clip(vectors[..., EXPRESSION], 0, 1).astype(np.float32),
    )


def unpack_motion(vectors: FloatArray, fps: float) -> Motion:
    """A clip from vectors [T, 694]."""
    return Motion(fps, *unpack(vectors))


def unpack_frame(vector: FloatArray, *, seq: int, pts_ns: int, gloss: int) -> MotionFrame:
    """A frame from one vector [694]."""
    return MotionFrame(seq, pts_ns, *unpack(vector), gloss=gloss)


def split(vectors: Array) -> dict[str, Array]:
    """Views of the three modalities by name: [..., 120], [..., 192], [..., 382]."""
    _check(tuple(vectors.shape))
    return {name: vectors[..., SLICES[name]] for name in MODALITIES}


def join(parts: Mapping[str, Array]) -> Array:
    """The inverse of `split`."""
    ordered: list[Any] = [parts[name] for name in MODALITIES]
    if isinstance(ordered[0], Tensor):
        return torch.cat(ordered, -1)  # type: ignore[return-value, unused-ignore]
    return cast(Array, np.concatenate(ordered, -1))


# -- rotations in torch, with gradients ---------------------------------------------------------


def rotation_matrices(sixd: Tensor) -> Tensor:
    """[..., 6] -> [..., 3, 3] by Gram-Schmidt, as `engine.rotations.matrix_from_sixd`."""
    first = torch.nn.functional.normalize(sixd[..., :3], dim=-1, eps=1e-8)
    second = sixd[..., 3:] - first * (first * sixd[..., 3:]).sum(-1, keepdim=True)
    second = torch.nn.functional.normalize(second, dim=-1, eps=1e-8)
    return torch.stack([first, second, torch.linalg.cross(first, second, dim=-1)], -1)


def sixd_of(matrices: Tensor) -> Tensor:
    """[..., 3, 3] -> [..., 6]: first column, then second."""
    return torch.cat([matrices[..., :, 0], matrices[..., :, 1]], -1)


# -- normalising --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Normaliser:
    """Mean and spread of every channel, [694] each, as learned from training motion.

    spread is 0 where a channel never moved. Raises ValueError for other shapes, and for numbers that are
    negative or not finite.
    """

    mean: FloatArray
    spread: FloatArray

    def __post_init__(self) -> None:
        for name in ("mean", "spread"):
            got = getattr(self, name)
            if got.shape != (WIDTH,) or not np.isfinite(got).all():
                raise ValueError(
                    f"Normaliser.{name}: got shape {got.shape}, expected ({WIDTH},) finite numbers"
                )
        if (self.spread < 0).any():
            raise ValueError("Normaliser.spread: got negative numbers, expected 0 (never moves) or more")
        moving = self.spread > 0
        object.__setattr__(self, "_inverse", np.where(moving, 1 / np.where(moving, self.spread, 1), 0))
        object.__setattr__(self, "_torch", {})

    @classmethod
    def learn(cls, clips: Iterable[FloatArray]) -> Normaliser:
        """From clips of vectors [T, 694]. Raises ValueError where there is no frame, or one with a NaN."""
        count, total, squares = 0, np.zeros(WIDTH), np.zeros(WIDTH)
        low, high = np.full(WIDTH, np.inf), np.full(WIDTH, -np.inf)
        for clip in clips:
            _check(clip.shape)
            if not np.isfinite(clip).all():
                raise ValueError("Normaliser.learn: got motion with NaN or infinity; leave that clip out")
            count += len(clip)
            wide = clip.astype(np.float64)
            total += wide.sum(0)
            squares += (wide**2).sum(0)
            low, high = np.minimum(low, wide.min(0)), np.maximum(high, wide.max(0))
        if not count:
            raise ValueError("Normaliser.learn: got no frames, expected at least one clip")
        mean = total / count
        spread = np.sqrt(np.maximum(squares / count - mean**2, 0))
        moving = high - low > STILL
        mean = np.where(moving, mean, low)
        spread = np.where(moving, np.maximum(spread, LEAST), 0)
        return cls(mean.astype(np.float32), spread.astype(np.float32))

    @property
    def moving(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """[694]: which channels move at all."""
        moving: np.ndarray[tuple[int], np.dtype[np.bool_]] = self.spread > 0
        return moving

    @overload
    def apply(self, vectors: FloatArray) -> FloatArray: ...

    @overload
    def apply(self, vectors: Tensor) -> Tensor: ...

    def apply(self, vectors: Any) -> Any:
        """Vectors [..., 694] to what a model takes: mean 0, spread 1; still channels are 0."""
        mean, _, inverse = self._like(vectors)
        return (vectors - mean) * inverse

    @overload
    def undo(self, normal: FloatArray) -> FloatArray: ...

    @overload
    def undo(self, normal: Tensor) -> Tensor: ...

    def undo(self, normal: Any) -> Any:
        """The inverse of `apply`; still channels come out at their mean."""
        mean, spread, _ = self._like(normal)
        return normal * spread + mean

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint; `Normaliser.of` reads them."""
        return {"normal.mean": torch.from_numpy(self.mean), "normal.spread": torch.from_numpy(self.spread)}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Normaliser:
        """From a checkpoint's tensors. Raises ValueError where they are missing or of another layout."""
        try:
            mean, spread = tensors["normal.mean"], tensors["normal.spread"]
        except KeyError as error:
            raise ValueError(f"checkpoint: {error} is missing; it is of another kind or version") from error
        return cls(mean.float().cpu().numpy(), spread.float().cpu().numpy())

    def _like(self, vectors: Any) -> tuple[Any, Any, Any]:
        """Mean, spread and inverse spread, of the kind (and on the device) of `vectors`."""
        _check(tuple(vectors.shape))
        figures = (self.mean, self.spread, self._inverse.astype(np.float32))  # type: ignore[attr-defined]
        if not isinstance(vectors, Tensor):
            return figures
        key = (vectors.device, vectors.dtype)
        kept: dict[Any, tuple[Tensor, ...]] = self._torch  # type: ignore[attr-defined]
        if key not in kept:
            kept[key] = tuple(torch.as_tensor(f, dtype=vectors.dtype, device=vectors.device) for f in figures)
        mean, spread, inverse = kept[key]
        return mean, spread, inverse


def _check(shape: tuple[int, ...]) -> None:
    if not shape or shape[-1] != WIDTH:
        raise ValueError(f"features: got shape {shape}, expected [..., {WIDTH}] (see engine.features.SLICES)")
