"""What a video model is to learn from a batch: eq. 11's L_rec + lambda L_adv, hands first.

Enters: a denoiser, `Examples`, numbers. Leaves: losses by name. Does not know optimisers.

L_rec is the error of v, weighted by min-SNR (gamma 5) and by where the hands are. For v the weight of Hang et
al. 2023 is (min(snr, gamma)) / (snr + 1), which is 0 at zero terminal SNR: the first step of every sampler
would never be learned. So, as in diffusers, one is added to the SNR first: min(snr + 1, gamma) / (snr + 1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from renderer.diffusion.denoiser import Denoiser
from renderer.diffusion.samplers import Predict, few_step, schedule
from trainer.renderer.footage import Examples
from trainer.renderer.styles import restyled

ROLLOUT_STEPS = 2


def styled(examples: Examples) -> tuple[Tensor, Tensor, Tensor]:
    """Picture, the one before and the one before that, in the example's style."""
    names = examples.names
    return (
        restyled(examples.pictures, names),
        restyled(examples.previous, names),
        restyled(examples.before, names),
    )


def predictor(
    denoiser: Denoiser, examples: Examples, previous: Tensor, known: Tensor, maps: Tensor | None = None
) -> Predict:
    """The denoiser told everything of the examples but noise."""
    pose = denoiser.pose(examples.maps if maps is None else maps)
    reference = denoiser.open(examples.reference, examples.reference_maps)

    def predict(x: Tensor, sigma: Tensor) -> Tensor:
        out: Tensor = denoiser(x, sigma, previous, known, examples.style, pose, reference)
        return out

    return predict


def own_previous(
    denoiser: Denoiser,
    examples: Examples,
    previous: Tensor,
    before: Tensor,
    blur: float = 0.0,
) -> Tensor:
    """The previous picture as it will be when served: in a rollout as the model itself would have drawn it,
    no gradient; else the true one. Each with up to `blur` noise (as Ho et al. 2022 for cascades)."""
    if examples.rollout:
        with torch.no_grad():
            predict = predictor(denoiser, examples, before, examples.known_before, examples.previous_maps)
            noise = torch.randn_like(previous)
            previous = few_step(predict, noise, schedule(ROLLOUT_STEPS)).clamp(-1, 1)
    if not blur:
        return previous
    much = blur * torch.rand(len(previous), 1, 1, 1, device=previous.device)
    return previous + much * torch.randn_like(previous)


def noise_levels(count: int, device: torch.device | str, terminal: float) -> Tensor:
    """Sigmas [count]: even in angle, a share `terminal` of them 1, where every picture served begins."""
    sigma = torch.sin(math.pi / 2 * torch.rand(count, device=device))
    return torch.where(torch.rand(count, device=device) < terminal, torch.ones_like(sigma), sigma)


def snr_weight(sigma: Tensor, gamma: float) -> Tensor:
    """min-SNR weight [B] of the error of v; 1 at sigma 1."""
    plus_one = 1 / sigma.square().clamp(min=1e-4)  # snr + 1, as alpha^2 + sigma^2 = 1
    return plus_one.clamp(max=gamma) / plus_one


def hand_weight(hands: Tensor, size: int, strength: float) -> Tensor:
    """[B, 1, size, size]: 1 + strength in the middle of a hand, 1 away from both; the mean is kept at 1."""
    line = torch.arange(size, device=hands.device) + 0.5
    x, y = line[None, None, None, :], line[None, None, :, None]
    at_x, at_y, reach = (hands[..., n, None, None] for n in range(3))
    away = ((x - at_x).square() + (y - at_y).square()) / (1.2 * reach.clamp(min=1)).square()
    weight = 1 + strength * torch.exp(-away.square()).amax(1, keepdim=True)
    return weight / weight.mean((2, 3), keepdim=True)
