"""A hand as 22 angles: from landmarks in closed form, and from angles to joint rotations.

Enters: 21 landmarks of a right hand in body axes (left hands are mirrored first). Leaves: wrist
orientation, 22 angles, joint rotations. Does not know recordings, arms or fitting (`lifting`, `contacts`).

Angles, radians: for index, middle, ring, pinky: MCP flexion, MCP spread, PIP, DIP (0..15); the thumb's CMC as
axis-angle (16..18), MCP flexion (19), MCP spread (20), IP flexion (21). Each finger has three rest axes: d
along the bone, e the way it flexes, h = the hinge (d turns to e about h); spread turns d towards h about -e.
Motion capture confirms that PIP and DIP are hinges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engine.body import WRIST_SHIFT, Body
from engine.retarget.geometry import (
    Array,
    axis_rotation,
    kabsch,
    matrix,
    minimal_rotation,
    rotvec,
    turn,
    unit,
    unturn,
)
from engine.skeleton import FINGERS, HAND21, JOINT

ANGLES = 22
FOUR = FINGERS[1:]
BASE = (1, 5, 9, 13, 17)
"""The landmark at which each finger begins, thumb first."""
PALM = (0, 5, 9, 13, 17)
CMC = slice(16, 19)
LOWER = np.radians(np.array([-25, -22, -5, -8] * 4 + [-200] * 3 + [-20, -20, -25], np.float64))
UPPER = np.radians(np.array([92, 22, 112, 85] * 4 + [200] * 3 + [65, 20, 80], np.float64))
"""Joint limits; those of the CMC are open, it has a prior instead."""
MIRROR = np.array([-1.0, 1.0, 1.0])
"""Turns the positions of a left hand into those of a right one."""
MIRROR_AXIS = np.array([1.0, -1.0, -1.0])
"""Turns the axis-angles of a left hand into those of a right one."""

_PALM_WEIGHTS = np.array([2.0, 1, 1, 1, 1])
_KNUCKLE_INWARD_M = 0.004
_PALM_NORMAL = np.array([0.0, -1.0, 0.0])
_NAIL = np.array([0.55, 0.68, 0.45])
"""Which way the right thumb's nail looks at rest."""


@dataclass(frozen=True, eq=False)
class HandRig:
    """The right hand of a body at rest, metres.

    joints [21, 3]: wrist, finger joints, tips. landmarks [21, 3]: the same where a detector sees them.
    axes [5, 3, 3]: columns d, e, h of each finger, thumb first. palm_m: detected wrist to middle knuckle.
    """

    joints: Array
    landmarks: Array
    axes: Array
    palm_m: float


@lru_cache(maxsize=8)
def hand_rig(body: Body) -> HandRig:
    """Measure the right hand of `body` at rest."""
    everything = np.concatenate([body.rest_joints, body.rest_points]).astype(np.float64)
    joints = everything[list(HAND21["right"])]
    landmarks = joints.copy()
    landmarks[0] += WRIST_SHIFT * (joints[9] - joints[0])
    axes = np.empty((5, 3, 3))
    for i, base in enumerate(BASE):
        d = unit(joints[base + 1] - joints[base])
        h = unit(np.cross(d, _PALM_NORMAL if i else -unit(_NAIL - d * (_NAIL @ d))))
        axes[i] = np.stack([d, np.cross(h, d), h], 1)
        if i:  # detectors place knuckles a little nearer to the wrist than the joint
            landmarks[base] -= _KNUCKLE_INWARD_M * d
    return HandRig(joints, landmarks, axes, float(np.linalg.norm(landmarks[9] - landmarks[0])))


def orientation(rig: HandRig, landmarks: Array) -> Array:
    """Global wrist rotations [T, 3, 3] from landmarks [T, 21, 3] in avatar axes (any scale)."""
    return kabsch(rig.landmarks[list(PALM)], landmarks[:, list(PALM)], _PALM_WEIGHTS)


def closed_form(rig: HandRig, landmarks: Array, wrist: Array) -> Array:
    """Angles [T, 22] of landmarks [T, 21, 3], given the wrist rotations [T, 3, 3]."""
    local = unturn(wrist[:, None], landmarks)
    angles = np.zeros((len(landmarks), ANGLES))
    for i in range(1, 5):
        bones, j = _bones(rig, local, i), 4 * (i - 1)
        flex = np.clip(_flexion(bones[:, 0]), LOWER[j], UPPER[j])
        # A curled finger cannot spread: what looks like spreading is depth noise.
        spread = np.arcsin(np.clip(bones[:, 0, 2], -1, 1)).clip(LOWER[j + 1], UPPER[j + 1])
        spread *= np.clip(1.4 - flex / 1.6, 0.35, 1.0)
        above = _saddle(flex, spread)
        pip = np.clip(_flexion(unturn(above, bones[:, 1])), LOWER[j + 2], UPPER[j + 2])
        above = above @ _hinge(pip)
        dip = np.clip(_flexion(unturn(above, bones[:, 2])), LOWER[j + 3], UPPER[j + 3])
        angles[:, j : j + 4] = np.stack([flex, spread, pip, dip], 1)
    angles[:, 16:] = _closed_thumb(rig, _bones(rig, local, 0))
    return angles


