"""Lifting: the hand that explains the picture, under what hands can do. Stage 1, the default.

Enters: landmarks of right hands in body axes, their source. Leaves: angles and wrist orientations.
Does not know bodies' places, faces or contacts.

Detected depth is poor, so it counts little: the flat reprojection of the signer's own hand decides, with
priors on angles, coupled PIP and DIP, joint limits and few jerks. Adam over all frames of both hands at
once, started at the closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.retarget.geometry import Array, Index, matrix, rotvec, smooth_rotation, unturn
from engine.retarget.hand import ANGLES, CMC, LOWER, UPPER, HandRig, closed_form
from engine.retarget.model import Adam, HandModel, cross, pull_rotation
from engine.retarget.source import Source


@dataclass(frozen=True)
class LiftingConfig:
    """Weights of stage 1. Sigmas are in palm lengths (flat, depth) and degrees."""

    iterations: int = 80
    rate: float = 0.03
    flat_sigma: float = 0.03
    depth_sigma: float = 0.16
    turn_sigma_deg: float = 12.0
    thumb_sigma_deg: float = 25.0
    jerk_sigma_deg: float = 12.0

    def __post_init__(self) -> None:
        if self.iterations < 1 or min(self.rate, self.flat_sigma, self.depth_sigma) <= 0:
            raise ValueError(f"LiftingConfig: {self}: iterations, rate and sigmas must be positive")


_USUAL = np.radians(np.array([10.0, 0, 15, 10] * 4 + [0] * 3 + [15, 0, 15]))[:, None]
_SIGMA = np.radians(np.array([60.0, 10, 60, 35] * 4 + [60] * 3 + [30, 10, 35]))[:, None]
_PRIOR = np.array([0.15] * 16 + [0.0] * 3 + [0.2] * 3)[:, None] / _SIGMA**2
_COUPLING = 0.65
_COUPLING_WEIGHT = 0.3 / np.radians(25.0) ** 2
_LIMIT_WEIGHT = 50.0
_POINTS = np.ones((21, 1))
_POINTS[[0, 4, 8, 12, 16, 20]] = 1.5
_LOWER, _UPPER = LOWER[:, None], UPPER[:, None]
# What is fitted, in one array [29, T]: the angles, the wrist's turn and shift, and the hand's size.
_TURN, _MOVE, _SIZE = slice(22, 25), slice(25, 28), 28
_RATES = np.array([1.0] * ANGLES + [0.4] * 6 + [0.2])[:, None]
_JERKS = np.array([1.0] * ANGLES + [2.25] * 3)[:, None]


def limits_pull(angles: Array, lower: Array, upper: Array) -> Array:
    """Gradient of half the squared excess over the joint limits."""
    return np.asarray(angles - np.minimum(np.maximum(angles, lower), upper))


def jerk_pull(track: Array, joined: Array) -> Array:
    """Gradient of the squared second differences of [N, T], where `joined` [T-2] says three frames belong."""
    out = np.zeros_like(track)
    if track.shape[1] > 2:
        second = (2 * joined) * (track[:, 2:] - 2 * track[:, 1:-1] + track[:, :-2])
        out[:, 2:] += second
        out[:, 1:-1] -= 2 * second
        out[:, :-2] += second
    return out


def _huber_slope(x: Array, delta: float) -> Array:
    return np.minimum(x / delta, 1.0)


def lift(
    rig: HandRig,
    source: Source,
    landmarks: Array,
    wrist: Array,
    trust: Array,
    clip: Index,
    config: LiftingConfig,
) -> tuple[Array, Array]:
    """Fit angles [N, 22] and wrist rotations [N, 3, 3] to landmarks [N, 21, 3] (pixels, wrist at 0).

    wrist [N, 3, 3]: start. trust [N] 0..1 weighs a frame's landmarks. clip [N]: frames with equal numbers
    follow each other in time. Deterministic.
    """
    palm = np.maximum(np.linalg.norm(unturn(wrist, landmarks[:, 9]), axis=1), 1e-6)
    unit_px = np.array([np.median(palm[clip == c]) for c in clip])
    seen = (landmarks / unit_px[:, None, None]).transpose(2, 1, 0).copy()  # [3, 21, N]
    weight = trust * _POINTS
    joined = (clip[2:] == clip[:-2]).astype(np.float64)
    stepped = (clip[1:] == clip[:-1]).astype(np.float64)

    angles = closed_form(rig, landmarks, wrist)
    thumb = matrix(angles[:, CMC])
    for c in np.unique(clip):
        thumb[clip == c] = smooth_rotation(thumb[clip == c], 0.8)
    model = HandModel(rig, source.base, source.lengths, thumb)
    unknown = np.zeros((29, len(clip)))
    unknown[:ANGLES] = angles.T
    unknown[CMC] = 0.0
    unknown[_SIZE] = np.log(palm / unit_px)
    bent, turned, scale = unknown[:ANGLES], unknown[_TURN], unknown[_SIZE]
    adam = Adam(unknown, config.rate * _RATES)
    turn_weight = 1 / np.radians(config.turn_sigma_deg) ** 2
    thumb_weight = 0.6 / np.radians(config.thumb_sigma_deg) ** 2
    jerk_weights = 0.2 / np.radians(config.jerk_sigma_deg) ** 2 * _JERKS
    force, pull = np.empty_like(seen), np.empty_like(unknown)
    for _ in range(config.iterations):
        rotation = np.exp(scale)[:, None, None] * (matrix(turned.T) @ wrist)
        arms = np.einsum("tij,jpt->ipt", rotation, model.points(bent))  # [3, 21, N]
        error = arms + unknown[_MOVE, None] - seen
        flat = np.sqrt(error[0] ** 2 + error[1] ** 2 + 1e-10)
        slope = weight * _huber_slope(flat / config.flat_sigma, 2.0) / (flat * config.flat_sigma)
        np.multiply(slope, error[:2], out=force[:2])
        deep = np.minimum(np.maximum(error[2] / (1.5 * config.depth_sigma), -1), 1)
        np.multiply(weight * (0.5 / config.depth_sigma), deep, out=force[2])

        pull[:ANGLES] = model.pull(bent, np.einsum("tij,ipt->jpt", rotation, force))
        pull[:ANGLES] += 2 * _PRIOR * (bent - _USUAL) + 2 * _LIMIT_WEIGHT * limits_pull(bent, _LOWER, _UPPER)
        pull[CMC] += thumb_weight * unknown[CMC]
        uncoupled = 2 * _COUPLING_WEIGHT * (bent[3:16:4] - _COUPLING * bent[2:16:4])
        pull[3:16:4] += uncoupled
        pull[2:16:4] -= _COUPLING * uncoupled
        pull[_TURN] = pull_rotation(turned, cross(arms, force).sum(1)) + turn_weight * turned
        pull[:25] += jerk_weights * jerk_pull(unknown[:25], joined)
        pull[_MOVE] = force.sum(1)
        pull[_SIZE] = (arms * force).sum((0, 1))
        change = 0.6 / 0.05**2 * stepped * np.diff(scale)
        pull[_SIZE, 1:] += change
        pull[_SIZE, :-1] -= change
        adam.step(pull)
    angles = bent.T.copy()
    angles[:, CMC] = rotvec(matrix(angles[:, CMC]) @ thumb)
    return angles, matrix(turned.T) @ wrist
