"""What the figures share: colours with markers, sizes, and one kind of canvas."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.analysis.names import Variant
from benchmarks.analysis.summary import Summary
from osae_theory.metrics.intervals import Estimate

# Okabe and Ito's palette, told apart also by the colour-blind. The two that are pale on white
# come last; every marker has a dark edge.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
# As matplotlib has them; a method has its colour and its marker in every figure.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
FOUND, MISSED, BAND, LINE = "#0072B2", "#D55E00", "0.85", "0.4"
TITLE, LABEL, TICK = 10, 9, 8
MOST_PANELS = 12


@dataclass(frozen=True)
class Mark:
    """How a method is drawn."""

    colour: str
    marker: str


def marks(variants: Sequence[Variant]) -> Mapping[str, Mark]:
    """Return for each label its colour and marker; no two alike among the first 56."""
    return {
        one.label: Mark(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)])
        for place, one in enumerate(variants)
    }


def new_figure(width: float, height: float, title: str) -> Figure:
    """Return an empty figure, sizes in inches, with a title."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=TITLE)
    return figure


def draw_estimate(axis: Axes, x: float, found: Estimate, mark: Mark, vertical: bool = True) -> None:
    """Draw a mean with its interval, where there is one."""
    if found.mean is None:
        return
    if found.ci95 is not None:
        draw = axis.vlines if vertical else axis.hlines
        draw(x, *found.ci95, color=mark.colour, linewidth=1.4, zorder=2)
    at = (x, found.mean) if vertical else (found.mean, x)
    axis.scatter(
        *at,
        color=mark.colour,
        marker=mark.marker,
        s=34,
        edgecolors="0.15",
        linewidths=0.5,
        zorder=3,
    )


def draw_lines(
    axis: Axes,
    metric: str,
    summaries: Sequence[Summary],
    variants: Sequence[Variant],
    place: Callable[[Summary, float], float],
) -> None:
    """Draw a line a method through its means in some tables, each with its interval.

    Parameters
    ----------
    axis : Axes
    metric : str
        The measurement's name.
    summaries : sequence of Summary
        In their order along the axis.
    variants : sequence of Variant
        All methods of the figure, in the order of tables.
    place : callable
        From a table and a shift, which is 0 on average over the methods and grows by 1 from one to
        the next, where the method stands: intervals of methods that score alike would hide each
        other.
    """
    found = marks(variants)
    for i, one in enumerate(variants):
        line = []
        for summary in summaries:
            row = next((r for r in summary.rows if r.label == one.label), None)
            estimate = None if row is None else row.estimates.get(metric)
            if estimate is None or estimate.mean is None:
                continue
            x = place(summary, i - (len(variants) - 1) / 2)
            draw_estimate(axis, x, estimate, found[one.label])
            line.append((x, estimate.mean))
        if len(line) > 1:
            axis.plot(*zip(*line, strict=True), color=found[one.label].colour, linewidth=1.0)


def in_tables(variants: Sequence[Variant], summaries: Sequence[Summary]) -> list[Variant]:
    """Return the methods that stand in some of these tables."""
    there = {row.label for summary in summaries for row in summary.rows}
    return [one for one in variants if one.label in there]


def legend_entries(variants: Sequence[Variant], found: Mapping[str, Mark]) -> list[Line2D]:
    """Return the legend's entries of methods."""
    return [
        Line2D(
            [],
            [],
            color=found[one.label].colour,
            marker=found[one.label].marker,
            markeredgecolor="0.15",
            markeredgewidth=0.5,
            linewidth=1.2,
            label=one.title,
        )
        for one in variants
    ]


def add_legend(figure: Figure, entries: Sequence[Line2D], columns: int = 4) -> None:
    """Put a legend below the panels, in as many columns as the figure is wide enough for.

    Parameters
    ----------
    figure : Figure
        One of `new_figure`.
    entries : sequence of Line2D
        The legend's entries.
    columns : int
        Most columns.
    """
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    for n in range(min(columns, len(entries)), 0, -1):
        legend = figure.legend(
            handles=list(entries), loc="outside lower center", ncols=n, fontsize=TICK
        )
        if n == 1 or legend.get_window_extent(canvas.get_renderer()).width <= figure.bbox.width:
            return
        legend.remove()


def panel_grid(n: int, most_columns: int = 4) -> tuple[int, int]:
    """Return rows and columns of n panels."""
    columns = min(n, most_columns)
    return int(np.ceil(n / columns)), columns
