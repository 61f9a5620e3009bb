"""Which triangles can be seen at all: scalp under hair and the backs of head, trunk and eyeballs are not.

Enters: a mesh. Leaves: its triangles without those. Does not know GL or motion.

On software GL a triangle costs as much as its pixels, also when it is culled. Arms and hands turn any way
and keep all of theirs; what belongs to the trunk, the head or an eye turns only so far. Of the baked signers
it is known what is ever seen (`bake.visibility`); of another body, that a triangle whose normal points
further away from the viewer than its part can turn never is.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.skeleton import JOINT
from renderer.avatar.assets import Mesh

_BEHIND_THE_LIDS: Final = -0.3
_TURNS: Final = MappingProxyType({
    **dict.fromkeys(("left_eye", "right_eye"), _BEHIND_THE_LIDS),
    **dict.fromkeys(("head", "jaw"), -0.85),
    **dict.fromkeys(("pelvis", "spine1", "spine2", "spine3", "neck"), -0.5),
    **dict.fromkeys(("left_hip", "right_hip", "left_collar", "right_collar"), -0.5),
})  # fmt: skip
"""By joint: a normal (bind pose, z towards the viewer) with a smaller z is never seen. -0.85 allows a head 50
degrees of turning or nodding (its collars and the camera's nearness take the rest), -0.5 a trunk 25."""


def turning(mesh: Mesh) -> npt.NDArray[np.bool_]:
    """Which vertices [V] belong to trunk, head or eyes."""
    return np.isin(_strongest(mesh), [JOINT[name] for name in _TURNS])


def visible_faces(mesh: Mesh, small: bool = False) -> npt.NDArray[np.uint32]:
    """The mesh's faces [F', 3], those for small pictures when asked, without those that are never seen: by
    the mesh's own mask, else (a body that was not baked) by their direction. Order kept."""
    faces, seen = (mesh.small_faces, mesh.small_seen) if small else (mesh.faces, mesh.seen)
    if seen is None:
        limits = np.full(256, -2.0)
        for name, limit in _TURNS.items():
            limits[JOINT[name]] = limit
        corners: npt.NDArray[Any] = mesh.points[faces]  # [F, 3, 3]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        towards = normals[:, 2] / np.maximum(np.linalg.norm(normals, axis=1), 1e-12)
        seen = towards >= limits[_strongest(mesh)[faces]].min(1)
    kept: npt.NDArray[np.uint32] = faces[seen]
    return kept


def _strongest(mesh: Mesh) -> npt.NDArray[Any]:
    """The joint [V] that moves each vertex most."""
    most = mesh.weights.argmax(1)[:, None]
    joint: npt.NDArray[Any] = np.take_along_axis(mesh.joints, most, 1)[:, 0]
    return joint
