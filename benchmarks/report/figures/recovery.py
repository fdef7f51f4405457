"""Recovery against the number of samples: Stab(D, D*) in cells that differ in N alone."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.analysis.names import Variant
from benchmarks.analysis.summary import Summary
from benchmarks.parameters import Value
from benchmarks.report.figures.style import (
    LABEL,
    MOST_PANELS,
    TICK,
    add_legend,
    draw_lines,
    in_tables,
    legend_entries,
    marks,
    new_figure,
    panel_grid,
)

NAME = "recovery"
AXIS, METRIC = "N", "stab_truth"
_JITTER = 1.03


def draw(summaries: Sequence[Summary], variants: Sequence[Variant]) -> Figure | str:
    """Draw one panel a group of cells that differ in N alone: the mean over draws of Stab(D, D*).

    Parameters
    ----------
    summaries : sequence of Summary
        Of one kind of tables.
    variants : sequence of Variant
        All methods of the grid, in the order of tables.
    """
    groups = _groups(summaries)
    if not groups:
        return "no figure of recovery against N: no two cells differ in N alone"
    shown = dict(list(groups.items())[:MOST_PANELS])
    rows, columns = panel_grid(len(shown), 4)
    title = "recovery of the true dictionary against the number of training samples"
    if len(shown) < len(groups):
        title += f"\nthe first {len(shown)} of {len(groups)} groups of cells"
    figure = new_figure(max(2.7 * columns + 0.6, 6.0), 2.5 * rows + 1.3, title)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for place, (axis, (others, group)) in enumerate(zip(axes.flat, shown.items(), strict=False)):
        _panel(axis, others[1], group, variants)
        if place % columns == 0:
            axis.set_ylabel("Stab(D, D*)", fontsize=LABEL)
        if place + columns >= len(shown):
            axis.set_xlabel("training samples N", fontsize=LABEL)
            axis.tick_params(labelbottom=True)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    drawn = in_tables(variants, [summary for group in shown.values() for summary in group])
    add_legend(figure, legend_entries(drawn, marks(variants)))
    return figure


_Others = tuple[str, tuple[tuple[str, Value], ...]]


def _groups(summaries: Sequence[Summary]) -> dict[_Others, list[Summary]]:
    """Return the cells of one family and with the same other parameters."""
    found: dict[_Others, list[Summary]] = {}
    for summary in summaries:
        params = dict(summary.cell.params)
        if AXIS in params:
            del params[AXIS]
            others = (summary.cell.family, tuple(params.items()))
            found.setdefault(others, []).append(summary)
    return {others: group for others, group in found.items() if len(group) > 1}


def _panel(
    axis: Axes,
    others: tuple[tuple[str, Value], ...],
    group: Sequence[Summary],
    variants: Sequence[Variant],
) -> None:
    by_size = sorted(group, key=lambda summary: float(summary.cell.params[AXIS]))
    draw_lines(
        axis,
        METRIC,
        by_size,
        variants,
        lambda summary, shift: float(summary.cell.params[AXIS]) * _JITTER**shift,
    )
    axis.set_xscale("log")
    sizes = [float(summary.cell.params[AXIS]) for summary in by_size]
    axis.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axis.minorticks_off()
    axis.grid(color="0.93")
    title = ", ".join(f"{name} = {value}" for name, value in others)
    if METRIC in by_size[0].chance:
        # A line there would press all that differs into the top of the panel.
        title += f"\nby chance {by_size[0].chance[METRIC]:.2f}"
    axis.set_title(title, fontsize=TICK)
    axis.tick_params(labelsize=TICK)
