"""Trains the joint generator: motion sequences in, a `CogenerationModel` folder out.

Enters: a `SequenceStore`, a `CogenerationTraining`. Leaves: a task for `trainer.loop`, and the model.
Does not know files of corpora (see `trainer.data`) or command lines.

Against drift the decoder learns from its own mistakes: in a growing share of batches it is fed the frames
that it made itself, running free from the first frame of the crop (self-forcing), and asked for the true
next frame all the same. In the other batches what it is fed is disturbed. Times are the true ones while
learning: that is what the frames are aligned with. Everything that is measured runs on generated time.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine.choreography.cogeneration_model import CogenerationModel
from engine.nn.cogeneration import REST, SPECIALS, STREAMS, CogenerationConfig, Cogenerator
from trainer.cogeneration_data import Batch, Corpus, crop, read
from trainer.cogeneration_free import free_run
from trainer.data.sequences import SequenceStore
from trainer.loop import Loop, LoopConfig

ANCHORED = 80
"""Occurrences of a token that its first anchors are the mean of."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CogenerationTraining:
    """One training. Sizes as in `CogenerationConfig`; a batch is so many crops of so many frames.

    steps_an_epoch: batches between two looks at the development sequences. rollout: share of batches fed
    with the model's own frames at the end, reached linearly after `rollout_after` of the training. noise:
    spread of the disturbance in the other ones. unknown: share of windows of glosses that lack what is to
    come or what was. velocity, forecasts, timing: weights of the losses beside that of the frame.
    start_share: share of crops that begin with the utterance. doubled_share: of crops that hold a doubled
    gloss. development: sequences held back for looking. letters: the glosses are letters of alphabets (off:
    signs). most: at most so many sequences.
    """

    width: int = 96
    heads: int = 4
    layers: int = 2
    inner: int = 192
    encoder_width: int = 64
    encoder_layers: int = 2
    around: int = 3
    context: int = 24
    sinks: int = 2
    anchors: int = 4
    batch: int = 16
    frames: int = 48
    steps_an_epoch: int = 100
    rollout: float = 0.5
    rollout_after: float = 0.1
    noise: float = 0.15
    unknown: float = 0.15
    velocity: float = 1.0
    forecasts: float = 0.3
    timing: float = 0.3
    start_share: float = 0.2
    doubled_share: float = 0.1
    development: int = 18
    letters: bool = True
    most: int = 0
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            epochs=18,
            learning_rate=2e-3,
            warmup_steps=200,
            schedule="cosine",
            floor=0.02,
            average=0.995,
            evaluate_every=2,
        )
    )

    def __post_init__(self) -> None:
        for name in ("rollout", "rollout_after", "unknown", "start_share", "doubled_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"CogenerationTraining.{name}: got {getattr(self, name)}, expected 0..1")
        for name in ("noise", "velocity", "forecasts", "timing", "most"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"CogenerationTraining.{name}: got {getattr(self, name)}, expected 0 or more"
                )
        for name in ("batch", "steps_an_epoch", "development"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"CogenerationTraining.{name}: got {getattr(self, name)}, expected at least 1"
                )
        if self.frames < 4:
            raise ValueError(f"CogenerationTraining.frames: got {self.frames}, expected at least 4")


class CogenerationTask:
    """The generator's side of the training loop."""

    def __init__(
        self, corpus: Corpus, config: CogenerationTraining, device: str = "cpu", folder: Path | None = None
    ) -> None:
        """folder: where the model so far is kept at every look."""
        if len(corpus.utterances) <= config.development:
            raise ValueError(
                f"cogeneration: got {len(corpus.utterances)} sequences and development={config.development}; "
                "expected more of them than are held back"
            )
        self.config, self.corpus, self.device, self.folder = config, corpus, device, folder
        every = len(corpus.utterances) // config.development
        self.dev = corpus.utterances[::every][: config.development]
        held = {id(u) for u in self.dev}
        self.train = [u for u in corpus.utterances if id(u) not in held]
        self.doubled = [(u, int(u.ends[i])) for u in self.train for i in range(len(u.tokens) - 1)
                        if u.tokens[i] == u.tokens[i + 1] and not u.word_ends[i]]  # fmt: skip
        torch.manual_seed(config.loop.seed)
        sizes = {f.name: getattr(config, f.name) for f in dataclasses.fields(CogenerationConfig)
                 if hasattr(config, f.name)}  # fmt: skip
        self.network = CogenerationConfig(
            tokens=SPECIALS + len(corpus.words),
            languages=len(corpus.languages),
            channels=corpus.channels.counts,
            **sizes,
        )
        self.model = Cogenerator(self.network)
        self._anchor()
        self.model.to(device)
        used = torch.from_numpy(corpus.channels.used).to(device)
        self.weight = (used / used.sum(1, keepdim=True))[:, None, None]  # [M, 1, 1, C]

    def _anchor(self) -> None:
        """Begin with anchors at the mean frames along each token's course."""
        table, count = torch.zeros_like(self.model.anchors), torch.zeros(self.network.tokens)
        share = np.linspace(0, 1, self.network.anchors)
        for u in self.train:
            for token, end, length, performed in zip(u.tokens, u.ends, u.lengths, u.performed, strict=True):
                if token != REST and count[token] >= ANCHORED:
                    continue
                first = end - length + (0 if token == REST else round(performed * (length - 1)))
                at = np.round(first + share * (end - 1 - first)).astype(int)
                table[token] += torch.from_numpy(u.frames[:, 2 + at])
                count[token] += 1
        self.model.anchors.data.copy_(table / count.clamp(min=1)[:, None, None, None])

    # -- batches -------------------------------------------------------------------------------

    def batches(self, epoch: int) -> Sequence[Batch]:
        """Crops drawn from the seed and the epoch, made as they are asked for."""
        return _Batches(self, epoch)

    def make(self, epoch: int, number: int) -> Batch:
        c = self.config
        rng = np.random.default_rng([c.loop.seed, epoch, number])
        chosen = []
        for index in rng.integers(0, len(self.train), c.batch):
            u = self.train[index]
            if self.doubled and rng.random() < c.doubled_share:
                u, place = self.doubled[int(rng.integers(0, len(self.doubled)))]
                at = place - int(rng.integers(0, c.frames // 2))
                chosen.append((u, min(max(at, 0), max(0, len(u) - c.frames))))
                continue
            furthest = max(0, len(u) - c.frames)
            at = 0 if rng.random() < c.start_share else int(rng.integers(0, furthest + 1))
            chosen.append((u, at))
        done = (epoch + number / c.steps_an_epoch) / c.loop.epochs
        ramp = min(max((done - c.rollout_after) / 0.3, 0.0), 1.0)
        own = bool(rng.random() < c.rollout * ramp)
        return crop(chosen, c.frames, c.around, rng, unknown=c.unknown, rollout=own)

    # -- losses --------------------------------------------------------------------------------

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean absolute errors (L_TMC, equation 6) of the frame, its two forecasts and its speed, and of
        time."""
        c, model = self.config, self.model
        batch = _moved(batch, self.device)
        rows, segments = batch.segments.shape
        memory = self._memory(batch)
        before = self._own(batch, memory.detach()) if batch.rollout else self._disturbed(batch.before)
        frame, position, onward = model(before, batch.progress, memory, batch.tokens, batch.owner)
        there = batch.there[None, :, :, None] * self.weight
        total = batch.there.sum() * STREAMS
        target = batch.target

        def error(made: Tensor, true: Tensor, there: Tensor) -> Tensor:
            return ((made - true).abs() * there).sum() / total

        made, true = (x[:, :, 1:] - x[:, :, :-1] for x in (frame, target))
        spatial, speed = error(frame, target, there), error(made, true, there[:, :, 1:])
        forecasts = error(position, target, there) + error(onward, target, there)
        log_rate = batch.log_rate[:, None].expand(rows, segments)[batch.segments]
        frames, performed = model.timing(memory[batch.segments], log_rate)
        timing = functional.smooth_l1_loss(frames.log(), batch.lengths[batch.segments].log(), beta=0.05)
        timing = timing + (performed - batch.performed[batch.segments]).abs().mean()
        loss = spatial + c.velocity * speed + c.forecasts * forecasts + c.timing * timing
        return {"loss": loss, "frame": spatial, "speed": speed, "forecasts": forecasts, "time": timing}

    def _memory(self, batch: Batch) -> Tensor:
        rows, segments, _ = batch.tokens.shape
        languages = batch.languages[:, None].expand(rows, segments).flatten()
        flat = self.model.encode(batch.tokens.flatten(0, 1), languages, batch.word_ends.flatten(0, 1))
        return flat.view(rows, segments, *flat.shape[1:])

    def _disturbed(self, before: Tensor) -> Tensor:
        """What the decoder is fed, off by a little for a while and trembling."""
        streams, rows, frames, channels = before.shape
        size = self.config.noise * torch.rand(rows, device=before.device)[:, None, None]
        drift = torch.randn(streams, rows, 1, channels, device=before.device)
        fade = torch.linspace(1, 0, frames, device=before.device)[:, None]
        jitter = 0.2 * torch.randn_like(before)
        return before + size * (drift * fade + jitter)

    @torch.no_grad()
    def _own(self, batch: Batch, memory: Tensor) -> Tensor:
        """What the decoder made itself, running free from the (disturbed) first frame of the crop."""
        model = self.model
        rows, segments = batch.segments.shape
        focus = model.focus(memory.flatten(0, 1), batch.tokens.flatten(0, 1))
        state = model.open(rows, rewind=1)
        start = self._disturbed(batch.before[:, :, :2])
        state.reset(start[:, :, 1])
        state.history[:, :, -2] = start[:, :, 0]
        made = []
        base = torch.arange(rows, device=memory.device) * segments
        for t in range(batch.owner.shape[1] - 1):
            state.focus = focus.of(base + batch.owner[:, t])
            made.append(model.step(batch.progress[:, t], state))
        return torch.cat([start, torch.stack(made, 2)], 2)

    # -- looking -------------------------------------------------------------------------------

    def evaluate(self, model: Cogenerator) -> dict[str, float]:
        """Free-running on the development sequences: error on true time; durations and paths on its own."""
        figures = free_run(self.kept(model), self.dev)
        if self.folder is not None:  # to be looked at while training goes on
            self.kept(model).save(self.folder, training=dataclasses.asdict(self.config), figures=figures)
        return figures

    def kept(self, model: Cogenerator) -> CogenerationModel:
        """The network with its words, ready to generate or to save."""
        c = self.corpus
        return CogenerationModel(
            model, c.words, c.languages, c.channels.normaliser, c.fps, self.config.letters
        )


class _Batches(Sequence[Batch]):
    def __init__(self, task: CogenerationTask, epoch: int) -> None:
        self._task, self._epoch = task, epoch

    def __len__(self) -> int:
        return self._task.config.steps_an_epoch

    def __getitem__(self, number: int) -> Batch:  # type: ignore[override]
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self._task.make(self._epoch, number)


def _moved(batch: Batch, device: str) -> Batch:
    if device == "cpu":
        return batch
    values: dict[str, Any] = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    moved: dict[str, Any] = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()}
    return Batch(**moved)


def train(
    folders: Sequence[Path],
    config: CogenerationTraining,
    folder: Path,
    device: str = "cpu",
    start: Path | None = None,
) -> CogenerationModel:
    """Train one model from folders of sequences into `folder`, resuming what it holds. The averaged model.

    start: a model whose weights are gone on from, and whose figures normalise the motion. Raises ValueError
    where it knows other words, or has other sizes.
    """
    before = None if start is None else CogenerationModel.open(start)
    normaliser = None if before is None else before.channels.normaliser
    corpus = read(SequenceStore(*folders), config.most, normaliser)
    task = CogenerationTask(corpus, config, device, folder)
    if before is not None:
        if (before.words, before.network.config) != (corpus.words, task.network):
            raise ValueError(
                f"{start}: has other words or sizes than these sequences and settings; start afresh"
            )
        task.model.load_state_dict(before.network.state_dict())
    loop = Loop(task, config.loop, folder)
    frames = sum(map(len, task.train))
    parameters = sum(p.numel() for p in task.model.parameters())
    told = (len(task.train), frames, len(corpus.words), parameters / 1e6, folder)
    log.info("cogeneration: %d sequences of %d frames, %d words, %.2f M parameters, %s", *told)
    figures = loop.run()
    model = task.kept(loop.averaged)
    model.save(folder, training=dataclasses.asdict(config), figures=figures, sequences=len(task.train))
    return model
