"""Poses the renderer's tests draw."""

import numpy as np

from engine.body import load_body
from engine.skeleton import FACE, JOINT


def pose(**joints):
    """A pose with the arms hanging, changed by name: left_elbow=(x, y, z)."""
    smplx = np.zeros((55, 3), np.float32)
    smplx[JOINT["left_shoulder"]], smplx[JOINT["right_shoulder"]] = (0, 0, -1.1), (0, 0, 1.1)
    for name, rotation in joints.items():
        smplx[JOINT[name]] = rotation
    return smplx


def frame(smplx=None, seq=0, **units):
    """A motion frame; units by name: jawOpen=1."""
    expression = np.zeros(52, np.float32)
    for name, value in units.items():
        expression[FACE[name]] = value
    return load_body().frame(pose() if smplx is None else smplx, expression, seq=seq, pts_ns=seq, gloss=3)


def random_pose(seed, spread=0.3):
    return np.random.default_rng(seed).normal(0, spread, (55, 3)).astype(np.float32)
