"""One page of plots from one run: a single HTML file with its pictures inside, readable without a network.

Enters: an `Outcome`, device and commit. Leaves: a file. Does not know what was measured. matplotlib draws.
"""

from __future__ import annotations

import html
import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stream.bench.outcome import Outcome, Plot, Row

COLOURS = ("#0b6e99", "#d1495b", "#7a8b2f", "#8e5aa8", "#b8792b", "#3a3a3a")
STYLE = """
:root { color-scheme: light dark; font: 16px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 68rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
.facts { opacity: .75; margin-top: 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(27rem, 1fr)); gap: 1rem; }
figure { margin: 0; padding: .6rem; background: #fff; color: #222; border: 1px solid #8885; }
figure svg { width: 100%; height: auto; }
figcaption { font-size: .85rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
td:first-child, th:first-child { text-align: left; }
.reached { color: #1d7a3c; }
.missed { color: #c0262d; font-weight: 600; }
@media (prefers-color-scheme: dark) { .reached { color: #67c687; } .missed { color: #ff8a8f; } }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .8rem; }
"""


def write_page(path: Path, outcome: Outcome, facts: Mapping[str, object]) -> None:
    """Write the page. Raises RuntimeError without matplotlib, OSError where it cannot be written."""
    told = ", ".join(str(value) for value in facts.values())
    goals = "".join(
        f'<li class="{"reached" if ok else "missed"}">{"reached" if ok else "missed"}: {html.escape(goal)}: '
        f"{html.escape(figure)}</li>"
        for goal, (figure, ok) in outcome.reached.items()
    )
    plots = "".join(_figure(plot) for plot in outcome.plots)
    line = html.escape(json.dumps({"benchmark": outcome.name, **outcome.figures, **facts}, indent=1))
    name = html.escape(outcome.name)
    path.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>handstream bench {name}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f'<h1>handstream bench {name}</h1><p class="facts">{html.escape(told)}</p><ul>{goals}</ul>'
        f'<div class="plots">{plots}</div><h2>Table</h2>{_table(list(outcome.table))}'
        f"<details><summary>All figures</summary><pre>{line}</pre></details></body></html>\n",
        encoding="utf-8",
    )


def _table(rows: list[Row]) -> str:
    if not rows:
        return "<p>No rows.</p>"
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_number(value))}</td>" for value in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _number(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _figure(plot: Plot) -> str:
    note = f"<figcaption>{html.escape(plot.note)}</figcaption>" if plot.note else ""
    return f"<figure>{_svg(plot)}{note}</figure>"


def _svg(plot: Plot) -> str:
    try:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RuntimeError("plots need matplotlib: pip install 'handstream[bench]'") from error
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for colour, series in zip(COLOURS * 4, plot.series, strict=False):
        x, y = np.asarray(series.x, float), np.asarray(series.y, float)
        if plot.kind == "cdf":
            axes.plot(np.sort(x), np.arange(1, len(x) + 1) / max(1, len(x)), color=colour, label=series.label)
        elif plot.kind == "bars":
            axes.bar(x, y, color=colour, label=series.label)
        elif plot.kind == "points":
            axes.plot(x, y, ".", color=colour, label=series.label, markersize=3, alpha=0.6)
        else:
            axes.plot(x, y, color=colour, label=series.label, linewidth=1.4)
    if plot.limit is not None:
        line = axes.axvline if plot.kind == "cdf" else axes.axhline
        line(plot.limit, color="#c0262d", linestyle="--", linewidth=1, label="limit")
    if plot.labels:
        axes.set_xticks(range(len(plot.labels)), plot.labels, rotation=35, ha="right")
    axes.set(title=plot.title, xlabel=plot.x_label, ylabel=plot.y_label)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(plot.series) > 1 or plot.limit is not None:
        axes.legend(frameon=False, fontsize=8)
    drawn = io.StringIO()
    FigureCanvasSVG(figure).print_svg(drawn, metadata={"Date": None})  # type: ignore[no-untyped-call]
    svg = drawn.getvalue()
    return svg[svg.index("<svg") :]
