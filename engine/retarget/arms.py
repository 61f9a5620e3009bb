"""Arms: two-bone inverse kinematics with a chosen swivel, and the arm at rest.

Enters: where the wrist joint should be, metres in the body's rest frame. Leaves: shoulder and elbow
rotations. Does not know recordings or fingers.
"""

from __future__ import annotations

import numpy as np

from engine.body import Body
from engine.retarget.geometry import Array, axis_rotation, dot, frame, rotvec, smooth, unit
from engine.skeleton import JOINT

_SWIVELS = np.radians(np.arange(-90.0, 91.0, 5.0))
_COMFORT = np.radians(65.0)
_USUAL_ELBOW_M = np.array([0.11, -0.26])
"""Outwards and up from the shoulder: where a signer's elbow mostly hangs."""
_STRAIGHT = 0.995
"""An arm never locks: the elbow keeps its plane."""


def sign(side: str) -> float:
    """+1 for the left side (x to the signer's left), -1 for the right."""
    return 1.0 if side == "left" else -1.0


def solve_arm(
    body: Body,
    side: str,
    wrist_target: Array,
    hand_rotation: Array,
    elbow_seen: Array,
    elbow_trust: Array,
) -> tuple[Array, Array]:
    """Two-bone IK: global rotations of upper arm and forearm, [T, 3, 3] each.

    wrist_target [T, 3] metres; hand_rotation [T, 3, 3] global; elbow_seen [T, 2] metres, x and y;
    elbow_trust [T] 0..1.

    The swivel is searched over +-90 degrees about a pole down, out and back: it follows the seen elbow (an
    unseen one hangs), keeps the wrist's bend comfortable and the elbow out of the torso.
    """
    rest = body.rest_joints.astype(np.float64)
    shoulder, elbow, wrist, knuckle = (
        rest[JOINT[f"{side}_{name}"]] for name in ("shoulder", "elbow", "wrist", "middle1")
    )
    upper, fore = float(np.linalg.norm(elbow - shoulder)), float(np.linalg.norm(wrist - elbow))
    reach = wrist_target - shoulder
    length = np.clip(np.linalg.norm(reach, axis=1), abs(upper - fore) + 0.03, (upper + fore) * _STRAIGHT)
    reach = unit(reach)
    hand = shoulder + reach * length[:, None]
    cosine = (upper**2 + length**2 - fore**2) / (2 * upper * length)
    centre = shoulder + reach * (upper * cosine)[:, None]
    radius = upper * np.sqrt(np.clip(1 - cosine**2, 0, None))
    pole = np.array([sign(side) * 0.55, -1.0, -0.25])
    first = unit(pole - reach * (reach @ pole)[:, None])
    second = np.cross(reach, first)
    circle = np.cos(_SWIVELS)[:, None] * first[:, None] + np.sin(_SWIVELS)[:, None] * second[:, None]
    places = centre[:, None] + radius[:, None, None] * circle  # [T, A, 3]

    cost = np.broadcast_to(0.02 * (_SWIVELS / _COMFORT) ** 2, places.shape[:2]).copy()
    usual = shoulder[:2] + np.array([sign(side), 1.0]) * _USUAL_ELBOW_M
    expected = usual + elbow_trust[:, None] * (elbow_seen - usual)
    cost += 0.1 * ((places[..., :2] - expected[:, None]) ** 2).sum(-1) / 0.12**2
    inside = np.clip(0.20 - sign(side) * places[..., 0], 0, 1) * (places[..., 2] < 0.12)
    cost += 5 * inside
    pointing = hand_rotation @ unit(knuckle - wrist)
    forearm = unit(hand[:, None] - places)
    bend = np.arccos(np.clip(dot(forearm, pointing[:, None]), -1, 1))
    cost += 0.15 * np.clip(bend - _COMFORT, 0, None) ** 2
    # Signers bend the wrist rather than lift the elbow to shoulder height.
    cost += 8 * np.clip(places[..., 1] - (shoulder[1] - 0.12), 0, None) ** 2
    # The cost is blurred before the choice, so that a lone noisy frame cannot jump to another optimum.
    swivel = smooth(_SWIVELS[smooth(cost, 2.0).argmin(1)], 2.0)
    place = centre + radius[:, None] * (np.cos(swivel)[:, None] * first + np.sin(swivel)[:, None] * second)

    bone, lower = place - shoulder, hand - place
    hinge = np.cross(bone, lower)
    rest_hinge = np.array([0.0, -sign(side), 0.0])
    return (
        frame(bone, hinge) @ frame(elbow - shoulder, rest_hinge).T,
        frame(lower, hinge) @ frame(wrist - elbow, rest_hinge).T,
    )


def rest_arm(side: str) -> dict[int, Array]:
    """Axis-angle [3] by joint of an arm hanging at the side, palm to the thigh, fingers relaxed."""
    s = sign(side)
    down = axis_rotation(np.array([0.0, 0.0, -s]), np.asarray(np.radians(66.0)))
    forward = axis_rotation(np.array([-1.0, 0.0, 0.0]), np.asarray(np.radians(10.0)))
    pose = {
        JOINT[f"{side}_shoulder"]: rotvec(forward @ down),
        JOINT[f"{side}_elbow"]: np.array([0.0, -s, 0.0]) * np.radians(22.0),
        JOINT[f"{side}_wrist"]: np.array([-0.25, 0.0, 0.0]),
    }
    for finger, curl in (("index", 14), ("middle", 18), ("ring", 21), ("pinky", 24)):
        for k, share in ((1, 1.0), (2, 1.2), (3, 0.7)):
            pose[JOINT[f"{side}_{finger}{k}"]] = np.array([0.0, 0.0, -s]) * np.radians(curl * share)
    pose[JOINT[f"{side}_thumb1"]] = np.array([0.25, s * 0.25, -s * 0.1])
    return pose
