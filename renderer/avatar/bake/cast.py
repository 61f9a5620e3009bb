# mypy: disable-error-code="no-any-return, type-arg"
"""Who signs: shape, skin, hair and clothes of every signer that is baked.

Enters: nothing. Leaves: `CAST`. Colours are sRGB 0..255; a shirt contrasts with the skin of the hands
before it. All signers share one skeleton, so a motion touches the same places of everyone's face and body.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from renderer.avatar.bake.hair import HairStyle
from renderer.avatar.bake.shapes import BASE, Shape

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Look:
    """One signer. beard 0..1 and grey stubble are painted; lips: how much redder than the skin."""

    description: str
    shape: Shape
    skin: Colour
    hair_colour: Colour
    iris: Colour
    shirt: Colour
    style: HairStyle = field(default_factory=HairStyle)
    brow: float = 1.0
    beard: float = 0.0
    lips: float = 0.7
    lines: float = 0.0
    smile: float = 0.0
    """How much more than the others this one smiles at rest, where the mouth is turned down by nature."""


_MAN = (
    0.049,
    0.052,
    0.055,
    0.052,
    0.034,
    0.010,
    -0.014,
    -0.042,
    -0.016,
    -0.012,
    -0.040,
    -0.080,
    -0.096,
    -0.100,
)
_BOB = (
    0.054,
    0.052,
    0.046,
    0.028,
    -0.010,
    -0.065,
    -0.115,
    -0.136,
    -0.142,
    -0.146,
    -0.150,
    -0.152,
    -0.156,
    -0.158,
)
_TIED = (
    0.054,
    0.055,
    0.052,
    0.042,
    0.022,
    0.000,
    -0.018,
    -0.040,
    -0.010,
    -0.008,
    -0.036,
    -0.076,
    -0.096,
    -0.1,
)

CAST: dict[str, Look] = {
    "mira": Look(
        "Woman, about 30; light brown skin, chestnut bob, navy shirt", BASE,
        skin=(214, 166, 138), hair_colour=(74, 46, 32), iris=(92, 58, 32), shirt=(33, 47, 84),
        style=HairStyle(_BOB, top=0.020, side=0.014, back=0.022, hang=0.17, part_x=0.022), lips=0.75,
        smile=0.08,
    ),
    "omar": Look(
        "Man, about 35; olive skin, short black hair and beard, dark green shirt",
        replace(BASE, gender=0.12, muscle=0.6, weight=0.5, african=0.15, asian=0.25, caucasian=0.6),
        skin=(198, 146, 112), hair_colour=(28, 23, 21), iris=(60, 38, 24), shirt=(26, 62, 52),
        style=HairStyle(_MAN, top=0.026, side=0.007, back=0.010, curl=0.0015), brow=1.3, beard=0.62,
        lips=0.45,
    ),
    "amara": Look(
        "Woman, about 28; dark brown skin, black curls, cream shirt",
        replace(BASE, gender=0.9, african=1.0, asian=0.0, caucasian=0.0, weight=0.48),
        skin=(112, 72, 52), hair_colour=(24, 19, 18), iris=(48, 28, 18), shirt=(226, 214, 188),
        style=HairStyle(_TIED, top=0.034, side=0.026, back=0.036, curl=0.004), lips=0.55,
    ),
    "kenji": Look(
        "Man, about 45; light skin, black hair, charcoal shirt",
        replace(BASE, gender=0.15, age=0.74, african=0.0, asian=1.0, caucasian=0.0, weight=0.52),
        skin=(222, 180, 146), hair_colour=(30, 27, 27), iris=(50, 32, 22), shirt=(52, 56, 64),
        style=HairStyle(_MAN, top=0.024, side=0.009, back=0.012, part_x=-0.026), brow=1.1, lips=0.45,
        lines=0.4,
    ),
    "ruth": Look(
        "Woman, about 65; fair skin, silver hair tied up, plum shirt",
        replace(BASE, gender=0.9, age=0.90, african=0.0, asian=0.0, caucasian=1.0, weight=0.52),
        skin=(228, 182, 160), hair_colour=(172, 168, 164), iris=(78, 104, 122), shirt=(84, 34, 66),
        style=HairStyle(_TIED, top=0.024, side=0.010, back=0.016, knot=0.034), brow=0.6, lips=0.6, lines=0.7,
        smile=0.30,
    ),
    "kofi": Look(
        "Man, about 60; deep brown skin, short grey hair, light blue shirt",
        replace(BASE, gender=0.1, age=0.86, african=1.0, asian=0.0, caucasian=0.0, muscle=0.55, weight=0.52),
        skin=(92, 60, 45), hair_colour=(118, 114, 110), iris=(44, 27, 18), shirt=(182, 204, 220),
        style=HairStyle(_MAN, top=0.008, side=0.005, back=0.006, curl=0.0008), brow=0.9, lips=0.4,
        lines=0.6, smile=0.25,
    ),
}  # fmt: skip
