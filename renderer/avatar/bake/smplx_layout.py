# mypy: disable-error-code="no-any-return, type-arg"
"""The same body as a file in SMPL-X's layout, which the unmodified `smplx` package loads.

Enters: MakeHuman data and the base figure. Leaves: the arrays of `SMPLX_NEUTRAL.npz`, and the 21 surface
points.
Three snags of that package shape this file: 21 vertex ids are hard-wired (so vertices are permuted until
those ids
hit nose, tips and toes); `shapedirs` narrower than 400 columns loses all but ten expressions (so ours has
400, the face units in 300..351); joints are regressed from vertices (so each joint gets a vertex of its own).
"""

from __future__ import annotations

import numpy as np

from engine.skeleton import FACE_UNITS, FINGERS, JOINT, JOINT_NAMES, PARENTS, POINT_NAMES, SIDES
from renderer.avatar.bake.fold import METRES, Figure, figure
from renderer.avatar.bake.makehuman import BODY_VERTICES, Array, Indices, MakeHuman, Rig
from renderer.avatar.bake.rigmap import ALL_PARENTS, INDEX
from renderer.avatar.bake.shapes import BASE

POINT_IDS = (9120, 9929, 9448, 616, 6, 5770, 5780, 8846, 8463, 8474, 8635,
             5361, 4933, 5058, 5169, 5286, 8079, 7669, 7794, 7905, 8022)  # fmt: skip
"""Vertex ids at which `smplx` looks for `skeleton.POINT_NAMES`, in that order."""
BETAS = (("gender", -0.4), ("age", 0.25), ("muscle", 0.3), ("weight", 0.3), ("height", 0.3),
("proportions", -0.5),
         ("african", 0.75), ("asian", 0.75), ("caucasian", 0.75), ("cupsize", 0.4))  # fmt: skip
"""The macro parameter behind each beta, and its change at beta = 2."""
_GROUPS = (
    "body",
    "helper-l-eye",
    "helper-r-eye",
    "helper-upper-teeth",
    "helper-lower-teeth",
    "helper-tongue",
)


def point_vertices(data: MakeHuman, rig: Rig, base: Figure, weights: Array) -> list[int]:
    """MakeHuman's vertex at each of `skeleton.POINT_NAMES`."""
    a, joints = base.vertices, base.joints_a
    skin = np.arange(len(a)) < BODY_VERTICES
    head = skin & (weights[:, INDEX["head"]] > 0.5)

    def near(p: Array) -> int:
        return int(np.where(skin, ((a - p) ** 2).sum(1), 9).argmin())

    found = {"nose": int(np.where(head & (abs(a[:, 0]) < 0.004), a[:, 2], -9).argmax())}
    found["left_ear"] = int(np.where(head, a[:, 0], -9).argmax())
    found["right_ear"] = int(np.where(head, a[:, 0], 9).argmin())
    for side in SIDES:
        letter = side[0].upper()
        found[f"{side}_eye"] = near(joints[INDEX[f"{side}_eye"]] + [0, 0, 0.02])
        found[f"{side}_big_toe"] = near(a[rig.tails[f"toe1-2.{letter}"]].mean(0))
        found[f"{side}_small_toe"] = near(a[rig.tails[f"toe5-3.{letter}"]].mean(0))
        found[f"{side}_heel"] = near(joints[INDEX[f"{side}_ankle"]] + [0, -0.06, -0.06])
        for number, finger in enumerate(FINGERS, 1):
            found[f"{side}_{finger}_tip"] = near(a[rig.tails[f"finger{number}-3.{letter}"]].mean(0))
    return [found[name] for name in POINT_NAMES]


def point_joints() -> Indices:
    """The joint that carries each surface point."""
    out = []
    for name in POINT_NAMES:
        side, _, rest = name.partition("_")
        if "toe" in rest:
            out.append(JOINT[f"{side}_foot"])
        elif rest == "heel":
            out.append(JOINT[f"{side}_ankle"])
        elif rest.endswith("_tip"):
            out.append(JOINT[f"{side}_{rest[:-4]}3"])
        else:
            out.append(JOINT["head"])
    return np.array(out)


