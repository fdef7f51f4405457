"""Very many methods on one problem: a line a method, a panel a measurement that is compared."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.analysis.names import in_order
from benchmarks.analysis.summary import Row, Summary
from benchmarks.contracts import Metric
from benchmarks.report.figures.style import (
    FOUND,
    LABEL,
    LINE,
    MISSED,
    TICK,
    add_legend,
    new_figure,
)

NAME = "all_methods"
# Of fewer the other figures have a mark or a panel each.
MOST_MARKED = 20
_FIRST = "stab_truth"
# Drawn on a scale of logarithms: above 0, over orders of magnitude.
_ERROR = "mse"
_INCHES = 0.19


def draw(summary: Summary) -> Figure:
    """Draw each method's means with their intervals, the best recovery on top.

    Filled: the best in a measurement, and those not told apart from it. Dashed: chance. Dotted:
    what oracles score.
    """
    rows = _ordered(summary)
    metrics = summary.questions
    figure = new_figure(2.4 + 2.2 * len(metrics), 1.2 + _INCHES * len(rows), summary.cell.title)
    axes = np.atleast_1d(figure.subplots(1, len(metrics), sharey=True))
    for axis, metric in zip(axes, metrics, strict=True):
        _draw_panel(axis, metric, summary, rows)
    axes[0].set_yticks(range(len(rows)), [row.title for row in rows], fontsize=TICK)
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    add_legend(figure, list(_legend()))
    return figure


def _legend() -> Iterator[Line2D]:
    dot = {"color": FOUND, "marker": "o", "markersize": 4.5}
    yield Line2D([], [], label="the best, or not told apart from it", **dot)
    yield Line2D([], [], label="another method", markerfacecolor="white", **dot)
    yield Line2D([], [], label="chance", color=MISSED, linestyle="--", linewidth=0.9)
    yield Line2D([], [], label="ceiling", color=LINE, linestyle=":", linewidth=0.9)


def _ordered(summary: Summary) -> list[Row]:
    place = {one.label: n for n, one in enumerate(in_order(r.variant for r in summary.rows))}

    def key(row: Row) -> tuple[float, int]:
        mean = row.estimates[_FIRST].mean if _FIRST in row.estimates else None
        return (np.inf if mean is None else -mean), place[row.label]

    return sorted(summary.rows, key=key)


def _draw_panel(axis: Axes, metric: Metric, summary: Summary, rows: list[Row]) -> None:
    name = metric.name
    for n, row in enumerate(rows):
        found = row.estimates[name]
        if found.mean is None:
            continue
        best = row.label in summary.leaders.get(name, ())
        if found.ci95 is not None:
            axis.hlines(n, *found.ci95, color=FOUND, linewidth=1.2, zorder=2)
        face = FOUND if best else "white"
        axis.scatter(found.mean, n, s=20, color=face, edgecolors=FOUND, linewidths=1.0, zorder=3)
    if name in summary.chance:
        axis.axvline(summary.chance[name], color=MISSED, linewidth=0.9, linestyle="--", zorder=1)
    for top in summary.oracles:
        mean = top.estimates[name].mean
        if mean is not None and (mean > 0 or name != _ERROR):
            axis.axvline(mean, color=LINE, linewidth=0.9, linestyle=":", zorder=1)
    if name == _ERROR:
        means = [mean for row in rows if (mean := row.estimates[name].mean) is not None]
        axis.set_xscale("log")
        # Intervals and oracles that reach down to 0 have no end on this scale.
        axis.set_xlim(min(means) / 3, max(means) * 2)
    axis.set_xlabel(metric.title, fontsize=LABEL)
    axis.tick_params(labelsize=TICK)
    axis.grid(axis="y", color="0.92", linewidth=0.6, zorder=0)
