"""The one training loop: optimiser, schedule, averaged weights, log, and a state that resumes bit for bit.

Enters: a `Task` (a model, its batches and its loss), a `LoopConfig`, a folder. Leaves: trained weights in the
task's model, the running average in `averaged`, `log.csv`, and `state/`, from which a killed run goes on as
if it had never stopped. Does not know what is being learned.

Under `torchrun --nproc-per-node=N` N processes share a run: each takes every N-th batch, and a step descends
the mean of their gradients (see `trainer.team`).
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from engine.checkpoint import CONFIG, open_checkpoint, save_checkpoint
from trainer.loop_log import EpochLog, Progress, progress_line
from trainer.team import Team, shared

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
    """How to train. Rates are per step; `average` is the decay of the running average of the weights.

    precision: `float32`, or `bfloat16` to let matrix products of the loss run in it on a GPU, or on a CPU
    that has instructions for it (weights and optimiser stay float32; elsewhere ignored, and that is logged).
    """

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
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.evaluate_every < 1:
            raise ValueError(
                f"LoopConfig: got epochs={self.epochs}, evaluate_every={self.evaluate_every}; expected >= 1"
            )
        if self.schedule not in ("linear", "cosine", "constant"):
            raise ValueError(
                f"LoopConfig.schedule: got {self.schedule!r}, expected linear, cosine or constant"
            )
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"LoopConfig.precision: got {self.precision!r}, expected float32 or bfloat16")
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


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies in bfloat16 (AVX512-BF16 or AMX); others only pretend to, slowly."""
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