def rotations(rig: HandRig, angles: Array) -> Array:
    """Local joint rotations [T, 5, 3, 3, 3] (finger, joint, matrix) of angles [T, 22], thumb first."""
    local = np.empty((len(angles), 5, 3, 3, 3))
    local[:, 0, 0] = matrix(angles[:, CMC])
    local[:, 0, 1] = _in_rest(rig, 0, _saddle(angles[:, 19], angles[:, 20]))
    local[:, 0, 2] = _in_rest(rig, 0, _hinge(angles[:, 21]))
    for i in range(1, 5):
        flex, spread, pip, dip = angles[:, 4 * i - 4 : 4 * i].T
        for k, rotation in enumerate((_saddle(flex, spread), _hinge(pip), _hinge(dip))):
            local[:, i, k] = _in_rest(rig, i, rotation)
    return local


def forward(rig: HandRig, local: Array, wrist: Array) -> Array:
    """Landmarks [T, 21, 3], metres, relative to the wrist joint, of the posed hand of the body itself."""
    points = np.empty((len(wrist), 21, 3))
    points[:, 0] = turn(wrist, rig.landmarks[0] - rig.joints[0])
    for i, base in enumerate(BASE):
        above = wrist
        points[:, base] = turn(wrist, rig.joints[base] - rig.joints[0])
        for k in range(3):
            above = above @ local[:, i, k]
            bone = rig.joints[base + k + 1] - rig.joints[base + k]
            points[:, base + k + 1] = points[:, base + k] + turn(above, bone)
    return points


def smplx_joints(side: str) -> list[int]:
    """SMPL-X joints of the 15 rotations of `rotations`, in its order."""
    return [JOINT[f"{side}_{finger}{k}"] for finger in FINGERS for k in (1, 2, 3)]


def _bones(rig: HandRig, local: Array, finger: int) -> Array:
    """Unit bones [T, 3, 3] of a finger in its own rest axes (d, e, h)."""
    base = BASE[finger]
    return np.asarray(unit(np.diff(local[:, base : base + 4], axis=1)) @ rig.axes[finger])


def _in_rest(rig: HandRig, finger: int, rotation: Array) -> Array:
    return np.asarray(rig.axes[finger] @ rotation @ rig.axes[finger].T)


def _hinge(angle: Array) -> Array:
    return axis_rotation(np.array([0.0, 0.0, 1.0]), angle)


def _saddle(flex: Array, spread: Array) -> Array:
    return np.asarray(_hinge(flex) @ axis_rotation(np.array([0.0, -1.0, 0.0]), spread))


def _flexion(bone: Array) -> Array:
    """Hinge angle of a bone, -90..270 degrees: a deep curl passes 180 rather than jumping to -180."""
    angle = np.arctan2(bone[:, 1], bone[:, 0])
    return np.where(angle < -np.pi / 2, angle + 2 * np.pi, angle)


def _closed_thumb(rig: HandRig, bones: Array) -> Array:
    along = np.array([1.0, 0.0, 0.0])
    base = minimal_rotation(along, bones[:, 0])
    # Twist the metacarpal so that the later bones bend in the hinge's plane; a straight thumb says nothing.
    bend = unturn(base, bones[:, 1]) + unturn(base, bones[:, 2])
    size = np.linalg.norm(bend[:, 1:], axis=1) / 2
    twist = np.clip(np.arctan2(bend[:, 2], bend[:, 1]), -np.pi / 4, np.pi / 4) * size**2 / (size**2 + 0.04)
    base = base @ axis_rotation(along, twist)
    bone = unturn(base, bones[:, 1])
    flex = np.clip(np.arctan2(bone[:, 1], bone[:, 0]), LOWER[19], UPPER[19])
    spread = np.clip(np.arcsin(np.clip(bone[:, 2], -1, 1)), LOWER[20], UPPER[20])
    bone = unturn(base @ _saddle(flex, spread), bones[:, 2])
    tip = np.clip(np.arctan2(bone[:, 1], bone[:, 0]), LOWER[21], UPPER[21])
    return np.concatenate([rotvec(_in_rest(rig, 0, base)), np.stack([flex, spread, tip], 1)], 1)