def layout(data: MakeHuman, rig: Rig, base: Figure, weights: Array) -> dict[str, np.ndarray]:
    """The arrays of the file, by the names `smplx.SMPLX` reads."""
    groups = [data.groups[g] for g in (*_GROUPS, *(g for g in data.groups if "lash" in g))]
    faces = np.concatenate([g.faces for g in groups])
    keep = np.unique(faces)
    count, joints = len(keep), len(JOINT_NAMES)
    total = count + joints
    template = _with_joints(base, weights, keep)
    directions = np.zeros((total, 3, 400), np.float32)
    for i, (name, by) in enumerate(BETAS):
        directions[:, :, i] = (
            _with_joints(figure(data, rig, BASE.moved(**{name: by})), weights, keep) - template
        ) / 2
    for i, unit in enumerate(FACE_UNITS):
        directions[:count, :, 300 + i] = data.face_unit(unit)[keep] * METRES
    skin = weights[keep, :joints].copy()
    for twist in range(joints, len(ALL_PARENTS)):
        skin[:, ALL_PARENTS[twist]] += weights[keep, twist]
    skin = np.vstack([skin, np.eye(joints)])
    regressor = np.zeros((joints, total), np.float32)
    regressor[np.arange(joints), count + np.arange(joints)] = 1
    local = np.full(len(data.vertices), -1)
    local[keep] = np.arange(count)
    order = _permutation(local[point_vertices(data, rig, base, weights)], total)
    back = np.argsort(order)
    none, eye = np.zeros(45, np.float32), np.eye(45, dtype=np.float32)
    landmarks = _landmarks(base, weights, keep, back[local[faces]], back)
    return {
        "v_template": template[order].astype(np.float32), "f": back[local[faces]].astype(np.uint32),
        "shapedirs": directions[order], "posedirs": np.zeros((total, 3, 486), np.float32),
        "J_regressor": regressor[:, order], "weights": (skin / skin.sum(1,
        keepdims=True))[order].astype(np.float32),
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(joints)], dtype=np.int64),
        "hands_meanl": none, "hands_meanr": none, "hands_componentsl": eye, "hands_componentsr": eye,
        "hands_coeffsl": none[None], "hands_coeffsr": none[None],
        "vt": data.uv.astype(np.float32),
        "ft": np.concatenate([g.uv_faces for g in groups]).astype(np.uint32),
        "expression_names": np.array(FACE_UNITS), "beta_names": np.array([name for name, _ in BETAS]),
        **landmarks,
    }  # fmt: skip


def _with_joints(base: Figure, weights: Array, keep: Indices) -> Array:
    return np.vstack([base.t_posed(weights)[keep], base.joints_t[: len(JOINT_NAMES)]])


def _permutation(wanted: Indices, total: int) -> Indices:
    """order[new] = old, with order[POINT_IDS[k]] = wanted[k]."""
    order, place = np.arange(total), np.arange(total)
    for old, new in zip(wanted.tolist(), POINT_IDS, strict=True):
        here, other = place[old], order[new]
        order[new], order[here] = old, other
        place[old], place[other] = new, here
    assert (order[list(POINT_IDS)] == wanted).all(), "two surface points share a vertex"
    return order


def _landmarks(
    base: Figure, weights: Array, keep: Indices, faces: Indices, back: Indices
) -> dict[str, np.ndarray]:
    """51 face landmarks and a 17-point contour, on the vertices nearest to a simple layout of a face."""
    a = base.vertices[keep]
    head = (keep < BODY_VERTICES) & (weights[keep, INDEX["head"]] > 0.5)
    left, right = (base.joints_a[INDEX[f"{s}_eye"]] for s in SIDES)
    nose = a[np.where(head & (abs(a[:, 0]) < 0.004), a[:, 2], -9).argmax()]
    mouth = nose + np.array([0, -0.032, -0.012])
    turn = 2 * np.pi
    points: list[Array | list[float]] = [
        np.add(e, (dx, 0.022, 0.015)) for e in (right, left) for dx in np.linspace(-0.02, 0.02, 5)
    ]
    points += [[0, y, 0.2] for y in np.linspace(left[1], nose[1], 4)]
    points += [[dx, nose[1] - 0.01, nose[2] - 0.01] for dx in np.linspace(-0.012, 0.012, 5)]
    points += [
        np.add(e, (0.014 * np.cos(t), 0.006 * np.sin(t), 0.012))
        for e in (right, left)
        for t in np.arange(6) / 6 * turn
    ]
    for n, width, height in ((12, 0.024, 0.009), (8, 0.016, 0.004)):
        points += [np.add(mouth, (width * np.cos(t), height * np.sin(t), 0)) for t in np.arange(n) / n * turn]
    jaw = base.joints_a[INDEX["jaw"]][1] - 0.02
    contour = [
        [0.07 * np.cos(t), jaw + 0.08 * np.sin(t), 0.1 + 0.05 * abs(np.sin(t))]
        for t in np.linspace(np.pi, turn, 17)
    ]

    def on_face(point: object) -> tuple[int, Array]:
        vertex = back[np.where(head, ((a - np.asarray(point)) ** 2).sum(1), 9).argmin()]
        face = int(np.flatnonzero((faces == vertex).any(1))[0])
        return face, (faces[face] == vertex).astype(np.float32)

    static, moving = [on_face(p) for p in points], [on_face(p) for p in contour]
    assert len(static) == 51
    return {
        "lmk_faces_idx": np.array([f for f, _ in static]), "lmk_bary_coords": np.array([b for _,
        b in static]),
        "dynamic_lmk_faces_idx": np.tile([f for f, _ in moving], (79, 1)),
        "dynamic_lmk_bary_coords": np.tile(np.array([b for _, b in moving])[None], (79, 1, 1)),
    }  # fmt: skip
