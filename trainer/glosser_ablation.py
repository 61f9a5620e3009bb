"""The ablation: every combination of losses, several seeds each, with and without words missing.

Enters: pairs, settings all trainings share, a folder. Leaves: `ablation.csv` there, a table of means and
spread. A training that is in the file already is not run again. Does not know the losses' formulas.
"""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.configuration import configured
from trainer.data.phoenix import Pair
from trainer.glosser import GlosserConfig, train
from trainer.glosser_eval import figures_of, words_dropped

SETTINGS: dict[str, dict[str, Any]] = {
    "ce": {},
    "ce + SAGM": {"sagm": 1.0},
    "ce + uniform masking": {"sagm": 1.0, "mask_weighting": "uniform"},
    "ce + SAGM + KL": {"sagm": 1.0, "kl": 1.0},
    "ce + SAGM + KL + InfoNCE": {"sagm": 1.0, "kl": 1.0, "contrast": 0.1},
    "ce + R-Drop": {"rdrop": 1.0},
}
"""What is compared: losses beside cross-entropy, and the control whose masking does not weigh."""

WORD_DROP = 0.15
COLUMNS = ("setting", "seed", "bleu4", "bleu4_dropped")


def ablate(
    pairs: Sequence[Pair],
    dev: Sequence[Pair],
    settings: Mapping[str, Any],
    folder: Path,
    seeds: int,
    compared: Mapping[str, Mapping[str, Any]] = SETTINGS,
    start: Path | None = None,
) -> list[dict[str, str]]:
    """Run what is missing, seed by seed; print the table after each run. Returns all rows.

    start: a trained model all runs go on from, so that a short run compares losses at a trained level. Seeds
    then differ in order and noise, not in first weights.
    """
    if not dev:
        raise ValueError("the ablation compares on development pairs; the corpus has none")
    path = folder / "ablation.csv"
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    for seed in range(seeds):
        for name, objective in compared.items():
            if any(row["setting"] == name and row["seed"] == str(seed) for row in rows):
                continue
            merged = {
                "calm_epochs": 0,
                **settings,
                "objective": {**settings.get("objective", {}), **objective},
            }
            merged["loop"] = {**settings.get("loop", {}), "seed": seed}
            place = folder / f"{name.replace(' + ', '-').replace(' ', '-').lower()}-{seed}"
            train(pairs, dev, configured(GlosserConfig, merged), place, start=start)
            clean, dropped = (
                figures_of([place], some, beam=5)["bleu4"] for some in (dev, words_dropped(dev, WORD_DROP))
            )
            rows.append(
                {
                    "setting": name,
                    "seed": str(seed),
                    "bleu4": f"{clean:.2f}",
                    "bleu4_dropped": f"{dropped:.2f}",
                }
            )
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)
            print(table(rows), flush=True)
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Mean and standard deviation over seeds of each setting, on whole and on thinned text."""
    lines = [f"{'setting':28s} seeds   BLEU-4        15% of words dropped"]
    for name in dict.fromkeys(row["setting"] for row in rows):
        cells = []
        for column in ("bleu4", "bleu4_dropped"):
            values = [float(row[column]) for row in rows if row["setting"] == name]
            spread = f"{statistics.stdev(values):.2f}" if len(values) > 1 else "   -"
            cells.append(f"{statistics.mean(values):5.2f} +- {spread}")
        lines.append(f"{name:28s} {len(values):5d}   {'   '.join(cells)}")
    return "\n".join(lines)
