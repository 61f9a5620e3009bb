"""A small lexicon made by hand, for tests of signing: the interface of `engine.lexicon`, motion from
`engine.body`.

Letters are handshapes held before the shoulder, W waves, TWO uses both hands, LONG lasts four seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.body import load_body
from engine.choreography.rest import rest_expression, rest_pose
from engine.rotations import slerp_rotvec
from engine.signals import FloatArray, Gloss, Motion
from engine.skeleton import FACE, JOINT, mirror_smplx

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVXYZ"


def _raised(handshape: int) -> FloatArray:
    """The right hand before the shoulder; `handshape` is a seed for the fingers."""
    random = np.random.default_rng(handshape)
    pose = rest_pose().copy()
    pose[JOINT["right_shoulder"]] = (-0.15, -0.1, -1.15)
    pose[JOINT["right_shoulder"], 0] = -0.9
    pose[JOINT["right_shoulder"], 2] = 0.84
    pose[JOINT["right_elbow"]] = (-0.18, 1.96, 0.13)
    pose[JOINT["right_wrist"]] = np.array([0.79, 0.66, -0.5]) + random.normal(0, 0.2, 3)
    for finger in ("index", "middle", "ring", "pinky"):
        curl = random.uniform(0, 1.5)
        for k in (1, 2, 3):
            pose[JOINT[f"right_{finger}{k}"]] = (0, 0, curl)
    return pose


def recording(name: str, fps: float = 25.0) -> Motion:
    """A dictionary recording: rest, rise, sign, fall, rest."""
    body = load_body()
    rest, up = rest_pose(), _raised(sum(map(ord, name)))
    seconds = 4.0 if name == "LONG" else 1.0
    rise, core = round(0.4 * fps), round(seconds * fps)
    ease = np.linspace(0, 1, rise, dtype=np.float32) ** 2 * (
        3 - 2 * np.linspace(0, 1, rise, dtype=np.float32)
    )
    poses = np.repeat(up[None], core, 0)
    if len(name) > 1 or name == "W":
        swing = np.sin(np.linspace(0, 4 * np.pi, core)).astype(np.float32)
        poses[:, JOINT["right_elbow"], 1] += 0.35 * swing
    if name == "TWO":
        left = mirror_smplx(poses)
        arm = [i for joint, i in JOINT.items() if joint.startswith("left_") and i not in (1, 4, 7, 10, 23)]
        poses[:, arm] = left[:, arm]
    first, last = np.repeat(poses[:1], rise, 0), np.repeat(poses[-1:], rise, 0)
    smplx = np.concatenate(
        [
            np.repeat(rest[None], 5, 0),
            slerp_rotvec(np.repeat(rest[None], rise, 0), first, ease[:, None]),
            poses,
            slerp_rotvec(last, np.repeat(rest[None], rise, 0), ease[:, None]),
            np.repeat(rest[None], 5, 0),
        ]
    ).astype(np.float32)
    expression = np.repeat(rest_expression()[None], len(smplx), 0)
    expression[:, FACE["jawOpen"]] = 0.3 * np.sin(np.linspace(0, np.pi, len(smplx)))
    confidence = np.ones((len(smplx), 2), np.float32)
    if name != "TWO":
        confidence[:, 0] = 0
    return body.motion(smplx, expression, fps, confidence)


class HandMadeLexicon:
    """`motion` of any name; names with `!` fail. `asked` counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def motion(self, clip: str) -> Motion:
        self.asked.append(clip)
        if "!" in clip:
            raise ValueError(f"lexicon: {clip} is truncated; record it again")
        return recording(clip, 30.0 if clip == "TWO" else 25.0)


@dataclass
class Words:
    """What `PlainWords.push` gives."""

    glosses: list[Gloss] = field(default_factory=list)
    unspellable: list[Any] = field(default_factory=list)
    omitted: list[Any] = field(default_factory=list)


@dataclass
class Heard:
    text: str = ""
    done: int = 0


class PlainWords:
    """Words of the hand-made lexicon (TWO, LONG, BAD!) are signs, others are spelled; digits are
    unspellable.
    """

    SIGNS = ("TWO", "LONG", "WAVE", "BAD!")

    def open(self, language: str) -> Heard:
        if language == "xxx":
            raise ValueError("glossing: language xxx is unknown; see /languages")
        return Heard()

    def push(self, text: str, state: Heard, final: bool) -> Words:
        state.text += text
        words = Words()
        while state.done < len(state.text):
            start = state.done
            if state.text[start] == " ":
                state.done += 1
                continue
            end = state.text.find(" ", start)
            if end < 0 and not final:
                break
            end = len(state.text) if end < 0 else end
            word = state.text[start:end].upper()
            state.done = end
            if word in self.SIGNS:
                words.glosses.append(Gloss(word, word, "ase", start=start, end=end))
            elif word.isdigit():
                words.unspellable.append(word)
            else:
                words.glosses += [
                    Gloss(c, c, "ase", True, k == len(word) - 1, start=start, end=end)
                    for k, c in enumerate(word)
                ]
        return words


def glosses(text: str, first: int = 0) -> list[tuple[int, Gloss]]:
    words = PlainWords()
    return list(enumerate(words.push(text, words.open("ase"), True).glosses, first))
