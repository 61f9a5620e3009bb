# mypy: disable-error-code="no-any-return, type-arg"
"""Macro shape: sex, age, build and ancestry as a mixture of MakeHuman's targets.

Enters: a `Shape` (numbers 0..1). Leaves: displacements of the base mesh in decimetres.
Does not know skeletons or poses.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from renderer.avatar.bake.makehuman import Array, MakeHuman


@dataclass(frozen=True)
class Shape:
    """gender 0 male .. 1 female; age 1/3 child, 2/3 young adult, 1 old; ancestry weights are normalised."""

    gender: float = 0.8
    age: float = 2 / 3
    muscle: float = 0.5
    weight: float = 0.47
    height: float = 0.5
    proportions: float = 0.9
    cupsize: float = 0.3
    firmness: float = 0.6
    african: float = 0.25
    asian: float = 0.25
    caucasian: float = 0.5
    details: tuple[tuple[str, float], ...] = ()
    """Further targets by path, such as ("nose/nose-width1-decr", 0.5)."""

    def moved(self, **change: float) -> Shape:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, by in change.items():
            values[name] += by
        return Shape(**values)


BASE = Shape()
"""The shape whose skeleton every signer moves on (`engine/assets/body.npz`)."""


def _between(value: float, names: tuple[str, ...], anchors: tuple[float, ...]) -> dict[str, float]:
    step = anchors[1] - anchors[0]
    weights = np.maximum(0, 1 - np.abs(value - np.array(anchors)) / step)
    return {n: float(w) for n, w in zip(names, weights / weights.sum(), strict=True) if w > 1e-6}


def displacement(data: MakeHuman, shape: Shape) -> Array:
    """[V, 3] decimetres to add to `data.vertices`."""
    total = np.zeros_like(data.vertices)
    for name, weight in _targets(shape):
        target = data.target(name) if abs(weight) > 1e-6 else None
        if target is not None:
            total += weight * target
    return total


def _targets(s: Shape) -> Iterator[tuple[str, float]]:
    sexes = _between(s.gender, ("male", "female"), (0, 1))
    ages = _between(s.age, ("baby", "child", "young", "old"), (0, 1 / 3, 2 / 3, 1))
    third = (0, 0.5, 1)
    muscles = _between(s.muscle, ("minmuscle", "averagemuscle", "maxmuscle"), third)
    weights = _between(s.weight, ("minweight", "averageweight", "maxweight"), third)
    heights = _between(s.height, ("minheight", "maxheight"), (0, 1))
    proportions = _between(s.proportions, ("uncommonproportions", "idealproportions"), (0, 1))
    cups = _between(s.cupsize, ("mincup", "averagecup", "maxcup"), third)
    firmnesses = _between(s.firmness, ("minfirmness", "averagefirmness", "maxfirmness"), third)
    ancestry = s.african + s.asian + s.caucasian
    for (sex, a), (age, b) in itertools.product(sexes.items(), ages.items()):
        for origin in ("african", "asian", "caucasian"):
            yield f"macrodetails/{origin}-{sex}-{age}", a * b * getattr(s, origin) / ancestry
        for (muscle, c), (weight, d) in itertools.product(muscles.items(), weights.items()):
            build, share = f"{sex}-{age}-{muscle}-{weight}", a * b * c * d
            yield f"macrodetails/universal-{build}", share
            for height, e in heights.items():
                yield f"macrodetails/height/{build}-{height}", share * e
            for proportion, e in proportions.items():
                yield f"macrodetails/proportions/{build}-{proportion}", share * e
            if sex == "female":
                for (cup, e), (firmness, f) in itertools.product(cups.items(), firmnesses.items()):
                    yield f"breast/{build}-{cup}-{firmness}", share * e * f
    yield from s.details
