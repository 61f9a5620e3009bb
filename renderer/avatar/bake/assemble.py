# mypy: disable-error-code="no-any-return, type-arg"
"""Puts the parts together: one file of what all signers share, one per signer of what is theirs.

Enters: MakeHuman data. Leaves: dictionaries of arrays, as `renderer.avatar.assets` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from engine.skeleton import FACE_UNITS
from renderer.avatar.bake.cast import Look
from renderer.avatar.bake.fold import METRES, Figure, figure
from renderer.avatar.bake.geometry import normals, smoothstep
from renderer.avatar.bake.hair import hair, skull_centre
from renderer.avatar.bake.makehuman import Array, Indices, MakeHuman, Rig
from renderer.avatar.bake.occlusion import openness
from renderer.avatar.bake.parts import (
    CLOTH,
    EYES,
    HAIR,
    MOUTH,
    SKIN,
    TOOTH,
    Part,
    cloth_weights,
    dressed,
    fit_shirt,
    hand_joints,
    shared_parts,
    tucked,
)
from renderer.avatar.bake.rigmap import eyeball, weights
from renderer.avatar.bake.shapes import BASE

Arrays = dict[str, np.ndarray]
REST = {"mouthSmileLeft": 0.22, "mouthSmileRight": 0.22, "eyeWideLeft": 0.30, "eyeWideRight": 0.30,
        "browInnerUp": 0.08, "browOuterUpLeft": 0.08, "browOuterUpRight": 0.08}  # fmt: skip
"""Baked into the neutral face: without it MakeHuman's looks stern."""
GAIN = {"cheekPuff": 1.8}
"""MakeHuman's puffed cheeks are too slight to be read at 512 pixels."""
_LEAST_OPEN = {TOOTH: 0.62, MOUTH: 0.62, EYES: 0.55}


@dataclass(frozen=True)
class Bench:
    """Everything the signers have in common while they are baked."""

    data: MakeHuman
    rig: Rig
    weights: Array
    base: Figure
    units: Array  # [52, V, 3] metres
    unit_normals: Array  # [52, V, 3]
    parts: list[Part]

    @property
    def rows(self) -> sparse.csr_matrix:
        return sparse.vstack([p.rows for p in self.parts], format="csr")

    @property
    def material(self) -> Indices:
        return np.concatenate([np.full(p.rows.shape[0], p.material) for p in self.parts])


def open_bench(data: MakeHuman) -> Bench:
    rig = data.rig()
    skin_weights = weights(data, rig)
    base = figure(data, rig, BASE)
    units = np.stack([data.face_unit(name) * GAIN.get(name, 1.0) for name in FACE_UNITS]) * METRES
    balls = np.concatenate([eyeball(data, side) for side in ("left", "right")])
    for i, name in enumerate(FACE_UNITS):
        if name.startswith("eyeLook"):
            units[i, balls] = 0  # the eye joints turn the eyeballs
    faces = _soft_faces(data)
    still = normals(base.vertices, faces)
    turned = np.stack([normals(base.vertices + unit, faces) - still for unit in units])
    parts = shared_parts(data, base, skin_weights, np.linalg.norm(units, axis=2).max(0))
    return Bench(data, rig, skin_weights, base, units, turned, parts)


def _soft_faces(data: MakeHuman) -> Indices:
    helpers = ("helper-l-eye", "helper-r-eye", "helper-upper-teeth", "helper-lower-teeth", "helper-tongue")
    names = ("body", *helpers, *(g for g in data.groups if "lash" in g))
    return np.concatenate([data.groups[g].faces for g in names])


def quantised(skin: Array) -> tuple[np.ndarray, np.ndarray]:
    """The four strongest joints of each vertex and their weights in 255ths: uint8 [n, 4] twice."""
    strongest = np.argsort(-skin, 1, kind="stable")[:, :4]
    share = np.take_along_axis(skin, strongest, 1)
    steps = np.round(share / share.sum(1, keepdims=True) * 255).astype(int)
    steps[:, 0] += 255 - steps.sum(1)
    return strongest.astype(np.uint8), steps.astype(np.uint8)


def shared(bench: Bench) -> Arrays:
    """Topology, texture coordinates, weights and face units. Vertices that morph come first."""
    rows, material = bench.rows, bench.material
    soft = material != CLOTH
    moves = np.stack([rows @ unit for unit in bench.units]) * soft[:, None]
    turns = np.stack([rows @ unit for unit in bench.unit_normals]) * soft[:, None]
    moving = np.abs(moves).max((0, 2)) > 1e-6
    starts = np.cumsum([0, *(p.rows.shape[0] for p in bench.parts)])
    faces = np.concatenate([p.faces + start for p, start in zip(bench.parts, starts, strict=False)])
    small = np.concatenate([p.small + start for p, start in zip(bench.parts, starts, strict=False)])
    near = _neighbourly(faces, len(moving))
    order = np.r_[near[moving[near]], near[~moving[near]]]
    faces, small = (np.argsort(order)[f] for f in (faces, small))
    faces, small = (f[np.argsort(f.min(1), kind="stable")] for f in (faces, small))
    joints, joint_weights = quantised(_all_weights(bench))
    count = int(moving.sum())
    return {
        "order": order, "faces": faces.astype(np.uint16), "small_faces": small.astype(np.uint16),
        "material": material[order].astype(np.uint8),
        "uv": np.concatenate([p.uv for p in bench.parts])[order].astype(np.float32),
        "joints": joints[order], "weights": joint_weights[order],
        "unit_moves": moves[:, order[:count]].astype(np.float16),
        "unit_turns": turns[:, order[:count]].astype(np.float16),
        "rest": np.array([REST.get(n, 0.0) for n in FACE_UNITS], np.float32),
    }  # fmt: skip


