# mypy: disable-error-code="no-any-return, type-arg"
"""The parts every signer shares: skin, shirt, eyes, teeth, tongue; one topology for all.

Enters: the base figure. Leaves: `Part`s whose vertices are linear in MakeHuman's (`rows`), so that another
shape's
positions, the weights and the face units follow by one sparse product. Hair is each signer's own (`hair`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from renderer.avatar.bake.atlas import EYE, SHIRT, TEETH, TONGUE, Tile, skin_uv
from renderer.avatar.bake.fold import Figure
from renderer.avatar.bake.geometry import (
    boundary,
    clip,
    neighbour_mean,
    normals,
    smooth,
    smoothstep,
    subdivide,
)
from renderer.avatar.bake.makehuman import BODY_VERTICES, Array, Indices, MakeHuman
from renderer.avatar.bake.rigmap import INDEX, eyeball
from renderer.avatar.bake.simplify import simplify

SKIN, CLOTH, HAIR, EYES, TOOTH, MOUTH = range(6)
"""Materials, as the shader knows them."""
SKIN_FACES, SHIRT_FACES, TONGUE_FACES = 5600, 2000, 200
SMALL_SKIN_FACES, SMALL_SHIRT_FACES, SMALL_TONGUE_FACES = 3900, 1400, 90
"""For pictures in which a triangle of the full mesh would be three pixels large."""
_EYE_M = 0.045
"""So near an eye small pictures keep every triangle: else lids would not close on the eyeball, and painted
lashes would be drawn out of shape."""
SLEEVE_GAP_M = 0.022
_INFLATE_M = 0.005
_COLLAR_M = 0.0035
_TUCK_M = 0.005
_SKIN_UNDER_CLOTH_M = 0.03
_LINING_M = 0.13
"""How far skin and the inside of the cloth go on under the shirt: a bent wrist looks into its cuff."""


@dataclass(frozen=True)
class Part:
    """rows [n, V]: vertices as mixtures of MakeHuman's; faces [F, 3]; uv [n, 2] in the atlas; edge [n]:
    metres to the garment's edge (0 elsewhere); small [F', 3]: fewer faces over the same vertices; lines: the
    shirt's vertices that a lining is the inside of."""

    name: str
    material: int
    rows: sparse.csr_matrix
    faces: Indices
    uv: Array
    edge: Array
    small: Indices
    lines: Indices | None = None


def shared_parts(data: MakeHuman, base: Figure, weights: Array, liveliness: Array) -> list[Part]:
    """`liveliness` [V]: how far face units move a vertex, which keeps its triangles."""
    parts = [_skin(data, base, weights, liveliness)]
    shirt = _shirt(data, base, weights)
    parts += [shirt, _lining(shirt)]
    for side in ("left", "right"):
        parts.append(_eye(data, base, side))
    for name, material, groups, tile in (
        ("teeth", TOOTH, ("helper-upper-teeth", "helper-lower-teeth"), TEETH),
        ("tongue", MOUTH, ("helper-tongue",), TONGUE),
    ):
        faces = small = np.concatenate([data.groups[g].faces for g in groups])
        if material == MOUTH:
            ones, none = np.ones(len(base.vertices)), np.zeros_like(faces)
            faces, _ = simplify(base.vertices, faces, none, ones, TONGUE_FACES)
            small, _ = simplify(base.vertices, faces, np.zeros_like(faces), ones, SMALL_TONGUE_FACES)
        parts.append(_plain(name, material, faces, small, len(data.vertices), tile))
    return parts


def garment_edge(base: Figure, points: Array) -> Array:
    """Metres inside the shirt (crew neck, long sleeves), negative outside; measured in the base body's
    A-pose."""
    j = base.joints_a
    centre = 0.55 * j[INDEX["neck"]] + 0.225 * (j[INDEX["left_collar"]] + j[INDEX["right_collar"]])
    d = points - np.array([0, centre[1] + 0.010, centre[2] + 0.012])
    tilt = np.radians(24)
    height = d[:, 1] * np.cos(tilt) + d[:, 2] * np.sin(tilt)
    neck = -height + np.clip(np.hypot(d[:, 0], d[:, 2]) - 0.085, 0, 1) * 1.5
    cuff = np.full(len(points), 9.0)
    for side, sign in (("left", 1), ("right", -1)):
        wrist = j[INDEX[f"{side}_wrist"]]
        along = wrist - j[INDEX[f"{side}_elbow"]]
        inside = -(points - wrist) @ (along / np.linalg.norm(along)) - SLEEVE_GAP_M
        arm = points[:, 0] * sign > 0.2
        cuff[arm] = np.minimum(cuff[arm], inside[arm])
    return np.minimum(neck, cuff)


