"""The one training loop: optimiser, schedule, averaged weights, log, and a state that resumes bit for bit.

Enters: a `Task` (a model, its batches and its loss), a `LoopConfig`, a folder. Leaves: trained weights in the
task's model, the running average in `averaged`, `log.csv`, and `state/`, from which a killed run goes on as
if it had never stopped. Does not know what is being learned.
"""

from __future__ import annotations

import copy
import csv
import dataclasses
import logging
import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from engine.checkpoint import CONFIG, open_checkpoint, save_checkpoint

log = logging.getLogger(__name__)


Model = TypeVar("Model", bound=nn.Module)


class Task(Protocol[Model]):
    """What the loop asks of a trainer."""

    model: Model

    def batches(self, epoch: int) -> Sequence[Any]:
        """The epoch's batches. Order and noise must follow from the epoch (and a seed) alone."""

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Scalars by name; `loss` is the one to descend. Randomness only from torch's global generator."""

    def evaluate(self, model: Model) -> dict[str, float]:
        """Figures of a model (the averaged one) at the end of an epoch, for the log."""


@dataclass(frozen=True)
class LoopConfig:
    """How to train. Rates are per step; `average` is the decay of the running average of the weights."""

    epochs: int = 30
    learning_rate: float = 1e-3
    warmup_steps: int = 400
    schedule: str = "linear"
    floor: float = 0.0
    weight_decay: float = 0.01
    clip: float = 1.0
    average: float = 0.998
    evaluate_every: int = 1
    save_every_s: float = 120.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.evaluate_every < 1:
            raise ValueError(
                f"LoopConfig: got epochs={self.epochs}, evaluate_every={self.evaluate_every}; expected >= 1"
            )
        if self.schedule not in ("linear", "cosine", "constant"):
            raise ValueError(
                f"LoopConfig.schedule: got {self.schedule!r}, expected linear, cosine or constant"
            )
        if not 0 <= self.average < 1 or not 0 <= self.floor <= 1:
            raise ValueError(f"LoopConfig: got average={self.average}, floor={self.floor}; expected 0..1")
        if self.learning_rate <= 0 or self.clip <= 0:
            raise ValueError(
                f"LoopConfig: got learning_rate={self.learning_rate}, clip={self.clip}; expected > 0"
            )

    def rate(self, step: int, progress: float) -> float:
        """Learning rate at a step, `progress` being the share 0..1 of the whole training done so far."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        fall = {"linear": 1 - progress, "cosine": 0.5 * (1 + math.cos(math.pi * progress)), "constant": 1.0}
        return self.learning_rate * warm * (self.floor + (1 - self.floor) * fall[self.schedule])


class Loop(Generic[Model]):
    """One training run in one folder."""

    def __init__(self, task: Task[Model], config: LoopConfig, folder: Path) -> None:
        self.task, self.config, self.folder = task, config, folder
        self.step = self.epoch = self.done = 0  # steps so far; epoch under way; its batches done
        self.averaged: Model = copy.deepcopy(task.model).requires_grad_(False)
        self.on_gpu = any(p.is_cuda for p in task.model.parameters())
        matrices = [p for p in task.model.parameters() if p.ndim > 1]
        vectors = [p for p in task.model.parameters() if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)
        self._figures: defaultdict[str, float] = defaultdict(float)
        torch.manual_seed(config.seed)

    def run(self, until_step: int | None = None) -> dict[str, float]:
        """Train to the end (or to a step), resuming what `folder` holds. Returns the last figures."""
        if (self.folder / "state" / CONFIG).exists():
            self._resume()
        figures: dict[str, float] = {}
        saved_at = started = time.monotonic()
        started_step = self.step
        while self.epoch < self.config.epochs:
            batches = self.task.batches(self.epoch)
            for index in range(self.done, len(batches)):
                self._descend(batches[index], (self.epoch + index / len(batches)) / self.config.epochs)
                self.done = index + 1
                if self.step == until_step:
                    self._save()
                    return figures
                if time.monotonic() - saved_at > self.config.save_every_s:
                    self._save()
                    saved_at = time.monotonic()
            figures = self._end_epoch(len(batches), started, started_step)
        self._save()
        return figures

    def _descend(self, batch: Any, progress: float) -> None:
        rate = self.config.rate(self.step, progress)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.task.model.train()
        losses = self.task.loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(losses["loss"])
        norm = nn.utils.clip_grad_norm_(self.task.model.parameters(), self.config.clip)
        if not torch.isfinite(norm):
            told = ", ".join(f"{name} {float(value):.3g}" for name, value in losses.items())
            raise RuntimeError(
                f"step {self.step}: the gradient is not finite ({told}); lower the rate (now {rate:.2g}) "
                f"in a folder other than {self.folder}"
            )
        self.optimiser.step()
        self.step += 1
        decay = min(self.config.average, (1 + self.step) / (10 + self.step))
        mean: list[Tensor] = [p.detach() for p in self.averaged.parameters()]
        torch._foreach_lerp_(mean, [p.detach() for p in self.task.model.parameters()], 1 - decay)
        for name, value in losses.items():
            self._figures[name] += float(value.detach())

    def _end_epoch(self, batches: int, started: float, started_step: int) -> dict[str, float]:
        figures = {name: total / max(1, batches) for name, total in self._figures.items()}
        self._figures.clear()
        self.epoch += 1
        self.done = 0
        if self.epoch % self.config.evaluate_every == 0 or self.epoch == self.config.epochs:
            generator = torch.get_rng_state()  # looking must not change what is learned
            figures |= self.task.evaluate(self.averaged.eval())
            torch.set_rng_state(generator)
        spent = time.monotonic() - started
        left = spent / max(1, self.step - started_step) * batches * (self.config.epochs - self.epoch)
        shown = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
        log.info("epoch %d/%d  %s  %.0f s, %.0f s to go", self.epoch, self.config.epochs, shown, spent, left)
        self._write({"epoch": self.epoch, "step": self.step, "seconds": round(spent, 1), **figures})
        return figures

    def _write(self, row: Mapping[str, float]) -> None:
        """Append to log.csv; a new column rewrites the heading."""
        path = self.folder / "log.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows: list[Mapping[str, Any]] = []
        if path.exists():
            with path.open(newline="") as file:
                rows = [old for old in csv.DictReader(file) if int(old["epoch"]) < row["epoch"]]
        rows.append(row)
        names = list(dict.fromkeys(name for line in rows for name in line))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows(rows)

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {"generator.cpu": torch.get_rng_state()}
        if self.on_gpu:
            tensors["generator.cuda"] = torch.cuda.get_rng_state()
        tensors |= {f"model.{name}": p for name, p in self.task.model.state_dict().items()}
        tensors |= {f"averaged.{name}": p for name, p in self.averaged.state_dict().items()}
        for number, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": value.clone() for name, value in moments.items()}
        config = {
            "loop": dataclasses.asdict(self.config),
            "position": {"step": self.step, "epoch": self.epoch, "done": self.done},
            "figures": dict(self._figures),
        }
        save_checkpoint(self.folder / "state", tensors, config)

    def _resume(self) -> None:
        tensors, config = open_checkpoint(self.folder / "state")
        if config["loop"] != dataclasses.asdict(self.config):
            raise ValueError(
                f"{self.folder} holds a run with another configuration: {config['loop']}; "
                "resume with the same one, or give another folder"
            )
        parts: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        self.task.model.load_state_dict(parts["model"])
        self.averaged.load_state_dict(parts["averaged"])
        state = self.optimiser.state_dict()
        moments: defaultdict[int, dict[str, Tensor]] = defaultdict(dict)
        for name, tensor in parts["optimiser"].items():
            number, _, kind = name.partition(".")
            moments[int(number)][kind] = tensor
        self.optimiser.load_state_dict({**state, "state": dict(moments)})
        torch.set_rng_state(parts["generator"]["cpu"])
        if self.on_gpu:
            torch.cuda.set_rng_state(parts["generator"]["cuda"])
        position = config["position"]
        self.step, self.epoch, self.done = position["step"], position["epoch"], position["done"]
        self._figures.update(config["figures"])
        log.info("resumed %s at step %d (epoch %d)", self.folder, self.step, self.epoch + 1)
