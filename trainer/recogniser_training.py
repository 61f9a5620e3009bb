"""Trains the recogniser on composed recordings, with noise, speed, place and turn varied.

Enters: sequences of several languages. Leaves: a task for `trainer.loop`. Does not know command lines.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from engine.rotations import matrix_from_rotvec
from engine.signals import FloatArray
from trainer.data.sequences import MotionSequence
from trainer.loop import LoopConfig
from trainer.metrics.text import word_error_rate
from trainer.recogniser import Network, Recogniser, RecogniserConfig
from trainer.recogniser_features import PER_HAND, features, resampled
from trainer.recogniser_search import greedy


@dataclass(frozen=True)
class RecogniserTraining:
    """One training. batch: clips. noise: of features, in their units; smooth_noise: the same, slow. offset:
    of the wrist's place, in shoulder widths. turn: of the wrist, in radians. slower, faster: clips are
    resampled by a factor in between. hide: share of clips in which a few frames are hidden.
    """

    batch: int = 16
    noise: float = 0.03
    smooth_noise: float = 0.05
    offset: float = 0.15
    turn: float = 0.15
    slower: float = 0.7
    faster: float = 1.3
    hide: float = 0.3
    model: RecogniserConfig = field(default_factory=RecogniserConfig)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            epochs=10, learning_rate=3e-3, warmup_steps=100, schedule="cosine", average=0.995
        )
    )

    def __post_init__(self) -> None:
        if self.batch < 1 or not 0 < self.slower <= self.faster:
            raise ValueError(
                f"RecogniserTraining: got batch={self.batch}, slower={self.slower}, faster={self.faster}; "
                "expected "
                "batch >= 1 and 0 < slower <= faster"
            )


@dataclass(frozen=True, eq=False)
class Example:
    """One clip: features [T, FEATURES], its language and glosses."""

    seen: FloatArray
    language: str
    glosses: tuple[str, ...]


def example(sequence: MotionSequence) -> Example:
    return Example(features(sequence.motion), sequence.language, sequence.glosses)


def examples(sequences: Iterable[MotionSequence], what: str) -> list[Example]:
    """Features of all sequences, kept in memory (about 0.5 kB a frame)."""
    return [example(s) for s in tqdm(sequences, desc=what, unit="clip", disable=None)]


class RecogniserTask:
    """The recogniser's side of the training loop."""

    model: Network

    def __init__(self, train: Sequence[Example], dev: Sequence[Example], config: RecogniserTraining) -> None:
        if not train:
            raise ValueError("recogniser: got no training clips, expected at least one")
        self.train, self.dev, self.config = train, dev, config
        torch.manual_seed(config.loop.seed)
        labels: dict[str, set[str]] = {}
        for item in train:
            labels.setdefault(item.language, set()).update(item.glosses)
        self.recogniser = Recogniser.new(config.model, {k: sorted(v) for k, v in sorted(labels.items())})
        self.model = self.recogniser.network
        every = np.concatenate([item.seen for item in train[:: max(1, len(train) // 500)]])
        with torch.no_grad():
            self.model.mean.copy_(torch.from_numpy(every.mean(0)))
            self.model.scale.copy_(torch.from_numpy(every.std(0) + 0.05))

    def batches(self, epoch: int) -> list[list[tuple[Example, int]]]:
        """Clips of like length together, each with the seed of its noise."""
        rng = random.Random(f"{self.config.loop.seed}/{epoch}")
        order = list(self.train)
        rng.shuffle(order)
        size, batches = self.config.batch, []
        for start in range(0, len(order), size * 16):
            pool = sorted(order[start : start + size * 16], key=lambda item: len(item.seen))
            batches += [pool[at : at + size] for at in range(0, len(pool), size)]
        rng.shuffle(batches)
        return [[(item, rng.getrandbits(32)) for item in batch] for batch in batches]

    def loss(self, batch: Sequence[tuple[Example, int]]) -> dict[str, Tensor]:
        seen = [self._varied(item, np.random.default_rng(seed)) for item, seed in batch]
        tokens = [self.recogniser.encode(item.glosses, item.language) for item, _ in batch]
        x, lengths, allowed = padded(seen, [item.language for item, _ in batch], self.recogniser)
        scores = self.model(x, lengths, allowed)
        loss = functional.ctc_loss(
            scores.transpose(0, 1),
            torch.tensor([t for row in tokens for t in row]),
            lengths,
            torch.tensor([len(row) for row in tokens]),
            zero_infinity=True,
        )
        return {"loss": loss}

    def _varied(self, item: Example, rng: np.random.Generator) -> FloatArray:
        c = self.config
        needed = 2 * len(item.glosses) + 1
        speed = min(rng.uniform(c.slower, c.faster), max(len(item.seen) / needed, c.slower))
        seen = resampled(item.seen, speed).copy()
        frames = len(seen)
        for first in (0, PER_HAND):
            turn = matrix_from_rotvec(rng.normal(0, c.turn, 3).astype(np.float32))
            turned = seen[:, first + 60 : first + 66].reshape(frames, 3, 2)
            seen[:, first + 60 : first + 66] = (turn @ turned).reshape(frames, 6)
            seen[:, first + 66 : first + 68] += rng.normal(0, c.offset, 2).astype(np.float32)
        seen += rng.normal(0, c.noise, seen.shape).astype(np.float32)
        knots = rng.normal(0, c.smooth_noise, (frames // 8 + 2, seen.shape[1])).astype(np.float32)
        seen += resampled(knots, (len(knots) - 1) / max(frames, 1))[:frames]
        if rng.random() < c.hide:
            start = int(rng.integers(0, frames))
            seen[start : start + int(rng.integers(1, 4))] = seen[max(start - 1, 0)]
        return seen

    def evaluate(self, model: Network) -> dict[str, float]:
        """Letter error in per cent on the development clips, as they are."""
        if not self.dev:
            return {}
        judge = Recogniser(model, self.config.model, self.recogniser.glosses)
        return {"dev_letter_error": letter_error(judge, self.dev)}


def padded(
    seen: Sequence[FloatArray], languages: Sequence[str], recogniser: Recogniser
) -> tuple[Tensor, Tensor, Tensor]:
    """Features [B, longest, FEATURES], lengths [B], allowed tokens [B, tokens]."""
    x = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(s) for s in seen], batch_first=True)
    allowed = torch.stack([recogniser.allowed(language) for language in languages])
    return x, torch.tensor([len(s) for s in seen]), allowed


def letter_error(recogniser: Recogniser, clips: Sequence[Example]) -> float:
    """Greedy: edits per hundred reference glosses."""
    said = [recogniser.decode(greedy(recogniser.log_probabilities(c.seen, c.language))) for c in clips]
    return word_error_rate([" ".join(s) for s in said], [" ".join(c.glosses) for c in clips])