def dressed(data: MakeHuman, figure: Figure, weights: Array) -> Array:
    """MakeHuman's vertices with its tights eased out and smoothed into cloth: [V, 3]."""
    faces = data.groups["helper-tights"].faces
    used = data.groups["helper-tights"].vertices
    normal = normals(figure.vertices, faces)[used]
    local = np.full(len(figure.vertices), -1)
    local[used] = np.arange(len(used))
    arms = [f"{s}_{n}" for s in ("left", "right") for n in ("elbow", "forearm_twist")]
    arm = weights[used][:, [INDEX[n] for n in arms]].sum(1)
    eased = figure.vertices[used] + normal * _INFLATE_M
    eased = smooth(eased, local[faces], 6, 0.5 * (1 - arm)) + normal * 0.003
    out = figure.vertices.copy()
    out[used] = eased
    return out


def fit_shirt(part: Part, points: Array, figure: Figure, skin_normals: Array) -> Array:
    """Lays the collar and the cuffs close to the skin, so that no gap opens there."""
    distance, nearest = cKDTree(figure.vertices[:BODY_VERTICES]).query(points)
    normal = skin_normals[nearest]
    height = ((points - figure.vertices[nearest]) * normal).sum(1)
    close = (1 - smoothstep(0.0, 0.035, part.edge)) * (distance < 0.03)
    by = close * (0.0042 - height)
    mean = neighbour_mean(part.faces, len(points))
    for _ in range(8):  # collarbones would dent the collar
        by = 0.5 * by + 0.5 * (mean @ by)
    by = np.maximum(by, close * (0.0036 - height))
    points = points + normal * by[:, None]
    return _follow(part, points, [_even(points[ring], figure, skin_normals) for ring in rings(part)])


def _follow(part: Part, values: Array, at_rings: list[Array]) -> Array:
    """Vertex values [n, k] that become `at_rings` at the edges, their neighbourhood going along."""
    edge, goal = np.concatenate(rings(part)), np.concatenate(at_rings)
    mean = neighbour_mean(part.faces, len(values))
    moved = np.zeros_like(values)
    for _ in range(60):
        moved[edge] = goal - values[edge]
        moved = mean @ moved
    moved[edge] = goal - values[edge]
    return values + moved * (1 - smoothstep(0.010, 0.050, part.edge))[:, None]


def rings(shirt: Part) -> list[Indices]:
    """The collar's and the cuffs' edges, each vertex after its neighbour; the hem is below the picture."""
    sides = np.vstack([shirt.faces[:, [0, 1]], shirt.faces[:, [1, 2]], shirt.faces[:, [2, 0]]])
    _, first, count = np.unique(np.sort(sides, 1), axis=0, return_index=True, return_counts=True)
    after = dict(sides[first[count == 1]].tolist())
    out = []
    while after:
        ring = [next(iter(after))]
        while ring[-1] in after:
            ring.append(after.pop(ring[-1]))
        if shirt.edge[ring].max() < 0.02:
            out.append(np.array(ring[:-1]))
    return out


def _even(ring: Array, figure: Figure, skin_normals: Array) -> Array:
    """A closed line [n, 3] near `ring` without its teeth, a little above the skin."""
    low = _low_pass(ring)
    tree = cKDTree(figure.vertices[:BODY_VERTICES])
    for _ in range(6):
        ring = low @ ring
        _, nearest = tree.query(ring)
        normal = skin_normals[nearest]
        height = ((ring - figure.vertices[nearest]) * normal).sum(1)
        ring = ring + low @ (normal * (_COLLAR_M - height)[:, None])
    return low @ ring


