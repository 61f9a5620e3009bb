"""What the corrector descends: the modalities' errors, weighted by learned numbers that are kept honest.

Enters: squared errors of the three modalities. Leaves: one loss, and the weights as they are. Does not know
motion.

`paper` is SignAligner's form (arXiv 2506.11621, equations 8-9): softmax(alpha, beta, gamma) weighs the
errors. Descending it moves all weight to whichever error is smallest: the cheapest way to lower a weighted
mean is to look away from the rest. The guarded forms keep it from that:

    entropy      plus strength * (mean error) * sum(w log w): at rest w_m is proportional to
                 exp(-error_m / (strength * mean error)), which never vanishes
    uncertainty  sum(exp(-s_m) * error_m + s_m) / 2 (Kendall et al. 2018): looking away costs its log term;
                 at rest a modality's weight is one over its error, so each counts by how much is left of it
    equal        nothing is learned
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.features import MODALITIES

FORMS = ("paper", "entropy", "uncertainty", "equal")


class Weighting(nn.Module):
    """alpha, beta, gamma (or s), learned beside the corrector."""

    def __init__(self, form: str, strength: float, haste: float) -> None:
        super().__init__()
        if form not in FORMS:
            raise ValueError(f"weighting: got {form!r}, expected one of {', '.join(FORMS)}")
        self.form, self.strength, self.haste = form, strength, haste
        self.numbers = nn.Parameter(torch.zeros(len(MODALITIES)))

    def weights(self) -> Tensor:
        """The share of each modality [3]; they add up to 1."""
        if self.form == "equal":
            return torch.full_like(self.numbers, 1 / len(MODALITIES))
        sign = -1 if self.form == "uncertainty" else 1
        return (sign * self.haste * self.numbers).softmax(0)

    def forward(self, errors: Tensor) -> Tensor:
        """Errors [3] -> the loss, a scalar."""
        if self.form == "uncertainty":
            logs = self.haste * self.numbers
            return ((-logs).exp() * errors + logs).sum() / 2
        weights = self.weights()
        loss = (weights * errors).sum()
        if self.form == "entropy":
            loss = loss + self.strength * errors.mean().detach() * (weights * weights.log()).sum()
        return loss
