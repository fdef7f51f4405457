"""Mean ranks over the cells of a grid, with intervals: one panel a measurement."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmarks.analysis.names import Variant
from benchmarks.analysis.ranks import Ranking
from benchmarks.report.figures.style import (
    LABEL,
    TICK,
    draw_estimate,
    marks,
    new_figure,
    panel_grid,
)

NAME = "ranks"


def draw(rankings: Sequence[Ranking], variants: Sequence[Variant]) -> Figure | str:
    """Draw one panel a measurement, one line a method; 1 is the best.

    Parameters
    ----------
    rankings : sequence of Ranking
        At least one.
    variants : sequence of Variant
        All methods of the grid, in the order of tables.
    """
    shown = [ranking for ranking in rankings if not ranking.reason]
    if not shown:
        return f"no figure of ranks: {rankings[0].reason}"
    ranked = [one for one in variants if any(one.label in r.ranks for r in shown)]
    found = marks(variants)
    rows, columns = panel_grid(len(shown), 3)
    width = 3.0 * columns + 1.6
    figure = new_figure(
        width, rows * (0.32 * len(ranked) + 1.1) + 0.5, "mean rank over cells, 1 the best"
    )
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axis, ranking in zip(axes.flat, shown, strict=False):
        for place, one in enumerate(ranked):
            if one.label in ranking.ranks:
                draw_estimate(axis, place, ranking.ranks[one.label], found[one.label], False)
        axis.set_title(f"{ranking.metric.title}\n{ranking.cells} cells", fontsize=LABEL)
        axis.set_xlim(0.8, len(ranked) + 0.2)
        axis.set_xticks(range(1, len(ranked) + 1))
        axis.set_yticks(range(len(ranked)), [one.title for one in ranked], fontsize=LABEL)
        axis.set_ylim(len(ranked) - 0.5, -0.5)
        axis.grid(axis="x", color="0.9")
        axis.tick_params(labelsize=TICK)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    return figure
