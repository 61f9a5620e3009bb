"""What a benchmark hands back, and the arithmetic that all of them share.

Enters: samples. Leaves: `Outcome`, percentiles, slopes, device and commit. Does not know what was measured.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent.parent
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a plot. x, y: as long as each other."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot. kind: "line", "points", "cdf" (y is ignored) or "bars" (x are numbered, labels name them).

    limit: a target, drawn across; on x for "cdf", else on y.
    """

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    kind: str = "line"
    limit: float | None = None
    labels: Sequence[str] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """figures: the JSON line but for device, commit and date. table: rows to print, same keys in each.
    reached: goal -> (figure, whether it was reached).
    """

    name: str
    figures: dict[str, Any]
    table: Sequence[Row] = ()
    plots: Sequence[Plot] = ()
    reached: dict[str, tuple[str, bool]] = field(default_factory=dict)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99, max; of nothing, nothing."""
    if not len(values):
        return {}
    found = {f"p{p}": round(float(np.percentile(values, p)), 2) for p in (50, 95, 99)}
    return found | {"max": round(float(np.max(values)), 2)}


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the straight line through the points, by least squares; 0.0 for fewer than two."""
    return float(np.polyfit(x, y, 1)[0]) if len(x) > 1 and np.ptp(x) > 0 else 0.0


def where() -> dict[str, object]:
    """Device, commit and date, for the JSON line."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        found = "unknown"  # an installed copy
    return {
        "device": f"{platform.machine()}, {os.cpu_count()} cores",
        "commit": found,
        "date": time.strftime("%Y-%m-%d"),
    }
