"""Trains the glosser: pairs of sentences in, a `SlulModel` folder out.

Enters: training and development pairs, a `GlosserConfig`. Leaves: a task for `trainer.loop`, and the model.
Does not know files of corpora (see `trainer.data`) or command lines.
"""

from __future__ import annotations

import dataclasses
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from engine.glossing.slul_model import SlulModel
from engine.glossing.slul_vocabulary import Vocabulary
from engine.nn.seq2seq import PAD, Seq2Seq, Seq2SeqConfig
from trainer.data.phoenix import Pair
from trainer.glosser_losses import Batch, Criterion, Objective
from trainer.glosser_noise import Noise, NoiseConfig
from trainer.glosser_start import common_space
from trainer.loop import Loop, LoopConfig
from trainer.metrics.text import bleu

log = logging.getLogger(__name__)


POOL = 256
"""Batches' worth of sentences among which those of like length meet. At 32 a seventh of all positions was
padding, at 256 it is a twentieth; sentences still meet others in every epoch."""


LEAST_KNOWN = 0.95
"""Share of a corpus's glosses that a model must know to be gone on from with it."""


@dataclass(frozen=True)
class GlosserConfig:
    """One training of a glosser. Shares and dropouts are probabilities; a batch is a number of sentences.

    pieces: source subwords. least: a gloss rarer than this is unknown. noise: see `glosser_noise`.
    head_start: embeddings start from latent semantic analysis of the pairs. calm_epochs: epochs with little
    noise (`calm`) before those of `loop`; 0: none.
    """

    pieces: int = 1500
    least: int = 2
    width: int = 192
    heads: int = 4
    encoder_layers: int = 2
    decoder_layers: int = 2
    inner: int = 512
    dropout: float = 0.2
    batch: int = 16
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    head_start: bool = True
    calm_epochs: int = 12
    objective: Objective = field(default_factory=Objective)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(epochs=20, evaluate_every=4, learning_rate=6e-4, warmup_steps=300)
    )

    def __post_init__(self) -> None:
        if self.batch < 1 or self.least < 1:
            raise ValueError(f"GlosserConfig: got batch={self.batch}, least={self.least}; expected >= 1")
        if self.calm_epochs < 0:
            raise ValueError(f"GlosserConfig.calm_epochs: got {self.calm_epochs}, expected >= 0")

    def calm(self) -> GlosserConfig:
        """The training that comes first: with full noise from the start, twice the epochs are needed."""
        loop = dataclasses.replace(
            self.loop, epochs=self.calm_epochs, learning_rate=1e-3, warmup_steps=400, average=0.997
        )
        noise = dataclasses.replace(self.noise, subword_dropout=0.0)
        return dataclasses.replace(
            self, dropout=min(self.dropout, 0.15), noise=noise, calm_epochs=0, loop=loop
        )

    def distilling(self, teachers: int) -> GlosserConfig:
        """The training that comes last, on what N models say too: shorter, as there is more text."""
        epochs = max(1, round(0.6 * self.loop.epochs))
        loop = dataclasses.replace(
            self.loop, epochs=epochs, learning_rate=5e-4, evaluate_every=3, seed=self.loop.seed + 2 * teachers
        )
        return dataclasses.replace(self, calm_epochs=0, loop=loop)


