"""How hands close: in general, and as the letters of the American manual alphabet.

Enters: nothing. Leaves: rules. Does not know how they are kept (`forces`, `contacts`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LetterRule:
    """How a letter closes.

    thumb: `over` folded fingers, `under` the named ones (0 index .. 3 pinky), or `free`. pairs: landmarks
    that touch when they are near, and their distance. loose: the fingers may leave the lifted angles further.
    crossed: index over middle. tips_on_thumb: fingertips rest on the thumb. keep_thumb: the thumb
    stays where it was in the palm and by the fingertips, rather than only clear of the fingers. bent: how far
    the fingers at least bend at knuckle, middle and last joint once they are folded, degrees: the picture
    of a finger that points at the camera hides it.
    """

    thumb: str = "over"
    under: tuple[int, ...] = ()
    pairs: tuple[tuple[int, int, float], ...] = ()
    loose: bool = False
    crossed: bool = False
    tips_on_thumb: bool = False
    keep_thumb: bool = True
    bent: tuple[float, float, float] | None = None


ANY = LetterRule()
FREE = LetterRule(thumb="free")
ASL_RULES: dict[str, LetterRule] = {
    "C": FREE,
    "D": LetterRule("free", pairs=((4, 12, 0.15), (4, 16, 0.2))),
    "E": LetterRule("free", tips_on_thumb=True, bent=(55.0, 100.0, 70.0)),
    "F": LetterRule("free", pairs=((4, 8, 0.15),)),
    "G": LetterRule("free", keep_thumb=False),
    "K": LetterRule("free", pairs=((4, 10, 0.20),)),
    "L": FREE,
    "M": LetterRule("under", under=(0, 1, 2), loose=True),
    "N": LetterRule("under", under=(0, 1)),
    "O": LetterRule("free", pairs=((4, 8, 0.15), (4, 12, 0.16))),
    "P": LetterRule("free", pairs=((4, 10, 0.20),)),
    "Q": FREE,
    "R": LetterRule(crossed=True),
    "S": LetterRule(keep_thumb=False),
    "T": LetterRule("under", under=(0,)),
    "Y": FREE,
}
