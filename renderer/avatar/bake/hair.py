# mypy: disable-error-code="no-any-return, type-arg"
"""Hair: a shell around one signer's head, cut along a hairline, with an optional knot.

Enters: a figure and a `HairStyle`. Leaves: points, faces, texture coordinates, weights. Directions are seen
from the skull's centre: azimuth 0 at the face, pi at the back. Does not know colours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from renderer.avatar.bake.atlas import HAIR
from renderer.avatar.bake.fold import Figure
from renderer.avatar.bake.geometry import clip, smooth, smoothstep
from renderer.avatar.bake.makehuman import BODY_VERTICES, Array, Indices, MakeHuman
from renderer.avatar.bake.rigmap import INDEX
from renderer.avatar.bake.simplify import simplify

_AZIMUTH = np.radians([0, 14, 28, 42, 54, 64, 72, 80, 88, 96, 110, 125, 150, 180])
_CROPPED = (
    0.050,
    0.052,
    0.052,
    0.044,
    0.026,
    0.004,
    -0.016,
    -0.040,
    -0.012,
    -0.010,
    -0.040,
    -0.080,
    -0.098,
    -0.102,
)


@dataclass(frozen=True)
class HairStyle:
    """Metres. hairline: height over the skull's centre at 14 azimuths; top, side, back: how far hair stands
    off;
    curl: size of locks; hang: where a curtain of hair ends below the skull's centre (0: none); knot: radius
    of a bun."""

    hairline: tuple[float, ...] = _CROPPED
    top: float = 0.022
    side: float = 0.008
    back: float = 0.014
    curl: float = 0.0
    hang: float = 0.0
    knot: float = 0.0
    part_x: float = 0.0


def skull_centre(figure: Figure) -> Array:
    eyes = figure.joints_a[[INDEX["left_eye"], INDEX["right_eye"]]].mean(0)
    return np.array([0, eyes[1] + 0.035, eyes[2] - 0.085])


def above_hairline(figure: Figure, style: HairStyle, points: Array) -> Array:
    """Metres above the hairline [n], negative below: also where the scalp is painted."""
    d = points - skull_centre(figure)
    return d[:, 1] - np.interp(np.arctan2(np.abs(d[:, 0]), d[:, 2]), _AZIMUTH, style.hairline)


def hair(
    data: MakeHuman, figure: Figure, style: HairStyle, faces_wanted: int = 950, small_wanted: int = 600
) -> tuple[Array, Indices, Indices, Array, Array]:
    """points [n, 3], faces [F, 3], fewer of them for small pictures [F', 3], uv [n, 2], weights [n, 59]."""
    columns, rows = 72, 40
    centre = skull_centre(figure)
    azimuth = np.linspace(-np.pi, np.pi, columns, endpoint=False)
    lowest = -12 if style.hang else -58
    elevation = np.radians(np.linspace(88, lowest, rows))
    grid_e, grid_a = np.meshgrid(elevation, azimuth, indexing="ij")
    direction = np.stack(
        [np.cos(grid_e) * np.sin(grid_a), np.sin(grid_e), np.cos(grid_e) * np.cos(grid_a)], -1
    )
    shell = _onto_head(data, figure, direction.reshape(-1, 3), centre)
    if style.hang:
        shell = _curtain(shell.reshape(rows, columns, 3), centre, style)
        rows = len(shell) // columns
    faces = _lathe_faces(rows, columns)
    over = above_hairline(figure, style, shell)
    points = _grown(shell, over, centre, style)
    faces, cut = clip(faces, over)
    points, over = cut @ points, cut @ over
    points = smooth(points, faces, 2, 0.4 * smoothstep(0.004, 0.02, over))
    importance = np.where(over < 0.02, 3.0, 1.0)
    faces, _ = simplify(points, faces, np.zeros_like(faces), importance, faces_wanted)
    small, _ = simplify(points, faces, np.zeros_like(faces), importance, small_wanted)
    used = np.unique(faces)
    back = np.full(len(points), -1)
    back[used] = np.arange(len(used))
    points, faces, small = points[used], back[faces], back[small]
    if style.knot:
        ball, round_it = _knot(centre, style.knot)
        faces, small = (np.concatenate([f, round_it + len(points)]) for f in (faces, small))
        points = np.concatenate([points, ball])
    d = points - centre
    uv = HAIR.at(np.arctan2(d[:, 0], d[:, 2]) / (2 * np.pi) + 0.5, np.clip(0.55 + d[:, 1] / 0.36, 0, 1))
    weights = np.zeros((len(points), len(INDEX)))
    neck = smoothstep(0.16, 0.34, -d[:, 1])
    weights[:, INDEX["head"]], weights[:, INDEX["neck"]] = 1 - neck, neck
    return points, faces, small, uv, weights


def _onto_head(data: MakeHuman, figure: Figure, directions: Array, centre: Array) -> Array:
    """Where rays from the skull's centre leave the head; ears are left out, as hair lies over them or ends
    before."""
    ears = data.mask("ears", 512)
    texture = np.zeros(len(data.vertices), np.int64)
    texture[data.groups["body"].faces.ravel()] = data.groups["body"].uv_faces.ravel()
    place = np.clip((data.uv[texture] * 512).astype(int), 0, 511)
    d = figure.vertices - centre
    head = (np.arange(len(d)) < BODY_VERTICES) & (np.linalg.norm(d, axis=1) < 0.26)
    head &= (ears[place[:, 1], place[:, 0]] < 0.4) & ~((d[:, 2] > 0.04) & (d[:, 1] < -0.06))
    d = d[head]
    radius = np.linalg.norm(d, axis=1)
    distance, near = cKDTree(d / radius[:, None]).query(directions, k=6)
    share = 1 / (distance + 0.02) ** 2
    away = (radius[near] * share).sum(1) / share.sum(1)
    return centre + directions * away[:, None]


def _curtain(shell: Array, centre: Array, style: HairStyle) -> Array:
    """Below its last row the shell hangs down, drawn in a little at the nape and turned in at the ends."""
    last = shell[-1]
    steps = np.linspace(0, 1, 14)[1:]
    d = last - centre
    drop = -style.hang - d[:, 1]
    rows = []
    for t in steps:
        away = np.hypot(d[:, 0], d[:, 2])
        widen = 1 + 0.10 * np.sin(np.pi * min(t * 1.25, 1)) - 0.10 * smoothstep(0.6, 1.0, np.array(t))
        behind = smoothstep(-0.2, 0.8, -d[:, 2] / away)
        row = np.stack([d[:, 0] * widen, d[:, 1] + drop * t, d[:, 2] * widen + 0.02 * behind * t], 1)
        rows.append(centre + row)
    return np.concatenate([shell, np.array(rows)]).reshape(-1, 3)


def _grown(shell: Array, over: Array, centre: Array, style: HairStyle) -> Array:
    d = shell - centre
    outward = d / np.linalg.norm(d, axis=1, keepdims=True)
    flat = outward * np.array([1, 0, 1]) + 1e-9
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    hanging = smoothstep(0.0, 0.06, -d[:, 1])[:, None] if style.hang else 0.0
    outward = outward * (1 - hanging) + flat * hanging
    up, behind = smoothstep(0.0, 0.11, d[:, 1]), smoothstep(0.0, 0.1, -d[:, 2])
    stand = style.side + (style.top - style.side) * up
    stand = stand + (style.back - style.side) * behind * (1 - up)
    rise = 0.0015 + (stand - 0.0015) * smoothstep(-0.002, 0.03, over)
    if style.part_x:
        rise = rise - 0.5 * style.top * up * np.exp(-(((d[:, 0] - style.part_x) / 0.008) ** 2)) * (
            d[:, 2] > -0.02
        )
    locks = _locks(d) * style.curl * smoothstep(0.0, 0.02, over)
    return shell + outward * (rise + locks)[:, None]


def _locks(d: Array) -> Array:
    """A fixed bumpy field, about -1..1, for curls."""
    rng = np.random.default_rng(7)
    out = np.zeros(len(d))
    for _ in range(14):
        wave = rng.normal(size=3)
        out += np.sin(d @ (wave / np.linalg.norm(wave) * rng.uniform(150, 330)) + rng.uniform(0, 6.3))
    return np.clip(out / 3.0, -1, 1)


def _knot(centre: Array, radius: float) -> tuple[Array, Indices]:
    columns, rows = 18, 11
    e, a = np.meshgrid(
        np.radians(np.linspace(88, -88, rows)),
        np.linspace(-np.pi, np.pi, columns, endpoint=False),
        indexing="ij",
    )
    ball = np.stack([np.cos(e) * np.sin(a), 0.82 * np.sin(e), np.cos(e) * np.cos(a)], -1).reshape(-1, 3)
    ball = centre + np.array([0, 0.108, -0.078]) + ball * radius
    return ball, _lathe_faces(rows, columns)


def _lathe_faces(rows: int, columns: int) -> Indices:
    """Triangles of a grid that closes around; seen from outside they turn counter-clockwise."""
    r, c = (x.ravel() for x in np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij"))
    a, b = r * columns + c, r * columns + (c + 1) % columns
    low_a, low_b = a + columns, b + columns
    return np.vstack([np.c_[a, low_a, b], np.c_[b, low_a, low_b]])