def _low_pass(ring: Array) -> Array:
    """[n, n]: the first Fourier terms of values along a closed line [n, 3]."""
    step = np.linalg.norm(np.diff(ring, axis=0, append=ring[:1]), axis=1)
    turn = 2 * np.pi * np.r_[0, np.cumsum(step)[:-1]] / step.sum()
    waves = np.arange(1, 1 + (7 if step.sum() > 0.35 else 2))
    basis = np.c_[np.ones(len(turn)), np.cos(turn[:, None] * waves), np.sin(turn[:, None] * waves)]
    share = np.sqrt(step + step.mean() / 10)
    return basis @ np.linalg.pinv(basis * share[:, None]) * share


def _neck_joints() -> Array:
    """[59, 59]: hands a collar's weights on to four joints, which is as many as are kept of each vertex."""
    out = np.eye(len(INDEX))
    for onto, names in {
        "neck": ("head", "jaw"),
        "spine3": ("spine1", "spine2", "pelvis"),
        "left_collar": ("left_shoulder", "left_upperarm_twist"),
        "right_collar": ("right_shoulder", "right_upperarm_twist"),
    }.items():
        for name in names:
            out[INDEX[name]] = out[INDEX[onto]]
    return out


_NECK_JOINTS = _neck_joints()


def cloth_weights(part: Part, base: Figure, weights: Array) -> Array:
    """[n, 59]: a part's weights; near collar and cuffs those of the skin beneath, which then never
    comes through."""
    own = np.asarray(part.rows @ weights)
    points = part.rows @ base.vertices
    if part.material == SKIN:  # what lies by a collar moves as the collar does
        by = (np.abs(points[:, 0]) < 0.2) * smoothstep(-0.05, 0.0, part.edge)
        by = (by * (1 - smoothstep(0.010, 0.060, part.edge)))[:, None]
        return own * (1 - by) + own @ _NECK_JOINTS * by
    if part.material != CLOTH:
        return own
    distance, nearest = cKDTree(base.vertices[:BODY_VERTICES]).query(points, 8)
    share = np.exp(-((distance / 0.012) ** 2)) + 1e-9
    skin = (weights[nearest] * share[..., None]).sum(1) / share.sum(1)[:, None]
    close = (1 - smoothstep(0.010, 0.060, part.edge))[:, None]
    own = own * (1 - close) + skin * close
    round_neck = close * (np.abs(points[:, :1]) < 0.2)
    own = own * (1 - round_neck) + own @ _NECK_JOINTS * round_neck
    # Neighbours that are drawn along differently would tear the edge into teeth.
    own = _follow(part, own, [_low_pass(points[ring]) @ own[ring] for ring in rings(part)]).clip(0)
    # Four joints are kept of each vertex: take off the fifth's share, so that none drops out at a jump.
    own = np.maximum(own - np.sort(own, 1)[:, -5:-4], 0)
    return own / own.sum(1, keepdims=True)


def tucked(part: Part, base: Figure) -> Array:
    """How much deeper skin [n] lies: under a collar, where its coarser facets would come through."""
    arm = np.abs(part.rows @ base.vertices[:, 0]) > 0.2
    return np.where(arm, _TUCK_M / 5, _TUCK_M) * smoothstep(-0.008, 0.008, part.edge)


def _corners(faces: Indices, corners: Indices) -> tuple[Indices, Indices, Indices]:
    """One render vertex per (vertex, texture corner): vertex ids, corner ids, faces."""
    pairs, back = np.unique(np.c_[faces.ravel(), corners.ravel()], axis=0, return_inverse=True)
    return pairs[:, 0], pairs[:, 1], back.reshape(-1, 3)


def _select(vertices: Indices, count: int) -> sparse.csr_matrix:
    return sparse.csr_matrix(
        (np.ones(len(vertices)), (np.arange(len(vertices)), vertices)), shape=(len(vertices), count)
    )


def hand_joints() -> list[int]:
    return [i for n, i in INDEX.items() if "wrist" in n or (n[-1] in "123" and "spine" not in n)]


