"""What a method pays for sparsity: held-out MSE against held-out L0, and who is beaten by none."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from benchmarks.analysis.summary import Row, Summary
from benchmarks.report.figures.style import (
    LABEL,
    LINE,
    TICK,
    add_legend,
    legend_entries,
    marks,
    new_figure,
)

NAME = "pareto"
# Methods whose mean L0 differ by a smaller share have one and the same.
_SAME = 0.01


def draw(summary: Summary) -> Figure | str:
    """Draw each method's mean MSE against its mean L0, with intervals over draws.

    The stepped line joins the methods that no other beats in both. Returns a sentence where all
    methods have one L0, so that nothing is traded.
    """
    rows = [row for row in summary.rows if _at(row) is not None]
    if len(rows) < 2:
        return "no figure of MSE against L0: it takes two methods that have both"
    points = np.array([_at(row) for row in rows])
    l0 = points[:, 0]
    if np.ptp(l0) <= _SAME * l0.max():
        return "no figure of MSE against L0: all methods use as many latents a sample"
    found = marks([row.variant for row in summary.rows])
    figure = new_figure(6.4, 4.8, summary.cell.title)
    axis = figure.subplots()
    for row, (x, y) in zip(rows, points, strict=True):
        mark = found[row.label]
        for name, draw_line, at in (("mse", axis.vlines, x), ("l0", axis.hlines, y)):
            interval = row.estimates[name].ci95
            if interval is not None:
                draw_line(at, *interval, color=mark.colour, linewidth=1.2, zorder=2)
        axis.scatter(
            x,
            y,
            color=mark.colour,
            marker=mark.marker,
            s=40,
            edgecolors="0.15",
            linewidths=0.5,
            zorder=3,
        )
    best = points[front(points)]
    axis.step(best[:, 0], best[:, 1], where="post", color=LINE, linewidth=1.0, zorder=1)
    axis.set_xlabel("held-out L0: active latents a sample", fontsize=LABEL)
    axis.set_ylabel("held-out MSE", fontsize=LABEL)
    axis.tick_params(labelsize=TICK)
    add_legend(figure, legend_entries([row.variant for row in rows], found))
    return figure


def front(points: np.ndarray) -> Sequence[int]:
    """Return which points no other beats in both coordinates, by the first coordinate."""
    kept: list[int] = []
    for place in np.lexsort((points[:, 1], points[:, 0])):
        if not kept or points[place, 1] < points[kept[-1], 1]:
            kept.append(int(place))
    return kept


def _at(row: Row) -> tuple[float, float] | None:
    x, y = (row.estimates[name].mean if name in row.estimates else None for name in ("l0", "mse"))
    return None if x is None or y is None else (x, y)
