"""What a training run tells: `log.csv`, TensorBoard where it is installed, and a line that moves.

Enters: one row of figures an epoch, one tick a step. Leaves: files in the run's folder. Does not know losses.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm


class EpochLog:
    """`log.csv` of one folder, and TensorBoard's events beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._board: Any = None

    def write(self, row: Mapping[str, float]) -> None:
        """Append a row; a new column rewrites the heading. Whoever is killed here loses this row at most."""
        path = self.folder / "log.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows: list[Mapping[str, Any]] = []
        if path.exists():
            with path.open(newline="") as file:
                rows = [old for old in csv.DictReader(file) if int(old["epoch"]) < row["epoch"]]
        rows.append(row)
        names = list(dict.fromkeys(name for line in rows for name in line))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
        draft = path.with_name(f".log-{os.getpid()}.tmp")
        try:
            with draft.open("w", newline="") as file:
                file.write(text.getvalue())
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        self._show(row)

    def _show(self, row: Mapping[str, float]) -> None:
        if self._board is None and importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(self.folder / "tensorboard"))
        if self._board is not None:
            for name, value in row.items():
                if name not in ("epoch", "step"):
                    self._board.add_scalar(name, value, row["step"])
            self._board.flush()


class Progress:
    """A line on a terminal with the loss and the time to go; silent elsewhere (the epochs' lines tell)."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def tick(self, step: int, total: int, loss: float | None) -> None:
        """One step more, of about `total`. Give the loss now and then: reading it waits for a GPU."""
        self._bar.total = total
        if loss is not None:
            self._bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
        self._bar.update(step - self._bar.n)


@contextmanager
def progress_line(step: int, quiet: bool) -> Iterator[Progress]:
    """A progress line from `step` on; log lines appear above it."""
    with tqdm(initial=step, unit="step", disable=True if quiet else None, dynamic_ncols=True) as bar:
        if bar.disable:
            yield Progress(bar)
            return
        with logging_redirect_tqdm():
            yield Progress(bar)
