"""Several processes training one model: started by `torchrun`, or none of this.

Enters: the environment that `torchrun` sets (RANK, LOCAL_RANK, WORLD_SIZE). Leaves: a `Team` through which
`trainer.loop` averages gradients and figures. Does not know models or losses.

A trainer asks `own_device` for its device and writes files only where `team.first`. Every process must see
the run's folder, and builds the same model and the same batches (they follow from the seed alone).
"""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

_PATIENCE = timedelta(hours=2)
"""The others wait this long while the first one evaluates or saves."""


def own_device(asked: str) -> str:
    """`cuda` becomes this process's own GPU under `torchrun`; anything else stays what it is."""
    local = os.environ.get("LOCAL_RANK")
    return f"cuda:{local}" if asked == "cuda" and local is not None else asked


@dataclass(frozen=True)
class Team:
    """This process's place among `size`. Alone, every method returns what it was given."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """True in the one process that writes files and figures."""
        return self.rank == 0

    @staticmethod
    def join(on_gpu: bool) -> Team:
        """The team that `torchrun` started, or a team of one."""
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return Team()
        if not distributed.is_initialized():
            if on_gpu:
                torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=_PATIENCE)
            atexit.register(_leave)
        return Team(distributed.get_rank(), distributed.get_world_size())

    def mean(self, figures: dict[str, float], device: torch.device) -> dict[str, float]:
        """Figures averaged over the team; all must bring the same names."""
        if self.size == 1 or not figures:
            return figures
        names = sorted(figures)
        values = torch.tensor([figures[name] for name in names], dtype=torch.float32, device=device)
        distributed.all_reduce(values)
        return dict(zip(names, (values / self.size).tolist(), strict=True))

    def agreed(self, wish: bool, device: torch.device) -> bool:
        """What the first process wishes, told to all."""
        if self.size == 1:
            return wish
        told = torch.tensor([float(wish)], device=device)
        distributed.broadcast(told, 0)
        return bool(told.item())

    def gathered(self, tensor: Tensor, device: torch.device) -> list[Tensor]:
        """Everybody's tensor, by rank; all of one shape."""
        if self.size == 1:
            return [tensor]
        mine = tensor.to(device)
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(parts, mine)
        return [part.cpu() for part in parts]


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


class Objective(nn.Module):
    """A task's loss as a module's `forward`, which is all that DistributedDataParallel looks into."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.model = task.model
        self._loss = task.loss

    def forward(self, batch: Any) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = self._loss(batch)
        return losses


def shared(task: Any, team: Team) -> nn.Module:
    """The task's loss, whose gradients become the team's mean while they flow back."""
    objective = Objective(task)
    if team.size == 1:
        return objective
    return nn.parallel.DistributedDataParallel(objective, find_unused_parameters=True)
