"""Many signers from few: the baked avatars with other skin, hair, shirts, light and backgrounds.

Enters: a number. Leaves: a `Look`; its mesh; and, on its pictures, its light and background. Does not know
motion or models. What differs: sex and age with the baked signer, skin tone, hair colour, shirt.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from renderer.avatar import SIGNERS
from renderer.avatar.assets import Mesh, load_mesh
from renderer.base import Bytes

Colour = tuple[int, int, int]
SHIRTS: Final[tuple[Colour, ...]] = (
    (33, 47, 84), (150, 44, 40), (46, 110, 74), (226, 214, 188), (96, 62, 120), (208, 140, 40), (40, 40, 44),
    (110, 150, 190), (190, 104, 120), (70, 92, 44), (236, 236, 236), (20, 108, 118),
)  # fmt: skip
HAIR: Final[tuple[Colour, ...]] = (
    (24, 19, 18), (74, 46, 32), (116, 74, 44), (176, 138, 88), (140, 60, 30), (172, 168, 164), (60, 58, 58),
)  # fmt: skip
SKIN: Final[tuple[Colour, ...]] = (
    (228, 182, 160), (222, 180, 146), (214, 166, 138), (198, 146, 112), (164, 112, 82), (112, 72, 52),
    (92, 60, 45),
)  # fmt: skip
_SWATCH_ROW: Final = 1024 / 1152
"""Of a baked texture, what lies below this share of its rows is skin and scalp; above are plain colours."""
_CLOTH: Final = (128 / 1024, 256 / 1024)
_STRANDS: Final = 512 / 1024


@dataclass(frozen=True)
class Look:
    """One signer: a baked one, and colours in the place of its own (None: as baked)."""

    name: str
    signer: str
    skin: Colour | None = None
    hair: Colour | None = None
    shirt: Colour | None = None

    def mesh(self) -> Mesh:
        """The baked mesh, coloured."""
        mesh = load_mesh(self.signer)
        old = mesh.colours * 255
        new = old.copy()
        for row, colour in enumerate((self.skin, self.shirt, self.hair)):
            if colour is not None:
                new[row] = colour
        return dataclasses.replace(
            mesh, colours=(new / 255).astype(np.float32), texture=_dyed(mesh.texture, old, new)
        )


def looks(count: int, seed: int = 0) -> list[Look]:
    """So many different signers; the first are the baked ones as they are."""
    made = [Look(name, name) for name in SIGNERS][:count]
    rng = np.random.default_rng([seed, 5])
    names = list(SIGNERS)
    while len(made) < count:
        number = len(made)
        skin, hair, shirt = (c[int(rng.integers(len(c)))] for c in (SKIN, HAIR, SHIRTS))
        look = Look(f"signer{number}", names[number % len(names)], skin, hair, shirt)
        if all((m.signer, m.skin, m.hair, m.shirt) != (look.signer, skin, hair, shirt) for m in made):
            made.append(look)
    return made


def _dyed(texture: Bytes, old: npt.NDArray[np.float32], new: npt.NDArray[np.float32]) -> Bytes:
    """Skin, strands and shirt in new colours; eyes, teeth and mouth stay."""
    out = texture.astype(np.float32)
    rows, columns = texture.shape[:2]
    first = round(rows * _SWATCH_ROW)
    skin, shirt, hair = range(3)
    atlas = out[:first]
    to_hair, to_skin = (np.square(atlas - old[which]).sum(-1) for which in (hair, skin))
    is_hair = (to_hair < to_skin)[..., None]
    for which, mask in ((skin, ~is_hair), (hair, is_hair)):
        ratio = new[which] / np.maximum(old[which], 8)
        atlas = np.where(mask, atlas * np.minimum(ratio, 1.25 if which == skin else 8), atlas)
    out[:first] = atlas
    cloth = slice(round(columns * _CLOTH[0]), round(columns * _CLOTH[1]))
    out[first:, cloth] *= new[shirt] / np.maximum(old[shirt], 8)
    out[first:, round(columns * _STRANDS) :] *= new[hair] / np.maximum(old[hair], 8)
    return np.clip(np.round(out), 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Scene:
    """Light and background. gain [3]; slope: how much brighter the right side is; gamma; background
    [S, S, 3] 0..1, None for the avatar's own."""

    gain: npt.NDArray[np.float32]
    slope: float
    gamma: float
    background: npt.NDArray[np.float32] | None

    def lit(self, rgba: Bytes) -> Bytes:
        """A picture [S, S, 4] (straight alpha) in this light, on this background: [S, S, 3]."""
        colour = (rgba[..., :3].astype(np.float32) / 255) ** self.gamma
        side = 1 + self.slope * np.linspace(-1, 1, rgba.shape[1], dtype=np.float32)[None, :, None]
        colour = np.asarray(np.clip(colour * self.gain * side, 0, 1), np.float32)
        if self.background is not None:
            opacity = rgba[..., 3:].astype(np.float32) / 255
            colour = np.asarray(colour * opacity + self.background * (1 - opacity), np.float32)
        return np.asarray(np.round(colour * 255), np.uint8)


PLAIN: Final = Scene(np.ones(3, np.float32), 0.0, 1.0, None)
"""The avatar's own light and background: what is served."""


def scene(seed: int, size: int, plain: float = 0.4) -> Scene:
    """A light and a background; a share `plain` is the avatar's own."""
    rng = np.random.default_rng([seed, 7])
    if rng.random() < plain:
        return PLAIN
    warmth = rng.uniform(-0.08, 0.08)
    gain = rng.uniform(0.75, 1.15) * np.array([1 + warmth, 1, 1 - warmth], np.float32)
    return Scene(
        gain.astype(np.float32), rng.uniform(-0.2, 0.2), rng.uniform(0.85, 1.2), _background(rng, size)
    )


def _background(rng: np.random.Generator, size: int) -> npt.NDArray[np.float32]:
    """A colour, a fade between two, or blurred patches."""
    first, second = rng.uniform(0.1, 0.95, (2, 3))
    kind = rng.integers(3)
    share = np.zeros((size, size, 1))
    if kind == 1:
        angle = rng.uniform(0, 2 * np.pi)
        y, x = np.mgrid[:size, :size] / max(1, size - 1) - 0.5
        share = np.clip(x * np.cos(angle) + y * np.sin(angle) + 0.5, 0, 1)[..., None]
    elif kind == 2:
        coarse = rng.random((5, 5))
        at = np.linspace(0, 4, size)
        low, part = np.floor(at).astype(int).clip(0, 3), at - np.floor(at).clip(0, 3)
        rows = coarse[low] * (1 - part[:, None]) + coarse[low + 1] * part[:, None]
        share = (rows[:, low] * (1 - part) + rows[:, low + 1] * part)[..., None]
    return np.asarray(first * (1 - share) + second * share, np.float32)