def _all_weights(bench: Bench) -> Array:
    out: list[Array] = []
    for part in bench.parts:  # a lining moves with its shirt, the part before it
        own = cloth_weights(part, bench.base, bench.weights) if part.lines is None else out[-1][part.lines]
        out.append(own)
    return np.concatenate(out)


def _neighbourly(faces: Indices, count: int) -> Indices:
    """An order in which neighbours are near each other: software GL then shades most vertices once, not
    thrice."""
    ij = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    graph = sparse.csr_matrix((np.ones(len(ij)), (ij[:, 0], ij[:, 1])), shape=(count, count))
    return np.asarray(
        csgraph.reverse_cuthill_mckee(sparse.csr_matrix(graph + graph.T), symmetric_mode=True), np.int64
    )


def signer(bench: Bench, look: Look, order: np.ndarray) -> tuple[Figure, Arrays]:
    """One signer's positions, normals, openness to light, hair and fold."""
    person = figure(bench.data, bench.rig, look.shape, bench.base.joints_t)
    rest = np.array([REST.get(n, 0.0) + look.smile * ("mouthSmile" in n) for n in FACE_UNITS])
    vertices = person.vertices + np.einsum("u,uvi->vi", rest, bench.units)
    soft = normals(vertices, _soft_faces(bench.data))
    cloth = dressed(bench.data, person, bench.weights)
    points: list[Array] = []
    normal: list[Array] = []
    faces: list[Indices] = []
    start = 0
    for part in bench.parts:
        at = part.rows @ (cloth if part.material == CLOTH else vertices)
        if part.lines is not None:  # the shirt came just before
            points.append(points[-1][part.lines] - normal[-1][part.lines] * _thickness(part)[:, None])
            normal.append(-normal[-1][part.lines])
        elif part.material == CLOTH:
            points.append(fit_shirt(part, at, person, soft))
            normal.append(normals(points[-1], part.faces))
        else:
            turned = part.rows @ soft
            turned = turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-9)
            points.append(at - turned * tucked(part, bench.base)[:, None] if part.material == SKIN else at)
            normal.append(turned)
        faces.append(part.faces + start)
        start += len(at)
    strands, strand_faces, strand_small, strand_uv, strand_weights = hair(bench.data, person, look.style)
    strand_normal = normals(strands, strand_faces)
    # The inside of hair is seen beside the face and the neck.
    centre = skull_centre(person)
    low = strands[:, 1] - centre[1] < 0.06
    strand_faces, strand_small = (
        np.concatenate([f, f[low[f].any(1)][:, ::-1] + len(strands)]) for f in (strand_faces, strand_small)
    )
    strands, strand_uv, strand_weights = (
        np.concatenate([x, x]) for x in (strands, strand_uv, strand_weights)
    )
    strand_normal = np.concatenate([strand_normal, -strand_normal])
    everything = np.concatenate([*points, strands]), np.concatenate([*normal, strand_normal])
    light = _light(bench, *everything, np.concatenate([*faces, strand_faces + start]))
    at, turned = (np.concatenate(x)[order] for x in (points, normal))
    joints, joint_weights = quantised(strand_weights)
    return person, {
        "points": at.astype(np.float32), "normals": _packed(turned), "light": _byte(light[:start][order]),
        "fold": person.fold.astype(np.float32), "rest_joints": person.joints_t.astype(np.float32),
        "hair_points": strands.astype(np.float32),
        "hair_normals": _packed(strand_normal), "hair_light": _byte(light[start:]),
        "hair_faces": strand_faces.astype(np.uint16), "hair_small_faces": strand_small.astype(np.uint16),
        "hair_uv": strand_uv.astype(np.float32),
        "hair_joints": joints, "hair_weights": joint_weights,
        "colours": np.array([look.skin, look.shirt, look.hair_colour], np.uint8),
    }  # fmt: skip


def _thickness(lining: Part) -> Array:
    """Metres between cloth and lining: none at the edge, so that no gap opens there."""
    return 0.0012 * smoothstep(0.0, 0.010, lining.edge)


def palms(bench: Bench, person: Figure) -> Array:
    """How much each vertex [V] belongs to the inside of a hand, 0..1."""
    t_pose = person.t_posed(bench.weights)
    down = -normals(t_pose, bench.data.groups["body"].faces)[:, 1]
    return smoothstep(-0.15, 0.45, down) * smoothstep(0.55, 0.95, bench.weights[:, hand_joints()].sum(1))


def _light(bench: Bench, points: Array, normal: Array, faces: Indices) -> Array:
    """Openness with the clothes on, but skin close under cloth or hair is not left black."""
    material = np.r_[bench.material, np.full(len(points) - len(bench.material), HAIR)]
    dressed_light = openness(points, normal, faces)
    skin = (material != CLOTH) & (material != HAIR)
    bare = openness(points, normal, faces[skin[faces].all(1)])
    out = np.where(skin, 0.6 * bare + 0.4 * np.maximum(dressed_light, 0.5 * bare), dressed_light)
    for which, least in _LEAST_OPEN.items():
        out = np.where(material == which, np.maximum(out, least), out)
    inner = np.concatenate([np.full(p.rows.shape[0], p.lines is not None) for p in bench.parts])
    out[: len(inner)][inner] = 0.30 + 0.4 * out[: len(inner)][inner]
    return out


def _packed(normal: Array) -> np.ndarray:
    return np.clip(np.round(normal * 127), -127, 127).astype(np.int8)


def _byte(value: Array) -> np.ndarray:
    return np.clip(np.round(value * 255), 0, 255).astype(np.uint8)
