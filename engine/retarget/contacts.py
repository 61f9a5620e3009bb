"""Contacts: our hand is not the signer's, so what touched there must be made to touch here. Stage 2.

Enters: lifted angles and the signer's points. Leaves: angles near them under which our own hand does not sink
into itself, the thumb lies in front of folded fingers, touching fingers still touch, and letters of the
American manual alphabet close as they should. Does not know pictures, arms or recordings.
"""

from __future__ import annotations

import numpy as np

from engine.retarget.forces import Forces
from engine.retarget.geometry import Array, Index, matrix, rotvec
from engine.retarget.hand import CMC, LOWER, UPPER, HandRig
from engine.retarget.letters import ANY, ASL_RULES, FREE, LetterRule
from engine.retarget.lifting import jerk_pull, limits_pull
from engine.retarget.model import Adam, HandModel
from engine.retarget.source import own_hand

_STAY = np.radians(np.array([12.0, 6, 12, 14] * 4 + [28] * 3 + [22, 10, 22]))
_JERK_WEIGHT = 0.15 / np.radians(10.0) ** 2
_LIMIT_WEIGHT = 120.0
_TOLERANCE = 0.10
"""How deep a thumb may lie wrongly, palm lengths, before a hand without a letter's rule is touched."""
_EASE_FRAMES = 4
_OPEN, _CLOSED = np.radians(70.0), np.radians(110.0)


def settle(
    rig: HandRig, angles: Array, seen: Array, clip: Index, letter: str | None, iterations: int = 80
) -> Array:
    """Angles [N, 22] of our own hand near `angles` that keep the contacts of the signer's points `seen`.

    seen [3, 21, N]: the lifted hand in palm lengths, rest axes. clip [N]: as in `lift`. letter: of the
    American manual alphabet, where its own rules hold; else None: then only hands that lie badly are touched,
    the others stay as the picture had them. Deterministic.
    """
    rule = ASL_RULES.get(letter or "", ANY)
    if rule not in (ANY, FREE):
        return _relax(rig, angles, seen, clip, rule, iterations)
    start = angles.T.copy()
    start[CMC] = 0.0
    base, lengths = own_hand(rig)
    points = HandModel(rig, base, lengths, matrix(angles[:, CMC])).points(start)
    depth = Forces(angles, seen, base, rule).violation(points)
    need = np.clip(depth / _TOLERANCE - 1, 0, 1)
    for c in np.unique(clip):  # ease in and out over neighbouring frames
        need[clip == c] = _eased(need[clip == c])
    touched = np.flatnonzero(need > 0)
    if len(touched) == 0:
        return angles
    runs = np.cumsum(np.diff(touched, prepend=-2) > 1) + len(touched) * clip[touched]
    out = angles.copy()
    settled = _relax(rig, angles[touched], seen[..., touched], runs, rule, iterations)
    out[touched] += need[touched, None] * (settled - angles[touched])
    return out


def _eased(need: Array) -> Array:
    """Each frame at least its neighbours' need, falling off linearly over `_EASE_FRAMES`."""
    eased = need.copy()
    for k in range(1, _EASE_FRAMES):
        share = 1 - k / _EASE_FRAMES
        eased[k:] = np.maximum(eased[k:], need[:-k] * share)
        eased[:-k] = np.maximum(eased[:-k], need[k:] * share)
    return eased


def _relax(rig: HandRig, angles: Array, seen: Array, clip: Index, rule: LetterRule, iterations: int) -> Array:
    base, lengths = own_hand(rig)
    thumb = matrix(angles[:, CMC])
    start = angles.copy()
    start[:, CMC] = 0.0
    if rule.bent is not None:
        _fold(start, rule.bent)
    stay, lower, upper = _STAY.copy(), LOWER.copy(), UPPER.copy()
    if rule.loose:
        stay[:16].reshape(4, 4)[:, [0, 2]] = np.radians(22.0)
    if rule.crossed:
        stay[[1, 5]] = np.radians(12.0)
        lower[[1, 5]], upper[[1, 5]] = np.radians(-32.0), np.radians(32.0)
    stays, lowest, highest = (2 / stay**2)[:, None], lower[:, None], upper[:, None]
    model = HandModel(rig, base, lengths, thumb)
    forces = Forces(angles, seen, base, rule)
    joined = (clip[2:] == clip[:-2]) * 1.0
    begun = start.T.copy()
    current = begun.copy()
    adam = Adam(current, 0.025)
    for _ in range(iterations):
        gradient = model.pull(current, forces(model.points(current)))
        gradient += stays * (current - begun) + _LIMIT_WEIGHT * limits_pull(current, lowest, highest)
        gradient += _JERK_WEIGHT * jerk_pull(current, joined)
        adam.step(gradient)
    out = current.T.copy()
    out[:, CMC] = rotvec(matrix(out[:, CMC]) @ thumb)
    return out


def _fold(angles: Array, bent_deg: tuple[float, float, float]) -> None:
    """Bends fingers that are folded on the whole to at least `bent_deg`, in place."""
    fingers = angles[:, :16].reshape(-1, 4, 4)
    curl = fingers[..., [0, 2]].sum(-1).mean(1)  # [T], knuckle and middle joint
    share = np.clip((curl - _OPEN) / (_CLOSED - _OPEN), 0, 1)[:, None]
    for joint, least in zip((0, 2, 3), np.radians(bent_deg), strict=True):
        fingers[..., joint] += share * np.maximum(least - fingers[..., joint], 0)
