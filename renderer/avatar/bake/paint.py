# mypy: disable-error-code="no-any-return, type-arg"
"""A signer's one texture: skin, lips, brows, hairline and beard in MakeHuman's map; eye, shirt, hair tiles
above.

Enters: a figure and its `Look`. Leaves: [HEIGHT, SIZE, 3] uint8, row 0 at v = 0 (as GL wants it).
Everything is painted from rules; no photograph and no noise that is not seeded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from renderer.avatar.bake.atlas import EYE, HAIR, HEIGHT, SHIRT, SIZE, STRIP, TEETH, TONGUE, Tile
from renderer.avatar.bake.cast import Colour, Look
from renderer.avatar.bake.fold import METRES, Figure
from renderer.avatar.bake.geometry import smoothstep
from renderer.avatar.bake.hair import above_hairline
from renderer.avatar.bake.makehuman import Array, Indices, MakeHuman
from renderer.avatar.bake.rigmap import INDEX


@dataclass(frozen=True)
class SkinMap:
    """Which surface point each texel shows: triangle corners [n, 3] and their shares [n, 3] at `inside` [S,
    S]."""

    inside: npt.NDArray[np.bool_]
    corners: Indices
    shares: Array

    def points(self, vertices: Array) -> Array:
        return (vertices[self.corners] * self.shares[..., None]).sum(1)


def skin_map(data: MakeHuman) -> SkinMap:
    """Rasterises MakeHuman's texture layout once; every signer shares it."""
    group = data.groups["body"]
    corner = np.full((SIZE, SIZE, 3), -1)
    share = np.zeros((SIZE, SIZE, 3))
    uv = data.uv * SIZE - 0.5
    for vertices, texture in zip(group.faces, group.uv_faces, strict=True):
        a, b, c = uv[texture]
        low = np.maximum(np.floor(np.minimum(np.minimum(a, b), c)).astype(int), 0)
        high = np.minimum(np.ceil(np.maximum(np.maximum(a, b), c)).astype(int), SIZE - 1)
        x, y = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
        det = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if abs(det) < 1e-9:
            continue
        s = ((x - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (y - a[1])) / det
        t = ((b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])) / det
        hit = (s >= -1e-6) & (t >= -1e-6) & (s + t <= 1 + 1e-6)
        corner[y[hit], x[hit]] = vertices
        share[y[hit], x[hit]] = np.stack([1 - s - t, s, t], -1)[hit]
    inside = corner[..., 0] >= 0
    return SkinMap(inside, corner[inside], share[inside])


def paint(data: MakeHuman, figure: Figure, look: Look, where: SkinMap, palms: Array) -> npt.NDArray[np.uint8]:
    """palms [V]: how much a vertex belongs to the inside of a hand."""
    atlas = np.zeros((HEIGHT, SIZE, 3))
    atlas[:SIZE] = _skin(data, figure, look, where, palms)
    hair, shirt = np.array(look.hair_colour) / 255, np.array(look.shirt) / 255
    _fill(atlas, EYE, _eye(look.iris))
    _fill(atlas, SHIRT, _hem(shirt))
    _fill(atlas, TEETH, np.full((STRIP, 64, 3), (0.86, 0.83, 0.77)))
    _fill(atlas, TONGUE, np.full((STRIP, 64, 3), (0.66, 0.36, 0.35)))
    _fill(atlas, HAIR, _strands(hair))
    return np.round(np.clip(atlas, 0, 1) * 255).astype(np.uint8)


def _fill(atlas: Array, tile: Tile, picture: Array) -> None:
    atlas[SIZE:, tile.left : tile.right] = picture