def _skin(data: MakeHuman, base: Figure, weights: Array, liveliness: Array) -> Part:
    group = data.groups["body"]
    edge = garment_edge(base, base.vertices)
    legs = [f"{s}_{n}" for s in ("left", "right") for n in ("hip", "knee", "ankle", "foot")]
    leg = np.isin(weights.argmax(1), [INDEX[n] for n in legs])
    below = leg | (base.vertices[:, 1] < base.joints_a[0, 1] - 0.1)
    seen = ~((edge[group.faces] > _SKIN_UNDER_CLOTH_M).all(1) | below[group.faces].any(1))
    hands = weights[:, hand_joints()].sum(1)
    importance = 1 + 1.5 * hands + 8 * np.clip(liveliness / 0.006, 0, 1)
    faces, corners = simplify(base.vertices, group.faces[seen], group.uv_faces[seen], importance, SKIN_FACES)
    for side in ("left", "right"):
        away = np.linalg.norm(base.vertices - base.joints_a[INDEX[f"{side}_eye"]], axis=1)
        importance += 1e4 * (away < _EYE_M)
    fewer = simplify(base.vertices, faces, corners, importance, SMALL_SKIN_FACES)
    vertices, texture, faces = _corners(faces, corners)
    number = {pair: i for i, pair in enumerate(zip(vertices.tolist(), texture.tolist(), strict=True))}
    pairs = zip(*(part.ravel().tolist() for part in fewer), strict=True)
    small = np.array([number[pair] for pair in pairs]).reshape(-1, 3)
    return Part("skin", SKIN, _select(vertices, len(data.vertices)), faces, skin_uv(data.uv[texture]),
                edge[vertices], small)  # fmt: skip


def _shirt(data: MakeHuman, base: Figure, weights: Array) -> Part:
    cloth = dressed(data, base, weights)
    faces = data.groups["helper-tights"].faces
    hem = base.joints_a[0, 1] - 0.26
    edge = garment_edge(base, cloth)
    keep = ~((edge[faces] < -0.03).all(1) | (cloth[:, 1] < hem)[faces].all(1))
    faces, rows = subdivide(faces[keep], len(cloth))
    points = rows @ cloth
    faces, cut = clip(faces, garment_edge(base, points))
    rows = sparse.csr_matrix(cut @ rows)
    points = rows @ cloth
    edge = np.maximum(garment_edge(base, points), 0)
    rim = boundary(faces)
    edge[rim[edge[rim] < 0.02]] = 0.0
    importance = np.where(edge < 0.03, 6.0, 1.0)
    faces, _ = simplify(points, faces, np.zeros_like(faces), importance, SHIRT_FACES)
    small, _ = simplify(points, faces, np.zeros_like(faces), importance, SMALL_SHIRT_FACES)
    used = np.unique(faces)
    back = np.full(len(points), -1)
    back[used] = np.arange(len(used))
    across = np.clip(edge[used] / 0.0375, 0, 0.8)
    uv = SHIRT.at(across, np.full(len(used), 0.5))
    return Part("shirt", CLOTH, rows[used], back[faces], uv, edge[used], back[small])


def _lining(shirt: Part) -> Part:
    """The inside of collar and cuffs: all of the cloth's back that can be seen."""
    faces, small = (f[(shirt.edge[f] < _LINING_M).any(1)][:, ::-1] for f in (shirt.faces, shirt.small))
    used = np.unique(np.concatenate([faces, small]))
    back = np.full(len(shirt.edge), -1)
    back[used] = np.arange(len(used))
    return Part("lining", CLOTH, shirt.rows[used], back[faces], shirt.uv[used], shirt.edge[used],
                back[small], used)  # fmt: skip


def _eye(data: MakeHuman, base: Figure, side: str) -> Part:
    faces = data.groups[f"helper-{side[0]}-eye"].faces
    vertices = eyeball(data, side)
    away = base.vertices[vertices] - base.joints_a[INDEX[f"{side}_eye"]]
    radius = np.linalg.norm(away, axis=1).max()
    uv = EYE.at(0.5 + 0.47 * away[:, 0] / radius, 0.5 + 0.47 * away[:, 1] / radius)
    local = np.full(len(data.vertices), -1)
    local[vertices] = np.arange(len(vertices))
    rows = _select(vertices, len(data.vertices))
    return Part(f"{side} eye", EYES, rows, local[faces], uv, np.zeros(len(vertices)), local[faces])


def _plain(name: str, material: int, faces: Indices, small: Indices, count: int, tile: Tile) -> Part:
    vertices, back = np.unique(faces, return_inverse=True)
    uv = tile.at(np.full(len(vertices), 0.5), np.full(len(vertices), 0.5))
    return Part(name, material, _select(vertices, count), back.reshape(-1, 3), uv, np.zeros(len(vertices)),
                np.searchsorted(vertices, small))  # fmt: skip
