# mypy: disable-error-code="no-any-return, type-arg"
"""The fold: constant rotations that carry MakeHuman's A-pose into the SMPL-X T-pose, joint by joint.

Enters: a shape. Leaves: a `Figure`: the mesh in its A-pose (which stays the bind pose, because linear
skinning through a T-pose hurts the shoulders), joints of both poses, and per joint the A-to-T matrix [3, 4].
Rest directions follow SMPL-X: the upper arm slopes about 12 degrees down. Metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.skeleton import FINGERS, SIDES
from renderer.avatar.bake.makehuman import Array, MakeHuman, Rig
from renderer.avatar.bake.rigmap import ALL_NAMES, ALL_PARENTS, INDEX, joint_positions
from renderer.avatar.bake.shapes import Shape, displacement

METRES = 0.1
PELVIS = np.array([0, -0.35, 0.01])
"""Where the pelvis of the rest pose lies, as in SMPL-X."""
_FINGER_Z = {"index": 0.09, "middle": -0.13, "ring": -0.2, "pinky": -0.5}


@dataclass(frozen=True)
class Figure:
    """vertices [V, 3] and joints_a [59, 3] in the A-pose; joints_t [59, 3] in the T-pose; fold [59, 3, 4]."""

    vertices: Array
    joints_a: Array
    joints_t: Array
    fold: Array

    def t_posed(self, weights: Array) -> Array:
        """The mesh carried into the T-pose: [V, 3]."""
        matrices = (weights @ self.fold.reshape(len(ALL_NAMES), 12)).reshape(-1, 3, 4)
        return np.einsum("vij,vj->vi", matrices[..., :3], self.vertices) + matrices[..., 3]


def figure(data: MakeHuman, rig: Rig, shape: Shape, skeleton_t: Array | None = None) -> Figure:
    """A shape, folded. With `skeleton_t` [59, 3] the fold also stretches its bones onto that T-pose
    skeleton."""
    vertices = (data.vertices + displacement(data, shape)) * METRES
    joints_a = joint_positions(data, rig, vertices)
    if skeleton_t is not None:  # one size first, so that little is left to stretch
        scale = _reach(skeleton_t) / _reach(joints_a)
        vertices, joints_a = vertices * scale, joints_a * scale
    tips = {name: vertices[rig.tails[name]].mean(0) for name in rig.names if name.startswith("finger")}
    rotations = _rotations(joints_a, tips)
    joints_t = (
        _walk(joints_a, rotations) if skeleton_t is None else _own_face(skeleton_t, joints_a, rotations)
    )
    translations = joints_t - np.einsum("nij,nj->ni", rotations, joints_a)
    return Figure(vertices, joints_a, joints_t, np.concatenate([rotations, translations[..., None]], -1))


def _own_face(skeleton_t: Array, joints_a: Array, rotations: Array) -> Array:
    """Eyes and jaw stay where the face's own shape has them; moving them apart would open lids and lips."""
    out, head = skeleton_t.copy(), INDEX["head"]
    for name in ("jaw", "left_eye", "right_eye"):
        out[INDEX[name]] = out[head] + rotations[head] @ (joints_a[INDEX[name]] - joints_a[head])
    return out


def _reach(joints: Array) -> float:
    bones = (
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
        ("neck", "head"),
        ("spine1", "neck"),
    )
    return float(sum(np.linalg.norm(joints[INDEX[b]] - joints[INDEX[a]]) for a, b in bones))


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)


def _basis(x: Array, y: Array) -> Array:
    x = _unit(x)
    y = _unit(y - x * (x @ y))
    return np.stack([x, y, np.cross(x, y)], 1)


def _align(x: Array, y: Array, to_x: Array, to_y: Array) -> Array:
    return _basis(to_x, to_y) @ _basis(x, y).T


def _cross_matrix(v: Array) -> Array:
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])


def _shortest(a: Array, b: Array) -> Array:
    a, b = _unit(a), _unit(b)
    k = _cross_matrix(np.cross(a, b))
    return np.eye(3) + k + k @ k / (1 + a @ b)


def _half_twist(rotation: Array, axis: Array) -> Array:
    """Half of a rotation's turn about an axis."""
    sines = np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    w = np.sqrt(max(0.0, 1 + np.trace(rotation))) / 2
    angle = np.arctan2(sines @ axis / (4 * w), w)
    k = _cross_matrix(axis)
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def _walk(joints_a: Array, rotations: Array) -> Array:
    joints_t = np.zeros_like(joints_a)
    joints_t[0] = joints_a[0]
    for i, parent in enumerate(ALL_PARENTS[1:], 1):
        joints_t[i] = joints_t[parent] + rotations[parent] @ (joints_a[i] - joints_a[parent])
    return joints_t - joints_t[0] + PELVIS


def _rotations(p: Array, tips: dict[str, Array]) -> Array:
    out = np.tile(np.eye(3), (len(ALL_NAMES), 1, 1))
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        at = {
            name: p[INDEX[f"{side}_{name}"]]
            for name in (n[len(side) + 1 :] for n in ALL_NAMES if n.startswith(side))
        }

        def put(joint: str, rotation: Array, side: str = side) -> None:
            out[INDEX[f"{side}_{joint}"]] = rotation

        _fold_arm(at, sign, put)
        hand = out[INDEX[f"{side}_wrist"]]
        for number, finger in enumerate(FINGERS, 1):
            chain = [at[f"{finger}{k}"] for k in (1, 2, 3)] + [tips[f"finger{number}-3.{side[0].upper()}"]]
            along = (
                np.array([sign * 0.56, -0.1, 0.82])
                if finger == "thumb"
                else np.array([sign, 0, _FINGER_Z[finger]])
            )
            for k in range(3):
                put(f"{finger}{k + 1}", _shortest(hand @ (chain[k + 1] - chain[k]), along) @ hand)
        put("hip", _shortest(at["knee"] - at["hip"], np.array([sign * 0.09, -1, 0])))
        put("knee", _shortest(at["ankle"] - at["knee"], np.array([0, -1, -0.08])))
        sole = (at["foot"] - at["ankle"]) * np.array([1, 0, 1])
        put("ankle", _shortest(sole, np.array([sign * 0.15, 0, 1])))
        put("foot", out[INDEX[f"{side}_ankle"]])
    return out


def _fold_arm(at: dict[str, Array], sign: float, put) -> None:  # type: ignore[no-untyped-def]
    upper, fore = at["elbow"] - at["shoulder"], at["wrist"] - at["elbow"]
    hinge, to_hinge = np.cross(upper, fore), np.array([0, -sign, 0])
    across = np.array([sign, 0, 0])
    shoulder = _align(upper, hinge, np.array([sign * 0.97, -0.20, -0.13]), to_hinge)
    elbow = _align(fore, hinge, np.array([sign * 0.998, 0.036, -0.036]), to_hinge)
    wrist = _align(at["middle1"] - at["wrist"], at["index1"] - at["pinky1"], across, np.array([0, 0, 1.0]))
    put("shoulder", shoulder)
    put("upperarm_twist", shoulder)
    put("elbow", elbow)
    put("forearm_twist", _half_twist(wrist @ elbow.T, across) @ elbow)
    put("wrist", wrist)
