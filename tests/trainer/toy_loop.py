"""A small task for tests of the training loop, also as a process of its own that may be killed or starved.

python -m tests.trainer.toy_loop train FOLDER [most bytes a file may have]
torchrun ... -m tests.trainer.toy_loop team FOLDER
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from trainer.loop import Loop, LoopConfig

CONFIG = LoopConfig(epochs=2, learning_rate=1e-2, warmup_steps=5, average=0.9, schedule="cosine")
STEPS = 160


class Toy:
    """Learns a linear map; `dropout` makes it depend on the random generator. A batch is `rows` rows."""

    def __init__(self, rows: int = 8, steps: int = 6, width: int = 8, dropout: float = 0.0) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout), nn.Linear(width, 1))
        self.rows, self.steps, self.width = rows, steps, width

    def batches(self, epoch: int) -> Sequence[tuple[Tensor, Tensor]]:
        made = torch.Generator().manual_seed(epoch)
        x = torch.randn(self.steps, self.rows, self.width, generator=made)
        return [(part, part.sum(-1, keepdim=True)) for part in x]

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        return {"loss": (self.model(batch[0]) - batch[1]).square().mean()}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        return {"size": sum(float(p.abs().sum()) for p in model.parameters())}


class Halves(Toy):
    """The same data, each batch cut in two."""

    def batches(self, epoch: int) -> Sequence[tuple[Tensor, Tensor]]:
        return [(x[at], y[at]) for x, y in super().batches(epoch) for at in (slice(0, 4), slice(4, 8))]


def slow_config() -> LoopConfig:
    """Saves after every step."""
    return dataclasses.replace(CONFIG, epochs=STEPS // 20, save_every_s=0.0, learning_rate=1e-3)


def slow_task() -> Toy:
    """Big enough that most of the time goes into saving."""
    return Toy(steps=20, width=300, dropout=0.1)


def _team(folder: Path) -> None:
    """What a team of two finds, in files that the first of them writes."""
    halves = Loop(Halves(), CONFIG, folder / "halves")
    figures = halves.run()
    whole = Loop(Toy(dropout=0.3, steps=7), CONFIG, folder / "whole")
    whole.run()
    Loop(Toy(dropout=0.3, steps=7), CONFIG, folder / "parts").run(until_step=3)
    parts = Loop(Toy(dropout=0.3, steps=7), CONFIG, folder / "parts")
    parts.run()
    print(f"rank {halves.team.rank} of {halves.team.size}: {whole.step} steps", flush=True)
    if halves.team.first:
        kept = {"halves": halves, "whole": whole, "parts": parts}
        states = {name: loop.averaged.state_dict() for name, loop in kept.items()}
        torch.save({"figures": figures, "steps": whole.step, **states}, folder / "found.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "team":
        _team(Path(sys.argv[2]))
    else:
        if len(sys.argv) > 3:
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
        Loop(slow_task(), slow_config(), Path(sys.argv[2])).run()
