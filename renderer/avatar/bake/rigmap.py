# mypy: disable-error-code="no-any-return, type-arg"
"""Which SMPL-X joint (or twist joint) each bone of MakeHuman's default rig moves with, and where joints lie.

Enters: MakeHuman's rig. Leaves: weights [V, 59] and joint positions [59, 3].
Joints 0..54 are SMPL-X's; 55..58 are twist joints that only the renderer knows (`TWIST_NAMES`).
"""

from __future__ import annotations

import numpy as np

from engine.skeleton import FINGERS, JOINT, JOINT_NAMES, PARENTS, SIDES
from renderer.avatar.bake.makehuman import BODY_VERTICES, Array, MakeHuman, Rig

TWIST_NAMES = ("left_forearm_twist", "right_forearm_twist", "left_upperarm_twist", "right_upperarm_twist")
ALL_NAMES = (*JOINT_NAMES, *TWIST_NAMES)
ALL_PARENTS = (
    *PARENTS,
    JOINT["left_elbow"],
    JOINT["right_elbow"],
    JOINT["left_shoulder"],
    JOINT["right_shoulder"],
)
INDEX = {name: i for i, name in enumerate(ALL_NAMES)}
_SIDE = {"L": "left", "R": "right"}
_LASHES = slice(14742, 14992)
_TORSO = {"root": "pelvis", "pelvis": "pelvis", "spine05": "pelvis", "spine04": "pelvis", "spine03": "spine1",
          "spine02": "spine2", "spine01": "spine3", "neck01": "neck", "neck02": "neck"}  # fmt: skip
_LIMB = {"foot": "ankle", "upperarm01": "upperarm_twist", "upperarm02": "shoulder", "lowerarm01": "elbow",
         "lowerarm02": "forearm_twist", "wrist": "wrist", "clavicle": "collar"}  # fmt: skip
_JAW = {"jaw", "special04", "oris01", "oris02", "oris06", "oris07"}


def joints_of(bone: str) -> dict[str, float]:
    """The joints a MakeHuman bone's weight goes to."""
    stem, _, letter = bone.partition(".")
    side = _SIDE.get(letter, "")
    if stem in _TORSO:
        return {_TORSO[stem]: 1}
    if stem == "breast":
        return {"spine3": 0.6, "spine2": 0.4}
    if stem == "neck03":
        return {"neck": 0.5, "head": 0.5}
    if stem == "shoulder01":
        return {f"{side}_collar": 0.7, f"{side}_upperarm_twist": 0.3}
    for prefix, joint in (
        ("upperleg", "hip"),
        ("lowerleg", "knee"),
        ("toe", "foot"),
        ("metacarpal", "wrist"),
    ):
        if stem.startswith(prefix):
            return {f"{side}_{joint}": 1}
    if stem in _LIMB:
        return {f"{side}_{_LIMB[stem]}": 1}
    if stem.startswith("finger"):
        return {f"{side}_{FINGERS[int(stem[6]) - 1]}{stem[8]}": 1}
    if stem.startswith("tongue") or (stem in _JAW and not (stem == "oris06" and not side)):
        return {"jaw": 1}
    if stem == "eye":
        return {f"{side}_eye": 1}
    return {"head": 1}


def _head_bones() -> dict[str, str]:
    bones = {"pelvis": "spine04", "spine1": "spine03", "spine2": "spine02", "spine3": "spine01",
    "neck": "neck01",
             "head": "head", "jaw": "jaw"}  # fmt: skip
    for letter, side in _SIDE.items():
        for joint, bone in (("hip", "upperleg01"), ("knee", "lowerleg01"), ("ankle", "foot"), ("collar",
        "clavicle"),
                            ("shoulder", "upperarm01"), ("elbow", "lowerarm01"), ("wrist", "wrist"),
                            ("forearm_twist", "lowerarm02"), ("upperarm_twist", "upperarm01")):  # fmt: skip
            bones[f"{side}_{joint}"] = f"{bone}.{letter}"
        for number, finger in enumerate(FINGERS, 1):
            for k in (1, 2, 3):
                bones[f"{side}_{finger}{k}"] = f"finger{number}-{k}.{letter}"
    return bones


_HEAD_BONE = _head_bones()


def weights(data: MakeHuman, rig: Rig) -> Array:
    """[V, 59]; eyeballs hang on the eye joints alone, lids and lashes on the head."""
    out = np.zeros((len(data.vertices), len(ALL_NAMES)))
    for column, bone in enumerate(rig.names):
        for joint, share in joints_of(bone).items():
            out[:, INDEX[joint]] += share * rig.weights[:, column]
    for side in SIDES:
        eye = INDEX[f"{side}_eye"]
        for skin in (slice(0, BODY_VERTICES), _LASHES):
            out[skin, INDEX["head"]] += out[skin, eye]
            out[skin, eye] = 0
        ball = eyeball(data, side)
        out[ball] = 0
        out[ball, eye] = 1
    return out


def eyeball(data: MakeHuman, side: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return data.groups[f"helper-{side[0]}-eye"].vertices


def joint_positions(data: MakeHuman, rig: Rig, vertices: Array) -> Array:
    """[59, 3] in the units of `vertices` [V, 3]."""
    out = np.zeros((len(ALL_NAMES), 3))
    for i, name in enumerate(ALL_NAMES):
        side = name.split("_")[0]
        if name.endswith("_eye"):
            ball = vertices[eyeball(data, side)]
            out[i] = (ball.min(0) + ball.max(0)) / 2
        elif name.endswith("_foot"):
            toes = [f"toe{k}-1.{side[0].upper()}" for k in range(1, 6)]
            out[i] = np.mean([vertices[rig.heads[toe]].mean(0) for toe in toes], 0)
        else:
            out[i] = vertices[rig.heads[_HEAD_BONE[name]]].mean(0)
    return out