class Loop(Generic[Model]):
    """One training run in one folder."""

    def __init__(self, task: Task[Model], config: LoopConfig, folder: Path) -> None:
        self.task, self.config, self.folder = task, config, folder
        self.step = self.epoch = self.done = 0  # steps so far; epoch under way; its batches done
        self.averaged: Model = copy.deepcopy(task.model).requires_grad_(False)
        self.on_gpu = any(p.is_cuda for p in task.model.parameters())
        self.device = next(task.model.parameters()).device
        self.team = Team.join(self.on_gpu)
        self.half = config.precision == "bfloat16" and (self.on_gpu or cpu_has_bfloat16())
        if config.precision == "bfloat16" and not self.half:
            log.info("precision bfloat16: this CPU has no instructions for it; training in float32")
        matrices = [p for p in task.model.parameters() if p.ndim > 1]
        vectors = [p for p in task.model.parameters() if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)
        self._figures: defaultdict[str, float] = defaultdict(float)
        self._log = EpochLog(folder)
        self._objective = shared(task, self.team)
        torch.manual_seed(config.seed + self.team.rank)

    def run(self, until_step: int | None = None) -> dict[str, float]:
        """Train to the end (or to a step), resuming what `folder` holds. Returns the last figures."""
        if (self.folder / "state" / CONFIG).exists():
            self._resume()
        with progress_line(self.step, quiet=not self.team.first) as line:
            figures = self._train(until_step, line)
        if self.step != until_step:
            self._save()
        return figures

    def _train(self, until_step: int | None, line: Progress) -> dict[str, float]:
        figures: dict[str, float] = {}
        saved_at = started = time.monotonic()
        started_step = self.step
        while self.epoch < self.config.epochs:
            batches = self.task.batches(self.epoch)
            for index in range(self.done, len(batches), self.team.size):
                own = batches[(index + self.team.rank) % len(batches)]  # the last step may repeat a few
                loss = self._descend(own, (self.epoch + index / len(batches)) / self.config.epochs)
                self.done = min(index + self.team.size, len(batches))
                steps = -(-len(batches) // self.team.size)
                ahead = (self.config.epochs - self.epoch - 1) * steps
                ahead += -(-(len(batches) - self.done) // self.team.size)
                line.tick(self.step, self.step + ahead, float(loss) if self.step % 10 == 0 else None)
                if self.step == until_step:
                    self._save()
                    return figures
                if self.team.agreed(time.monotonic() - saved_at > self.config.save_every_s, self.device):
                    self._save_or_warn()
                    saved_at = time.monotonic()
            figures = self._end_epoch(len(batches), started, started_step)
        return figures

    def _descend(self, batch: Any, progress: float) -> Tensor:
        rate = self.config.rate(self.step, progress)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.task.model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            losses: dict[str, Tensor] = self._objective(batch)
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
        return losses["loss"].detach()

    def _end_epoch(self, batches: int, started: float, started_step: int) -> dict[str, float]:
        steps = max(1, -(-batches // self.team.size))
        figures = {name: total / steps for name, total in self._figures.items()}
        figures = self.team.mean(figures, self.device)
        self._figures.clear()
        self.epoch += 1
        self.done = 0
        if self.epoch % self.config.evaluate_every == 0 or self.epoch == self.config.epochs:
            generator = torch.get_rng_state()  # looking must not change what is learned
            if self.team.first:
                figures |= self.task.evaluate(self.averaged.eval())
            torch.set_rng_state(generator)
        spent = time.monotonic() - started
        left = spent / max(1, self.step - started_step) * steps * (self.config.epochs - self.epoch)
        shown = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
        if self.team.first:
            told = (self.epoch, self.config.epochs, shown, spent, left)
            log.info("epoch %d/%d  %s  %.0f s, %.0f s to go", *told)
            row = {"epoch": self.epoch, "step": self.step, "seconds": round(spent, 1), **figures}
            try:
                self._log.write(row | {"rate": self.optimiser.param_groups[0]["lr"]})
            except OSError as error:  # a row of the log is no reason to stop
                log.warning("%s: cannot write the log (%s); training goes on", self.folder, error)
        return figures

    def _save_or_warn(self) -> None:
        """Save on the way: on a full disk the former state stays, and the next attempt may succeed."""
        try:
            self._save()
        except OSError as error:
            log.warning("%s; training goes on, and saves again in %.0f s", error, self.config.save_every_s)

    def _save(self) -> None:
        """Write `state/`. Raises OSError, with the former state whole, where it cannot be written."""
        tensors: dict[str, Tensor] = {}
        for rank, generator in enumerate(self.team.gathered(torch.get_rng_state(), self.device)):
            tensors[f"generator.{_of('cpu', rank)}"] = generator
        if self.on_gpu:
            for rank, generator in enumerate(self.team.gathered(torch.cuda.get_rng_state(), self.device)):
                tensors[f"generator.{_of('cuda', rank)}"] = generator
        if not self.team.first:
            return
        tensors |= {f"model.{name}": p for name, p in self.task.model.state_dict().items()}
        tensors |= {f"averaged.{name}": p for name, p in self.averaged.state_dict().items()}
        for number, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": value.clone() for name, value in moments.items()}
        config = {
            "loop": dataclasses.asdict(self.config),
            "position": {"step": self.step, "epoch": self.epoch, "done": self.done},
            "figures": dict(self._figures),
        }
        try:
            save_checkpoint(self.folder / "state", tensors, config)
        except (OSError, SafetensorError) as error:
            raise OSError(
                f"step {self.step}: the training state cannot be saved in {self.folder / 'state'} ({error}); "
                "what was saved before is whole: make room, and run the same command again"
            ) from error

    def _resume(self) -> None:
        tensors, config = open_checkpoint(self.folder / "state")
        before = {**dataclasses.asdict(LoopConfig()), **config["loop"]}  # older states lack newer settings
        if before != dataclasses.asdict(self.config):
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
        weights = [p for group in self.optimiser.param_groups for p in group["params"]]
        moments: defaultdict[int, dict[str, Tensor]] = defaultdict(dict)
        for name, tensor in parts["optimiser"].items():
            number, _, kind = name.partition(".")
            weight = weights[int(number)]
            if tensor.shape == weight.shape:  # in the weight's own order: the fused optimiser goes by memory
                tensor = torch.empty_like(weight).copy_(tensor)
            moments[int(number)][kind] = tensor
        self.optimiser.load_state_dict({**state, "state": dict(moments)})
        generators = parts["generator"]
        if _of("cpu", self.team.size - 1) not in generators or _of("cpu", self.team.size) in generators:
            log.warning("resuming with another number of processes (%d): not bit for bit", self.team.size)
        if _of("cpu", self.team.rank) in generators:
            torch.set_rng_state(generators[_of("cpu", self.team.rank)])
        if self.on_gpu and _of("cuda", self.team.rank) in generators:
            torch.cuda.set_rng_state(generators[_of("cuda", self.team.rank)])
        position = config["position"]
        self.step, self.epoch, self.done = position["step"], position["epoch"], position["done"]
        self._figures.update(config["figures"])
        log.info("resumed %s at step %d (epoch %d)", self.folder, self.step, self.epoch + 1)


def _of(kind: str, rank: int) -> str:
    """The name of a process's random generator; the first one's is what a lone process saves."""
    return kind if rank == 0 else f"{kind}{rank}"
