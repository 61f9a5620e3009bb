"""Plots as PNG: losses over training, trajectories, durations.

Enters: numbers, a run's `log.csv`. Leaves: PNG files. Does not know models. Needs matplotlib (extra
`metrics`).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

OURS, THEIRS = "#c44e52", "#4c72b0"


def figure(rows: int = 1, columns: int = 1, *, wide: float = 7.0, high: float = 3.0) -> tuple[Any, Any]:
    """A matplotlib figure and its axes [rows, columns]; sizes of one axis in inches. No window is opened.

    Raises ValueError, naming the remedy, where matplotlib is absent.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError(
            f"plots need matplotlib ({error}); install the extra: pip install 'handstream[metrics]', or "
            "leave "
            "the plots out"
        ) from error
    made = Figure(figsize=(wide * columns, high * rows), layout="constrained")
    FigureCanvasAgg(made)
    return made, made.subplots(rows, columns, squeeze=False)


def saved(made: Any, path: Path) -> Path:
    """Write the figure as PNG. Returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made.savefig(path, dpi=110)
    return path


def read_log(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Columns of a run's `log.csv`: name -> (steps, values); cells left empty are left out."""
    columns: dict[str, tuple[list[float], list[float]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if name not in ("epoch", "step", "seconds") and value:
                    steps, values = columns.setdefault(name, ([], []))
                    steps.append(float(row["step"]))
                    values.append(float(value))
    return columns


def plot_log(log: Path, path: Path) -> Path:
    """Everything a run logged, each figure in its own axis over training steps."""
    columns = read_log(log)
    if not columns:
        raise ValueError(f"{log}: no figures in it; train for at least one epoch")
    across = 3
    made, axes = figure(-(-len(columns) // across), across, wide=4, high=2.4)
    for axis in axes.flat[len(columns) :]:
        axis.set_visible(False)
    for axis, (name, (steps, values)) in zip(axes.flat, columns.items(), strict=False):
        axis.plot(steps, values, color=THEIRS)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("step", fontsize=8)
        if min(values) > 0 and max(values) > 20 * min(values):
            axis.set_yscale("log")
        axis.grid(alpha=0.3)
    return saved(made, path)


def plot_trajectories(
    pairs: Sequence[tuple[str, npt.NDArray[Any], npt.NDArray[Any]]],
    names: Mapping[str, int],
    fps: float,
    path: Path,
) -> Path:
    """Height of some keypoints over time, generated against true; one row a clip, one column a keypoint.

    pairs: (title, generated [T, J, D], true [U, J, D]); names: what a keypoint is called, and its index.
    """
    made, axes = figure(len(pairs), len(names), wide=4.5, high=2.2)
    for row, (title, ours, theirs) in zip(axes, pairs, strict=True):
        for axis, (name, index) in zip(row, names.items(), strict=True):
            axis.plot(np.arange(len(theirs)) / fps, theirs[:, index, 1], color=THEIRS, label="composed")
            axis.plot(np.arange(len(ours)) / fps, ours[:, index, 1], color=OURS, label="generated", lw=1)
            axis.set_title(f"{title}: {name}", fontsize=9)
            axis.set_xlabel("s", fontsize=8)
            axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("up, shoulder widths", fontsize=8)
    axes[0][0].legend(fontsize=8)
    return saved(made, path)


def plot_durations(ours_s: Sequence[float], theirs_s: Sequence[float], path: Path) -> Path:
    """How long each clip's signing takes, generated over true, in seconds."""
    made, axes = figure(wide=4.5, high=4.5)
    axis, most = axes[0][0], 1.05 * max(*ours_s, *theirs_s, 0.1)
    axis.plot([0, most], [0, most], color="0.7", lw=1)
    axis.scatter(theirs_s, ours_s, s=9, color=OURS, alpha=0.6)
    axis.set_xlabel("composed, s")
    axis.set_ylabel("generated, s")
    axis.set_title("duration of signing, one dot a word", fontsize=10)
    return saved(made, path)
