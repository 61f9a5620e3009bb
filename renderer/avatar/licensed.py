"""A user's own licensed `SMPLX_NEUTRAL.npz`, drawn by the same renderer.

Enters: the path of a model file in SMPL-X's layout. Leaves: a `Mesh` for `AvatarRenderer(config, mesh=...)`.
The file is read by the `smplx` package (extra `smplx`, for non-commercial use only), imported here and
nowhere else.
Pose-dependent corrections are left out: they would cost ten times the frame budget. Files without named
face units move the jaw only, since SMPL-X's own expressions do not correspond to the 52 units.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.rotations import matrix_from_rotvec
from engine.signals import FloatArray
from engine.skeleton import EYES as EYE_JOINTS
from engine.skeleton import FACE_UNITS, HAND, JAW, JOINT, WRIST
from renderer.avatar.assets import CLOTH, EYES, SKIN, Bytes, Mesh
from renderer.avatar.bones import JAW_OPEN_RAD

_PALETTE = ((214, 166, 138), (33, 47, 84), (236, 232, 228), (58, 38, 28))
"""sRGB of skin, cloth, the white of the eye, iris: one texel column each."""
_FACE_JOINTS = {JOINT["head"], JOINT["neck"], JAW}


def licensed_mesh(path: Path, betas: FloatArray | None = None) -> Mesh:
    """Raises RuntimeError without the `smplx` package, ValueError when the file is not an SMPL-X model.

    path: the .npz; betas [up to 10]: the body's shape."""
    try:
        import smplx
    except ImportError as error:
        raise RuntimeError(
            "licensed body: the smplx package is not installed; `pip install handstream[smplx]` "
            "(its licence allows non-commercial use only)"
        ) from error
    if not path.is_file():
        raise ValueError(
            f"licensed body: no file {path}; download SMPLX_NEUTRAL.npz "
            "under your own licence and give its path"
        )
    try:
        with np.load(path, allow_pickle=True) as data:
            names = [str(n) for n in data["expression_names"]] if "expression_names" in data else []
        model = smplx.SMPLX(
            str(path), ext=path.suffix[1:], use_pca=False, flat_hand_mean=True, num_betas=10,
            num_expression_coeffs=len(names) or 10,
        )  # fmt: skip
    except (KeyError, ValueError, AssertionError, AttributeError, OSError) as error:
        raise ValueError(f"licensed body: {path} is not an SMPL-X model in .npz form ({error})") from error
    return _mesh(model, names, betas)


def _mesh(model: Any, names: list[str], betas: FloatArray | None) -> Mesh:
    shape = np.zeros(10, np.float32)
    if betas is not None:
        shape[: len(betas)] = betas
    directions = model.shapedirs.detach().numpy()[:, :, :10]
    points = np.asarray(
        model.v_template.detach().numpy() + directions @ shape[: directions.shape[2]], np.float32
    )
    joints = np.asarray(model.J_regressor.detach().numpy() @ points, dtype=np.float32)
    skin = model.lbs_weights.detach().numpy()
    faces = np.asarray(model.faces, np.int64)
    strongest = np.argsort(-skin, 1)[:, :4]
    share = np.take_along_axis(skin, strongest, 1)
    steps = np.round(share / share.sum(1, keepdims=True) * 255).astype(int)
    steps[:, 0] += 255 - steps.sum(1)
    material, texel = _materials(strongest[:, 0], points, joints)
    rest = np.concatenate([joints, joints[[18, 19, 16, 17]]])  # twist joints carry no weight here
    fold = np.tile(np.eye(3, 4, dtype=np.float32), (len(rest), 1, 1))
    return Mesh(
        points=points,
        normals=_normals(points, faces),
        uv=np.stack([(texel + 0.5) / len(_PALETTE), np.full(len(texel), 0.5)], 1).astype(np.float32),
        joints=strongest.astype(np.uint8),
        weights=steps.astype(np.uint8),
        material=material,
        light=np.full(len(points), 225, np.uint8),
        faces=faces.astype(np.uint32),
        small_faces=faces.astype(np.uint32),
        unit_moves=_units(model, names, points, joints, skin, faces),
        rest=np.zeros(len(FACE_UNITS), np.float32),
        fold=fold,
        rest_joints=rest,
        texture=np.repeat(np.array([_PALETTE], np.uint8), 2, 0),
        colours=(np.array(_PALETTE[:3]) / 255).astype(np.float32),
    )


def _materials(
    owner: np.ndarray[Any, Any], points: FloatArray, joints: FloatArray
) -> tuple[Bytes, np.ndarray[Any, Any]]:
    """Skin on head and hands, cloth elsewhere, eyes with an iris in front: material and palette column
    [V]."""
    bare = _FACE_JOINTS | set(WRIST.values())
    bare |= {j for side in HAND.values() for j in range(side.start, side.stop)}
    material = np.where(np.isin(owner, sorted(bare)), SKIN, CLOTH)
    texel = np.where(material == SKIN, 0, 1)
    for eye in range(EYE_JOINTS.start, EYE_JOINTS.stop):
        ball = owner == eye
        if ball.any():
            away = points[ball] - joints[eye]
            radius = np.linalg.norm(away, axis=1).max()
            texel[ball] = np.where(away[:, 2] > 0.86 * radius, 3, 2)
            material[ball] = EYES
    return material.astype(np.uint8), texel


def _units(
    model: Any,
    names: list[str],
    points: FloatArray,
    joints: FloatArray,
    skin: np.ndarray[Any, Any],
    faces: np.ndarray[Any, Any],
) -> FloatArray:
    """[52, V*6]: named expressions where the file has them, else the jaw's turn as jawOpen."""
    out = np.zeros((len(FACE_UNITS), len(points), 6), np.float32)
    still = _normals(points, faces)
    moves: dict[str, FloatArray] = {}
    if names:
        directions = model.expr_dirs.detach().numpy()
        moves = {name: directions[:, :, i].copy() for i, name in enumerate(names) if name in FACE_UNITS}
        balls = skin[:, EYE_JOINTS].max(1) > 0.5
        for name, move in moves.items():
            if name.startswith("eyeLook"):
                move[balls] = 0  # the eye joints turn the eyeballs
    else:
        turn = matrix_from_rotvec(np.array([JAW_OPEN_RAD, 0, 0], np.float32))
        away = points - joints[JAW]
        moves = {"jawOpen": np.asarray(skin[:, JAW, None] * (away @ turn.T - away), dtype=np.float32)}
    for name, move in moves.items():
        unit = FACE_UNITS.index(name)
        out[unit, :, :3] = move
        out[unit, :, 3:] = _normals(points + move, faces) - still
    return out.reshape(len(FACE_UNITS), -1)


def _normals(points: FloatArray, faces: np.ndarray[Any, Any]) -> FloatArray:
    a, b, c = (points[faces[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)
    out = np.zeros_like(points)
    for i in range(3):
        np.add.at(out, faces[:, i], face)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12), dtype=np.float32)
