"""The loss's weights over training, one axis a run: whether they collapse can be seen at a glance.

Enters: `log.csv` files of corrector runs. Leaves: a PNG. Does not know how the weights come about.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.features import MODALITIES
from trainer.plots import figure, read_log, saved

_COLOURS = {"pose": "#4c72b0", "hands": "#dd8452", "smplx": "#55a868"}


def plot_weights(logs: Mapping[str, Path], path: Path) -> Path:
    """Weights of the modalities (and, dashed, their errors) for each run, by name. Returns the path."""
    made, axes = figure(1, len(logs), wide=4.5, high=3.2)
    for axis, (name, log) in zip(axes[0], logs.items(), strict=True):
        columns = read_log(log)
        for modality in MODALITIES:
            steps, weights = columns[f"weight_{modality}"]
            axis.plot(steps, weights, color=_COLOURS[modality], label=modality)
            steps, errors = columns[f"error_{modality}"]
            axis.plot(steps, errors, color=_COLOURS[modality], linestyle="--", alpha=0.5)
        axis.set_title(name)
        axis.set_ylim(0, 1.05)
        axis.set_xlabel("step")
    axes[0][0].set_ylabel("weight in the loss (dashed: error)")
    axes[0][0].legend()
    return saved(made, path)