def pad(rows: Sequence[Sequence[int]]) -> Tensor:
    """Token numbers [B, longest], padded at the end."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])


class GlosserTask:
    """The glosser's side of the training loop."""

    def __init__(
        self,
        train: Sequence[Pair],
        dev: Sequence[Pair],
        config: GlosserConfig,
        device: str = "cpu",
        vocabulary: Vocabulary | None = None,
    ) -> None:
        """vocabulary: to go on with; None: learned from `train`."""
        if not train:
            raise ValueError("glosser: got no training pairs, expected at least one")
        self.train = [p for p in train if p.words and p.glosses]
        self.dev = list(dev)
        self.device = device
        self.config = c = config
        torch.manual_seed(c.loop.seed)
        v = vocabulary or _vocabulary(self.train, c)
        self.vocabulary = v
        self.noise = Noise(c.noise, v)
        sizes = (c.width, c.heads, c.encoder_layers, c.decoder_layers, c.inner, c.dropout)
        self.model = Seq2Seq(Seq2SeqConfig(len(v.sources), len(v.targets), *sizes))
        rows = [(v.source(p.words, p.language).tokens[1:-1], v.target(p.glosses)[:-1]) for p in self.train]
        if c.head_start:
            self._start(rows)
        counts = torch.bincount(torch.tensor([t for _, said in rows for t in said]), minlength=len(v.targets))
        self.model.to(device)
        self.criterion = Criterion(c.objective, counts.float().to(device))

    def _start(self, rows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> None:
        """Move embeddings to where the corpus suggests, keeping a third of their random start."""
        tables = (self.model.source.weight, self.model.target.weight)
        spaces = common_space(rows, len(tables[0]), len(tables[1]), self.config.width)
        with torch.no_grad():
            for table, space in zip(tables, spaces, strict=True):
                known = space.norm(dim=1, keepdim=True) > 0.5
                table.mul_(torch.where(known, 0.3, 1.0)).add_(space)

    def batches(self, epoch: int) -> Sequence[Batch]:
        """Sentences of like length together, in an order and with noise drawn from the seed and the epoch."""
        rng = random.Random(f"{self.config.loop.seed}/{epoch}")
        rows = [self.noise.row(pair, rng) for pair in self.train]
        rng.shuffle(rows)
        size, pool = self.config.batch, self.config.batch * POOL
        batches = []
        for start in range(0, len(rows), pool):
            part = sorted(rows[start : start + pool], key=lambda row: (len(row[0]) // 2, len(row[1])))
            batches += [part[at : at + size] for at in range(0, len(part), size)]
        rng.shuffle(batches)
        return [Batch(pad([s for s, _ in part]), pad([t for _, t in part])) for part in batches]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of one batch (see `glosser_losses`)."""
        return self.criterion(self.model, Batch(batch.source.to(self.device), batch.target.to(self.device)))

    def evaluate(self, model: Seq2Seq) -> dict[str, float]:
        """Greedy BLEU-4 on the development pairs."""
        if not self.dev:
            return {}
        said = self.slul(model).gloss([" ".join(p.words) for p in self.dev], self.dev[0].language, beam=1)
        return {
            "dev_bleu4_greedy": bleu([" ".join(g) for g in said], [" ".join(p.glosses) for p in self.dev])
        }

    def slul(self, model: Seq2Seq) -> SlulModel:
        """The model with its vocabulary, ready to gloss or to save."""
        return SlulModel(model.eval(), self.vocabulary, self.device)


def _vocabulary(pairs: Sequence[Pair], config: GlosserConfig) -> Vocabulary:
    triples = ((p.language, p.words, p.glosses) for p in pairs)
    return Vocabulary.learn(triples, config.pieces, config.least)


def _known(vocabulary: Vocabulary, pairs: Sequence[Pair]) -> float:
    """Which share of the pairs' glosses the vocabulary holds; 0 where it lacks their language."""
    if not {pair.language for pair in pairs} <= set(vocabulary.languages):
        return 0.0
    held = set(vocabulary.targets)
    glosses = [gloss for pair in pairs for gloss in pair.glosses]
    return sum(gloss in held for gloss in glosses) / max(1, len(glosses))


def train(
    pairs: Sequence[Pair],
    dev: Sequence[Pair],
    config: GlosserConfig,
    folder: Path,
    device: str = "cpu",
    start: Path | None = None,
    further: Sequence[Pair] = (),
) -> SlulModel:
    """Train one model into `folder`, resuming what it holds. Returns the averaged model.

    start: a model whose weights and vocabulary are gone on from; else `calm_epochs` come first, in the folder
    `calm` beside the model. further: pairs that models made, learned from beside the others, after the calm
    epochs; the vocabulary is that of `pairs`. Raises ValueError where the start does not know these pairs.
    """
    if start is None and config.calm_epochs:
        start = folder / "calm"
        train(pairs, dev, config.calm(), start, device)
    vocabulary = _vocabulary(pairs, config)
    if start is not None:
        config = dataclasses.replace(config, head_start=False)  # its embeddings have learned already
        before = SlulModel.open(start)
        vocabulary = before.vocabulary
        if (known := _known(vocabulary, pairs)) < LEAST_KNOWN:
            raise ValueError(
                f"{start}: knows {known:.0%} of the glosses of these pairs, expected {LEAST_KNOWN:.0%}; "
                "was it trained on another corpus or language? Start afresh, without --start"
            )
    task = GlosserTask([*pairs, *further], dev, config, device, vocabulary)
    if start is not None:
        task.model.load_state_dict(before.weights())
    loop = Loop(task, config.loop, folder)
    parameters = sum(p.numel() for p in task.model.parameters())
    log.info("glosser: %d pairs, %.2f M parameters, %s", len(task.train), parameters / 1e6, folder)
    figures = loop.run()
    slul = task.slul(loop.averaged)
    slul.save(folder, training=dataclasses.asdict(config), figures=figures)
    return slul
