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

from engine.retarget.geometry import Array, Index, cross, matrix, rotvec, smooth_rotation, unturn
from engine.retarget.hand import CMC, LOWER, UPPER, HandRig, closed_form
from engine.retarget.model import Adam, HandModel, pull_rotation
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


_USUAL = np.radians(np.array([10.0, 0, 15, 10] * 4 + [0] * 3 + [15, 0, 15]))
_SIGMA = np.radians(np.array([60.0, 10, 60, 35] * 4 + [60] * 3 + [30, 10, 35]))
_PRIOR = np.array([0.15] * 16 + [0.0] * 3 + [0.2] * 3) / _SIGMA**2
_COUPLING = 0.65
_COUPLING_WEIGHT = 0.3 / np.radians(25.0) ** 2
_LIMIT_WEIGHT = 50.0
_POINTS = np.ones((1, 21))
_POINTS[0, [0, 4, 8, 12, 16, 20]] = 1.5


def limits_pull(angles: Array, lower: Array = LOWER, upper: Array = UPPER) -> Array:
    """Gradient of the squared excess over the joint limits."""
    return np.asarray(2 * (np.maximum(angles - upper, 0) - np.maximum(lower - angles, 0)))


def jerk_pull(track: Array, joined: Array) -> Array:
    """Gradient of the squared second differences of [T, N], where `joined` [T-2] says three frames belong."""
    out = np.zeros_like(track)
    if len(track) > 2:
        second = 2 * joined[:, None] * (track[2:] - 2 * track[1:-1] + track[:-2])
        out[2:] += second
        out[1:-1] -= 2 * second
        out[:-2] += second
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
    seen = landmarks / unit_px[:, None, None]
    weight = trust[:, None] * _POINTS
    joined = (clip[2:] == clip[:-2]).astype(np.float64)
    stepped = (clip[1:] == clip[:-1]).astype(np.float64)

    angles = closed_form(rig, landmarks, wrist)
    thumb = matrix(angles[:, CMC])
    for c in np.unique(clip):
        thumb[clip == c] = smooth_rotation(thumb[clip == c], 0.8)
    angles[:, CMC] = 0.0
    model = HandModel(rig, source.base, source.lengths, thumb)
    turned, moved = np.zeros((len(seen), 3)), np.zeros((len(seen), 3))
    scale = np.log(palm / unit_px)
    steps = (Adam(angles, config.rate), Adam(turned, config.rate * 0.4), Adam(moved, config.rate * 0.4))
    scale_step = Adam(scale, config.rate * 0.2)
    turn_weight = 1 / np.radians(config.turn_sigma_deg) ** 2
    thumb_weight = 0.6 / np.radians(config.thumb_sigma_deg) ** 2
    jerk_weight = 0.2 / np.radians(config.jerk_sigma_deg) ** 2
    for _ in range(config.iterations):
        rotation = matrix(turned) @ wrist
        size = np.exp(scale)
        arms = size[:, None, None] * (model.points(angles) @ np.swapaxes(rotation, 1, 2))  # [N, 21, 3]
        error = arms + moved[:, None] - seen
        flat = np.sqrt((error[..., :2] ** 2).sum(-1) + 1e-10)
        force = np.empty_like(error)
        slope = weight * _huber_slope(flat / config.flat_sigma, 2.0) / (flat * config.flat_sigma)
        force[..., :2] = slope[..., None] * error[..., :2]
        deep = np.clip(error[..., 2] / (1.5 * config.depth_sigma), -1, 1)
        force[..., 2] = 0.5 * weight * deep / config.depth_sigma

        pull = model.pull(angles, size[:, None, None] * (force @ rotation))
        pull += 2 * _PRIOR * (angles - _USUAL) + _LIMIT_WEIGHT * limits_pull(angles)
        pull += jerk_weight * jerk_pull(angles, joined)
        pull[:, CMC] += thumb_weight * angles[:, CMC]
        uncoupled = 2 * _COUPLING_WEIGHT * (angles[:, 3:16:4] - _COUPLING * angles[:, 2:16:4])
        pull[:, 3:16:4] += uncoupled
        pull[:, 2:16:4] -= _COUPLING * uncoupled
        turn_pull = pull_rotation(turned, cross(arms, force).sum(1))
        turn_pull += turn_weight * turned + 2.25 * jerk_weight * jerk_pull(turned, joined)
        scale_pull = (arms * force).sum((1, 2))
        change = 0.6 / 0.05**2 * stepped * np.diff(scale)
        scale_pull[1:] += change
        scale_pull[:-1] -= change

        for step, gradient in zip(steps, (pull, turn_pull, force.sum(1)), strict=True):
            step.step(gradient)
        scale_step.step(scale_pull)
    angles[:, CMC] = rotvec(matrix(angles[:, CMC]) @ thumb)
    return angles, matrix(turned) @ wrist