def _noise(size: int, coarse: int, seed: int) -> Array:
    values = np.random.default_rng(seed).standard_normal((size // coarse, size // coarse)).astype(np.float32)
    return np.asarray(Image.fromarray(values).resize((size, size), Image.Resampling.BICUBIC), np.float64)


def _skin(data: MakeHuman, figure: Figure, look: Look, where: SkinMap, palms: Array) -> Array:
    skin = np.array(look.skin) / 255
    colour = np.empty((SIZE, SIZE, 3))
    colour[:] = skin
    mottle = 0.5 * _noise(SIZE, 4, 1) + 0.35 * _noise(SIZE, 16, 2) + 0.3 * _noise(SIZE, 64, 3)
    colour *= 1 + 0.014 * mottle[..., None] * np.array([0.7, 1, 1.1])
    points = np.full((SIZE, SIZE, 3), -9.0)
    points[where.inside] = where.points(figure.vertices)
    eye = figure.joints_a[INDEX["left_eye"]]
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    front = (z > eye[2] - 0.03) & where.inside

    def mix(to: Array, amount: Array | float) -> None:
        share = np.broadcast_to(np.asarray(amount, float), (SIZE, SIZE))[..., None]
        colour[:] = colour * (1 - share) + to * share

    def spot(cx: float, cy: float, width: float, height: float) -> Array:
        return np.exp(-(((x - eye[0] - cx) / width) ** 2) - ((y - eye[1] - cy) / height) ** 2) * front

    blush, lip, shade = (
        skin * np.array(f) for f in ((0.99, 0.76, 0.72), (0.86, 0.58, 0.58), (0.74, 0.68, 0.68))
    )
    mix(blush, 0.30 * spot(0.014, -0.045, 0.026, 0.020))
    mix(blush, 0.25 * spot(-eye[0], -0.052, 0.016, 0.014))
    mix(shade, 0.30 * spot(0, 0.012, 0.022, 0.008))
    mix(shade, (0.16 + 0.25 * look.lines) * spot(0, -0.017, 0.018, 0.006))
    mix(blush, 0.35 * data.mask("ears", SIZE))
    mix(shade, 0.30 * data.mask("eyelids", SIZE))
    _wrinkles(mix, shade, look, x - eye[0], y - eye[1], front)
    mix(lip, look.lips * np.clip(1.2 * data.mask("lips", SIZE), 0, 1))
    ball = _eye_radius(data)
    lid = np.linalg.norm(np.stack([x, y, z], -1) - eye, axis=-1) - ball
    margin = (1 - smoothstep(0.0012, 0.0026, lid)) * front * (z > eye[2])
    mix(np.array(look.hair_colour) / 255 * 0.35 + 0.03, margin * np.where(y > eye[1] - 0.0015, 0.85, 0.35))
    mix(np.array([0.40, 0.14, 0.15]), 0.95 * data.mask("inside-mouth", SIZE))
    inside = np.zeros((SIZE, SIZE))
    inside[where.inside] = (palms[where.corners] * where.shares).sum(1)
    # The darker the skin, the more palms and nails differ from it.
    pale, dark = np.array([0.82, 0.62, 0.50]), 1 - smoothstep(0.25, 0.75, skin.mean())
    mix(pale, 0.52 * dark * inside)
    nail = np.clip(skin * np.array([1.06, 1.05, 1.08]) + 0.02, 0, 1)
    nail = nail + 0.6 * dark * (np.array([0.80, 0.60, 0.55]) - nail)
    mix(nail, 0.75 * data.mask("fingernails", SIZE))
    hair = np.array(look.hair_colour) / 255
    mix(hair * 0.9, _brows(look, x - eye[0], y - eye[1]) * (z > eye[2] - 0.01) * where.inside)
    over = np.full((SIZE, SIZE), -1.0)
    over[where.inside] = above_hairline(figure, look.style, points[where.inside])
    fringe = 0.0006 * _noise(SIZE, 4, 9) + 0.0004 * _noise(SIZE, 2, 10)
    head = (y > eye[1] - 0.10) & where.inside & ((y > eye[1] - 0.03) | (z < eye[2] - 0.06))
    mix(
        hair,
        0.93
        * smoothstep(-0.006, 0.006, over + fringe)
        * head
        * (1 - np.clip(3 * data.mask("ears", SIZE), 0, 1)),
    )
    if look.beard:
        mix(hair, look.beard * _beard(data, figure, points, front))
    return _bleed(colour, where.inside)


def _eye_radius(data: MakeHuman) -> float:
    """Metres."""
    ball = data.vertices[data.groups["helper-l-eye"].vertices]
    return float(np.linalg.norm(np.ptp(ball, axis=0)) / 2 / np.sqrt(3) * METRES)


def _wrinkles(mix, shade: Array, look: Look, x: Array, y: Array, front: Array) -> None:  # type: ignore[no-untyped-def]
    """Soft lines that come with age: from nose to mouth, and across the forehead."""
    fold = (
        np.exp(-(((x + 0.003 - 0.35 * np.clip(-0.050 - y, 0, 0.03)) / 0.0032) ** 2))
        * (y < -0.047)
        * (y > -0.078)
    )
    mix(shade, 0.28 * look.lines * fold * front)
    for height in (0.042, 0.053):
        line = np.exp(-(((y - height - 0.004 * np.cos(30 * x)) / 0.0014) ** 2)) * (x < 0.006)
        mix(shade, 0.22 * look.lines * line * front)


def _brows(look: Look, x: Array, y: Array) -> Array:
    """Soft arches; x outwards and y upwards from the eye, metres."""
    along = np.array([-0.019, -0.008, 0.006, 0.018, 0.027])
    middle = np.interp(x, along, [0.0205, 0.0235, 0.0262, 0.0254, 0.0200])
    width = np.interp(x, along, [0.0030, 0.0040, 0.0037, 0.0028, 0.0012]) * (0.75 + 0.25 * look.brow)
    inside = np.clip((1 - np.abs(y - middle) / np.maximum(width, 1e-4)) * 1.5, 0, 1)
    ends = smoothstep(-0.0215, -0.011, x) * 0.65 + 0.35
    hairs = 0.86 + 0.14 * np.clip(_noise(SIZE, 2, 5), -1, 1)
    return inside * ends * hairs * (x > -0.021) * (x < 0.027) * min(0.55 + 0.22 * look.brow, 0.9)


def _beard(data: MakeHuman, figure: Figure, points: Array, front: Array) -> Array:
    """Where a short beard grows: jaw, chin and upper lip, thinning at its borders."""
    eye = figure.joints_a[INDEX["left_eye"]]
    x, y = np.abs(points[..., 0]), points[..., 1] - eye[1]
    z = points[..., 2] - eye[2]
    cheek = -0.070 + 0.55 * np.clip(x - 0.028, 0, 1) + 0.25 * np.clip(x - 0.05, 0, 1)
    jaw = 1 - smoothstep(-0.006, 0.006, y - cheek)
    under = smoothstep(-0.130, -0.114, y)
    limit = -0.020 - 1.4 * (y + 0.122)
    back = smoothstep(-0.006, 0.008, z - limit)
    moustache = np.exp(-(((y + 0.0610) / 0.0050) ** 2)) * (1 - smoothstep(0.022, 0.028, x)) * (z > -0.02)
    lips = np.clip(1.6 * ndimage.gaussian_filter(data.mask("lips", SIZE), 2), 0, 1)
    mouth = np.clip(2 * data.mask("inside-mouth", SIZE), 0, 1)
    grain = 0.90 + 0.10 * np.clip(_noise(SIZE, 2, 11), -1, 1)
    near_head = points[..., 1] > eye[1] - 0.16
    return np.clip(jaw * under * back + moustache, 0, 1) * (1 - lips) * (1 - mouth) * grain * near_head


def _eye(iris: Colour) -> Array:
    """White, iris with fibres, pupil, and a highlight so that the gaze reads."""
    v, u = np.meshgrid(np.linspace(-1, 1, STRIP), np.linspace(-1, 1, STRIP), indexing="ij")
    x, y = u / 0.94, v / 0.94
    radius, turn = np.hypot(x, y), np.arctan2(y, x)
    rim, pupil = 0.53, 0.21
    white = np.array([0.93, 0.915, 0.90]) * (1 - 0.12 * smoothstep(0.55, 1.0, radius))[..., None]
    fibres = 0.88 + 0.12 * np.sin(turn * 37 + 2 * np.sin(turn * 11)) * smoothstep(pupil, rim, radius)
    glow = (
        fibres * (0.75 + 0.55 * smoothstep(pupil, rim * 0.8, radius)) * (1 + 0.35 * smoothstep(-0.1, 0.4, -y))
    )
    disc = np.array(iris) / 255 * 1.25 * glow[..., None]
    disc *= (1 - 0.7 * smoothstep(rim * 0.80, rim, radius))[..., None]
    disc *= smoothstep(pupil - 0.04, pupil + 0.03, radius)[..., None]
    out = disc + (white - disc) * smoothstep(rim - 0.03, rim + 0.04, radius)[..., None]
    shine = 1 - smoothstep(0.06, 0.12, np.hypot(x + 0.17, y - 0.20))
    return out + (0.95 - out) * shine[..., None]


def _hem(shirt: Array) -> Array:
    """Shirt cloth from its edge (left) inwards over 3 cm: a narrow hem."""
    edge = np.linspace(0, 0.0375, SHIRT.right - SHIRT.left)
    factor = 1 - 0.22 * (1 - smoothstep(0.0030, 0.0042, edge))
    factor[edge > 0.027] = 1
    return np.broadcast_to((factor[:, None] * shirt)[None], (STRIP, len(edge), 3))


def _strands(hair: Array) -> Array:
    """Strands along u, a little lighter towards the crown and darker at the roots of the sides."""
    width = HAIR.right - HAIR.left
    rng = np.random.default_rng(3)
    line = np.zeros(width)
    for share, count in ((0.5, 60), (0.3, 140), (0.2, 300)):
        knots = rng.random(count)
        line += share * np.interp(
            np.linspace(0, count, width, endpoint=False), np.arange(count + 1), [*knots, knots[0]]
        )
    height = np.linspace(0, 1, STRIP)[:, None]
    tone = (0.72 + 0.56 * line)[None] * (0.86 + 0.22 * smoothstep(0.2, 0.9, height))
    return np.clip(hair * tone[..., None] + 0.01, 0, 1)


def _bleed(colour: Array, inside: npt.NDArray[np.bool_]) -> Array:
    """Continues the colours past the islands' borders, for filtering."""
    place = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return colour[place[0], place[1]]
