"""Noise to a picture in few steps, or many: pure functions of (model, noise, sigmas).

Enters: a function v(x, sigma), noise, falling sigmas. Leaves: a picture -1..1. Does not know what the model
is told besides. Variance is kept: x = alpha * picture + sigma * noise, alpha^2 + sigma^2 = 1. The first sigma
is 1: no signal is left there (zero terminal SNR, Lin et al. 2024), as in training.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Predict = Callable[[Tensor, Tensor], Tensor]
"""x [B, 3, S, S], sigma [B] -> v [B, 3, S, S]."""


def schedule(steps: int) -> tuple[float, ...]:
    """So many sigmas from 1 down, even in angle (a cosine schedule). The last one leads to 0."""
    if steps < 1:
        raise ValueError(f"schedule: got {steps} steps, expected at least one")
    return tuple(math.sin(math.pi / 2 * (steps - n) / steps) for n in range(steps))


def noised(picture: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """sigma [B]"""
    s = sigma[:, None, None, None]
    return (1 - s * s).clamp(min=0).sqrt() * picture + s * noise


def velocity(picture: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """What the model should say: v = alpha * noise - sigma * picture."""
    s = sigma[:, None, None, None]
    return (1 - s * s).clamp(min=0).sqrt() * noise - s * picture


def cleaned(x: Tensor, v: Tensor, sigma: Tensor) -> Tensor:
    """The picture that x would be without its noise: alpha * x - sigma * v."""
    s = sigma[:, None, None, None]
    return (1 - s * s).clamp(min=0).sqrt() * x - s * v


def ddim_step(x: Tensor, v: Tensor, noise: Tensor, sigma: Tensor, following: Tensor) -> Tensor:
    """One step of the teacher's sampler: the model's own noise is kept. sigma, following [B]; at following 0
    this is the picture."""
    s = sigma[:, None, None, None]
    left = (1 - s * s).clamp(min=0).sqrt() * v + s * x
    return noised(cleaned(x, v, sigma), left, following)


def few_step_step(x: Tensor, v: Tensor, noise: Tensor, sigma: Tensor, following: Tensor) -> Tensor:
    """One step of the student's sampler: the first noise is mixed in again."""
    return noised(cleaned(x, v, sigma), noise, following)


Step = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
STEPS: dict[str, Step] = {"teacher": ddim_step, "student": few_step_step}


def ddim(predict: Predict, noise: Tensor, sigmas: Sequence[float]) -> Tensor:
    """The teacher's sampler (Song et al. 2021, eta 0): follow the model's own noise downwards."""
    return _walk(ddim_step, predict, noise, sigmas)


def few_step(predict: Predict, noise: Tensor, sigmas: Sequence[float]) -> Tensor:
    """The student's sampler (consistency models, Song et al. 2023): guess the picture, mix the same noise in
    again, guess anew. One noise for all steps and frames: less to flicker."""
    return _walk(few_step_step, predict, noise, sigmas)


def _walk(step: Step, predict: Predict, noise: Tensor, sigmas: Sequence[float]) -> Tensor:
    x = noise
    for sigma, following in pairs(sigmas):
        now, then = (torch.full((len(x),), s, dtype=x.dtype, device=x.device) for s in (sigma, following))
        x = step(x, predict(x, now), noise, now, then)
    return x


def pairs(sigmas: Sequence[float]) -> list[tuple[float, float]]:
    """Each sigma with the one after it, the last with 0. Raises ValueError where they do not fall."""
    if not sigmas or sigmas[0] != 1.0 or any(a <= b for a, b in itertools.pairwise((*sigmas, 0.0))):
        raise ValueError(
            f"sigmas: got {tuple(round(s, 4) for s in sigmas)}, expected falling numbers from 1 to above 0; "
            "`schedule(steps)` makes them"
        )
    return list(itertools.pairwise((*sigmas, 0.0)))
