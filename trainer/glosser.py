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
from engine.glossing.slul_vocabulary import SEATS, Vocabulary
from engine.nn.seq2seq import PAD, Seq2Seq, Seq2SeqConfig
from trainer.data.phoenix import Pair
from trainer.glosser_losses import Batch, Criterion, Objective
from trainer.glosser_start import common_space
from trainer.loop import Loop, LoopConfig
from trainer.metrics.text import bleu

log = logging.getLogger(__name__)


POOL = 256
"""Batches' worth of sentences among which those of like length meet. At 32 a seventh of all positions was
padding, at 256 it is a twentieth; sentences still meet others in every epoch."""


@dataclass(frozen=True)
class GlosserConfig:
    """One training of a glosser. Shares and dropouts are probabilities; a batch is a number of sentences.

    pieces: source subwords. least: a gloss rarer than this is unknown. subword_dropout: BPE-dropout.
    word_dropout: share of source words left out while training. name_share: share of sentences in which a
    word that is alike on both sides takes a name seat. prefix_share: share of sentences cut short on both
    sides, for streaming. head_start: embeddings start from latent semantic analysis of the pairs.
    calm_epochs: epochs with little noise (`calm`) before those of `loop`; 0: none.
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
    subword_dropout: float = 0.1
    word_dropout: float = 0.0
    name_share: float = 0.05
    prefix_share: float = 0.0
    head_start: bool = True
    calm_epochs: int = 12
    objective: Objective = field(default_factory=Objective)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(epochs=20, evaluate_every=4, learning_rate=6e-4, warmup_steps=300)
    )

    def __post_init__(self) -> None:
        for name in ("subword_dropout", "word_dropout", "name_share", "prefix_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"GlosserConfig.{name}: got {getattr(self, name)}, expected 0 <= {name} < 1")
        if self.batch < 1 or self.least < 1:
            raise ValueError(f"GlosserConfig: got batch={self.batch}, least={self.least}; expected >= 1")
        if self.calm_epochs < 0:
            raise ValueError(f"GlosserConfig.calm_epochs: got {self.calm_epochs}, expected >= 0")

    def calm(self) -> GlosserConfig:
        """The training that comes first: with full noise from the start, twice the epochs are needed."""
        loop = dataclasses.replace(
            self.loop, epochs=self.calm_epochs, learning_rate=1e-3, warmup_steps=400, average=0.997
        )
        return dataclasses.replace(
            self, dropout=min(self.dropout, 0.15), subword_dropout=0.0, calm_epochs=0, loop=loop
        )


def pad(rows: Sequence[Sequence[int]]) -> Tensor:
    """Token numbers [B, longest], padded at the end."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])


def gloss_form(word: str) -> str:
    """How a word would be written as a gloss: upper case, umlauts resolved."""
    return word.upper().replace("Ä", "AE").replace("Ö", "OE").replace("Ü", "UE").replace("ß", "SS")


class GlosserTask:
    """The glosser's side of the training loop."""

    def __init__(
        self, train: Sequence[Pair], dev: Sequence[Pair], config: GlosserConfig, device: str = "cpu"
    ) -> None:
        if not train:
            raise ValueError("glosser: got no training pairs, expected at least one")
        self.train = [p for p in train if p.words and p.glosses]
        self.dev = list(dev)
        self.device = device
        self.config = c = config
        torch.manual_seed(c.loop.seed)
        self.vocabulary = Vocabulary.learn(
            ((p.language, p.words, p.glosses) for p in self.train), c.pieces, c.least
        )
        v = self.vocabulary
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
        rows = [self._row(pair, rng) for pair in self.train]
        rng.shuffle(rows)
        size, pool = self.config.batch, self.config.batch * POOL
        batches = []
        for start in range(0, len(rows), pool):
            part = sorted(rows[start : start + pool], key=lambda row: (len(row[0]) // 2, len(row[1])))
            batches += [part[at : at + size] for at in range(0, len(part), size)]
        rng.shuffle(batches)
        return [Batch(pad([s for s, _ in part]), pad([t for _, t in part])) for part in batches]

    def _row(self, pair: Pair, rng: random.Random) -> tuple[Sequence[int], Sequence[int]]:
        c = self.config
        words, glosses = list(pair.words), list(pair.glosses)
        cut_short = rng.random() < c.prefix_share
        if cut_short:
            share = rng.uniform(0.2, 1.0)
            words = words[: max(1, round(share * len(words)))]
            glosses = glosses[: max(1, round(share * len(glosses)))]
        names: list[int] = []
        seats: dict[str, int] = {}
        if rng.random() < c.name_share:
            alike = [
                i for i, word in enumerate(words) if glosses.count(gloss_form(word)) == words.count(word) == 1
            ]
            names = sorted(rng.sample(alike, min(len(alike), rng.randint(1, SEATS))))
            seats = {gloss_form(words[place]): seat for seat, place in enumerate(names)}
        if c.word_dropout:
            kept = [i for i in range(len(words)) if i in names or rng.random() >= c.word_dropout]
            words, names = [words[i] for i in kept], [kept.index(i) for i in names]
        source = self.vocabulary.source(words, pair.language, names=names, dropout=c.subword_dropout, rng=rng)
        target = self.vocabulary.target(glosses, seats)
        return source.tokens, target[:-1] if cut_short else target

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


def train(
    pairs: Sequence[Pair],
    dev: Sequence[Pair],
    config: GlosserConfig,
    folder: Path,
    device: str = "cpu",
    start: Path | None = None,
) -> SlulModel:
    """Train one model into `folder`, resuming what it holds. Returns the averaged model.

    start: a model whose weights are gone on from; else `calm_epochs` come first, in the folder `calm` beside
    the model. Raises ValueError where the start's words are not these pairs'.
    """
    if start is None and config.calm_epochs:
        start = folder / "calm"
        train(pairs, dev, config.calm(), start, device)
    if start is not None:
        config = dataclasses.replace(config, head_start=False)  # its embeddings have learned already
    task = GlosserTask(pairs, dev, config, device)
    if start is not None:
        before = SlulModel.open(start)
        if before.vocabulary.to_json() != task.vocabulary.to_json():
            raise ValueError(f"{start}: its vocabulary is not that of these pairs and settings; start afresh")
        task.model.load_state_dict(before.weights())
    loop = Loop(task, config.loop, folder)
    parameters = sum(p.numel() for p in task.model.parameters())
    log.info("glosser: %d pairs, %.2f M parameters, %s", len(task.train), parameters / 1e6, folder)
    figures = loop.run()
    slul = task.slul(loop.averaged)
    slul.save(folder, training=dataclasses.asdict(config), figures=figures)
    return slul
