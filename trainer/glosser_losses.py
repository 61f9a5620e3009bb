"""What the glosser descends: cross-entropy, SAGM, their divergence, InfoNCE, R-Drop; each switchable.

Enters: a model and a batch. Leaves: scalars by name, `loss` being their weighted sum.
Does not know corpora, epochs or files.

Sources: Stable Signer (arXiv 2512.04048): L = L_SLUL + L_SAGM + L_KL + L_con; R-Drop: Liang et al. 2021.

**SAGM here.** The decoder reads the glosses before the one it predicts. On a small corpus it learns to go on
from them alone (`HEUTE` -> `NACHT`) and the source is neglected. Masking them forces it to look there.
Which ones to mask: those that tell most. A gloss g is masked with probability proportional to its
information -log2 p(g) (scaled so that the mean over the corpus is `mask_rate`, capped at 0.9): masking the
frequent `IX` or `REGION` takes little away, masking `GEWITTER` takes away what the language model would go on
from. `mask_weighting="uniform"` is the control: the same rate for every gloss.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from engine.glossing.slul_vocabulary import END, MASK, TARGET_SEAT
from engine.nn.seq2seq import PAD, Seq2Seq


@dataclass(frozen=True)
class Objective:
    """Weights of the losses (0 switches one off), and the noise they need.

    sagm: cross-entropy with masked gloss inputs; kl: divergence between masked and full predictions;
    contrast: InfoNCE between pooled encoder and decoder states; rdrop: divergence between two dropout passes.
    gloss_noise: share of gloss inputs replaced by others.
    """

    label_smoothing: float = 0.1
    sagm: float = 0.0
    kl: float = 0.0
    contrast: float = 0.0
    rdrop: float = 0.0
    mask_rate: float = 0.3
    mask_weighting: str = "semantic"
    temperature: float = 0.1
    gloss_noise: float = 0.0

    def __post_init__(self) -> None:
        if self.mask_weighting not in ("semantic", "uniform"):
            raise ValueError(
                f"Objective.mask_weighting: got {self.mask_weighting!r}, expected semantic or uniform"
            )
        for name in ("label_smoothing", "mask_rate", "gloss_noise"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"Objective.{name}: got {getattr(self, name)}, expected 0 <= {name} < 1")
        if min(self.sagm, self.kl, self.contrast, self.rdrop) < 0 or self.temperature <= 0:
            raise ValueError("Objective: a weight is negative, or the temperature is not positive")


@dataclass(frozen=True, slots=True)
class Batch:
    """source [B, S] and target [B, T] token numbers, padded with PAD; a target ends with END."""

    source: Tensor
    target: Tensor


def mask_probabilities(counts: Tensor, rate: float, weighting: str) -> Tensor:
    """Probability [V] of masking each gloss, from its count [V]; the mean over the corpus is `rate`."""
    shares = counts / counts.sum().clamp(min=1)
    if weighting == "uniform":
        return torch.where(counts > 0, rate, 0.0)
    told = torch.where(counts > 0, -torch.log2(shares.clamp(min=1e-12)), 0.0)
    mean = (shares * told).sum().clamp(min=1e-6)
    return (rate * told / mean).clamp(max=0.9)


def _divergence(left: Tensor, right: Tensor) -> Tensor:
    """Symmetric KL divergence of two sets of logits [N, V], mean over N."""
    p, q = left.log_softmax(-1), right.log_softmax(-1)
    return 0.5 * ((p.exp() - q.exp()) * (p - q)).sum(-1).mean()


def _pool(states: Tensor, kept: Tensor) -> Tensor:
    """Mean of states [B, T, D] where kept [B, T]; unit length."""
    weights = kept.to(states.dtype)[..., None]
    return functional.normalize((states * weights).sum(1) / weights.sum(1).clamp(min=1), dim=-1)


def contrastive(encoded: Tensor, decoded: Tensor, temperature: float) -> Tensor:
    """InfoNCE both ways between pooled states [B, D]: row i belongs to row i and to no other."""
    scores = encoded @ decoded.T / temperature
    own = torch.arange(len(scores), device=scores.device)
    return 0.5 * (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own))


class Criterion:
    """The objective, with the corpus figures it needs."""

    def __init__(self, objective: Objective, counts: Tensor) -> None:
        self.objective = objective
        self.mask = mask_probabilities(counts, objective.mask_rate, objective.mask_weighting)
        self.glosses = (counts > 0).nonzero().flatten()

    def __call__(self, model: Seq2Seq, batch: Batch) -> dict[str, Tensor]:
        o = self.objective
        target = batch.target
        said = torch.cat([target.new_full((len(target), 1), PAD), target[:, :-1]], 1)
        if o.gloss_noise:
            noisy = (torch.rand(said.shape, device=said.device) < o.gloss_noise) & (said >= TARGET_SEAT)
            said = torch.where(
                noisy, self.glosses[torch.randint(len(self.glosses), said.shape, device=said.device)], said
            )
        kept = target != PAD
        gold = target[kept]
        memory, bias = model.encode(batch.source)
        states = model.decode(said, memory, bias)
        full = model.logits(states[kept])
        parts = {"ce": self._cross_entropy(full, gold)}
        loss = parts["ce"]
        if o.rdrop:
            again, again_bias = model.encode(batch.source)
            other = model.logits(model.decode(said, again, again_bias)[kept])
            parts["rdrop"] = _divergence(full, other)
            loss = 0.5 * (loss + self._cross_entropy(other, gold)) + o.rdrop * parts["rdrop"]
        if o.sagm or o.kl:
            hidden = torch.rand(said.shape, device=said.device) < self.mask[said]
            masked = model.logits(model.decode(said.masked_fill(hidden, MASK), memory, bias)[kept])
            if o.sagm:
                parts["sagm"] = self._cross_entropy(masked, gold)
                loss = loss + o.sagm * parts["sagm"]
            if o.kl:
                parts["kl"] = _divergence(full, masked)
                loss = loss + o.kl * parts["kl"]
        if o.contrast:
            encoded = _pool(memory, batch.source != PAD)
            parts["contrast"] = contrastive(encoded, _pool(states, kept & (target != END)), o.temperature)
            loss = loss + o.contrast * parts["contrast"]
        return {"loss": loss, **parts}

    def _cross_entropy(self, logits: Tensor, gold: Tensor) -> Tensor:
        return functional.cross_entropy(logits, gold, label_smoothing=self.objective.label_smoothing)
