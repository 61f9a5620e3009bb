"""Several models that decode as one: the mean of their probabilities chooses each token.

Enters: models of one vocabulary. Leaves: what `engine.nn.decoding` asks of a model.
Does not know sentences. For teaching and measuring: at run time one distilled model serves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.glossing.slul_model import SlulModel
from engine.nn.decoding import Stepper


@dataclass
class EnsembleState:
    """The states of all models."""

    states: list[Any]

    @property
    def looked(self) -> Tensor | None:
        """Where the models looked, on average [B, S]; None where nobody watches."""
        seen = [state.looked for state in self.states if state.looked is not None]
        return torch.stack(seen).mean(0) if seen else None

    def reorder(self, rows: Tensor, *, same_source: bool = False) -> None:
        """See `DecoderState.reorder`."""
        for state in self.states:
            state.reorder(rows, same_source=same_source)


class Ensemble:
    """Models side by side."""

    def __init__(self, models: Sequence[Stepper[Any]]) -> None:
        self.models = list(models)
        self.config = self.models[0].config

    def open(self, source: Tensor, capacity: int, copies: int = 1, watch: bool = False) -> EnsembleState:
        """See `Seq2Seq.open`."""
        return EnsembleState([model.open(source, capacity, copies, watch) for model in self.models])

    def step(self, tokens: Tensor, state: EnsembleState) -> Tensor:
        """Logarithm of the mean probability of each next token [B, V]."""
        told = [m.step(tokens, s).log_softmax(-1) for m, s in zip(self.models, state.states, strict=True)]
        return torch.stack(told).logsumexp(0) - math.log(len(told))


def open_models(folders: Sequence[Path]) -> SlulModel:
    """One model, or several as one. Raises ValueError where their vocabularies differ."""
    opened = [SlulModel.open(folder) for folder in folders]
    first = opened[0]
    for folder, other in zip(folders, opened, strict=True):
        if other.vocabulary.to_json() != first.vocabulary.to_json():
            raise ValueError(
                f"{folder}: its vocabulary differs from {folders[0]}'s; train both on the same pairs"
            )
    if len(opened) == 1:
        return first
    return SlulModel(Ensemble([one.stepper for one in opened]), first.vocabulary)
