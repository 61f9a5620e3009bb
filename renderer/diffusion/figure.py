"""What the three maps consist of: which capsules, between which points, how thick, in which colour.

Enters: nothing. Leaves: constant tables. Does not know motion, cameras or pixels.
"""

from __future__ import annotations

import colorsys
from typing import Final

import numpy as np

from engine.signals import FloatArray
from engine.skeleton import HAND_BONES, JOINT, POSE_HAND, SIDES

LIMBS: Final = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (1, 11), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""DWPose's limbs between the 18 body keypoints, above the hips."""
LIMB_M: Final = 0.016
FINGER_LINE_M: Final = 0.006
"""Radii of the pose map's lines; a map is never drawn thinner than `MIN_RADIUS_PX`."""
MIN_RADIUS_PX: Final = 0.6

# Of the body map: joints (or "left_"/"right_" pairs) of the skeleton and radii in metres at both ends.
_SIDED: Final = (
    ("shoulder", "elbow", 0.052, 0.042),
    ("elbow", "wrist", 0.042, 0.028),
    ("collar", "shoulder", 0.060, 0.058),
    ("wrist", "index1", 0.026, 0.016),
    ("wrist", "middle1", 0.028, 0.016),
    ("wrist", "pinky1", 0.024, 0.013),
    ("wrist", "thumb1", 0.024, 0.015),
)
_MIDDLE: Final = (("neck", "head", 0.058, 0.054), ("spine3", "neck", 0.095, 0.06))
FINGER_M: Final = (0.0110, 0.0095, 0.0085, 0.0072)
"""Radii of a finger at its three joints and its tip."""
HAND_RADII_M: Final = np.array(
    [[0.016 if k == 0 else FINGER_M[k - 1], FINGER_M[k]] for _ in range(5) for k in range(4)], np.float32
)
"""Of the 20 bones of `skeleton.HAND_BONES`, palm included."""


def _rainbow(count: int, first: float, last: float, value: float = 1.0) -> FloatArray:
    hues = np.linspace(first, last, count)
    return np.array([colorsys.hsv_to_rgb(h % 1.0, 0.9, value) for h in hues], np.float32)


LIMB_COLOURS: Final = _rainbow(len(LIMBS), 0.0, 0.92)
HAND_LINES: Final = np.array(
    [(POSE_HAND[s].start + a, POSE_HAND[s].start + b) for s in SIDES for a, b in HAND_BONES]
)
HAND_LINE_COLOURS: Final = np.concatenate([_rainbow(20, 0.0, 0.95), _rainbow(20, 0.0, 0.95, 0.75)])
HAND_COLOURS: Final = np.stack([_rainbow(20, 0.0, 0.42), _rainbow(20, 0.5, 0.92)])
"""[side, bone]: the left hand is red to green, the right one blue to pink, a colour for each bone."""


def _body() -> tuple[np.ndarray[tuple[int, int], np.dtype[np.int64]], FloatArray]:
    rows = [(f"{s}_{a}", f"{s}_{b}", ra, rb) for s in SIDES for a, b, ra, rb in _SIDED] + list(_MIDDLE)
    joints = np.array([[JOINT[a], JOINT[b]] for a, b, _, _ in rows], np.int64)
    return joints, np.array([[ra, rb] for _, _, ra, rb in rows], np.float32)


BODY_JOINTS, BODY_RADII_M = _body()

# Capsules fixed to one joint: offsets of both ends in metres in its frame, radii.
_TORSO: Final = (
    ("spine3", (0.075, 0.05, 0.0), "spine1", (0.065, 0.0, 0.0), 0.105, 0.10),
    ("spine3", (-0.075, 0.05, 0.0), "spine1", (-0.065, 0.0, 0.0), 0.105, 0.10),
    ("spine1", (0.0, 0.0, 0.0), "pelvis", (0.0, -0.02, 0.0), 0.135, 0.15),
    ("head", (0.0, 0.085, 0.0), "head", (0.0, 0.10, 0.01), 0.098, 0.098),
    ("head", (0.0, 0.04, 0.035), "head", (0.0, -0.005, 0.045), 0.068, 0.052),
)
RIGID_JOINTS: Final = np.array([[JOINT[a], JOINT[b]] for a, _, b, _, _, _ in _TORSO])
RIGID_OFFSETS_M: Final = np.array([[p, q] for _, p, _, q, _, _ in _TORSO], np.float32)
RIGID_RADII_M: Final = np.array([[ra, rb] for *_, ra, rb in _TORSO], np.float32)

# The face of the body map: flat lines in the head's frame, metres, moved by face units.
EYE_M: Final = (0.031, 0.040, 0.112)
BROW_M: Final = (0.031, 0.060, 0.116)
MOUTH_M: Final = (0.0, -0.048, 0.122)
FACE_COLOURS: Final = {"eye": (0.1, 0.2, 0.9), "brow": (0.9, 0.6, 0.1), "lip": (0.9, 0.1, 0.2)}
FACE_LINE_M: Final = 0.0045
