"""Morphing and skinning in numpy: what the shader is tested against.

Enters: a mesh, face units, joint matrices. Leaves: posed vertices. Does not know GL.
"""

from __future__ import annotations

import numpy as np

from engine.signals import FloatArray
from renderer.avatar.assets import Mesh


def morphed(mesh: Mesh, units: FloatArray) -> FloatArray:
    """Position and normal [M, 6] of the vertices that morph, under face units [52]."""
    active = np.flatnonzero(units)
    count = mesh.unit_moves.shape[1] // 6
    still: FloatArray = np.concatenate([mesh.points[:count], mesh.normals[:count]], 1)
    if not len(active):
        return still
    return np.asarray(still + (units[active] @ mesh.unit_moves[active]).reshape(count, 6), dtype=np.float32)


def skinned(mesh: Mesh, units: FloatArray, matrices: FloatArray) -> FloatArray:
    """Posed vertices [V, 3] in metres: linear blend skinning with four joints each."""
    points = mesh.points.copy()
    face = morphed(mesh, units)
    points[: len(face)] = face[:, :3]
    share = mesh.weights.astype(np.float32) / 255
    blended = np.einsum("vk,vkij->vij", share, matrices[mesh.joints])  # [V, 3, 4]
    return np.asarray((blended[..., :3] @ points[..., None])[..., 0] + blended[..., 3], dtype=np.float32)
