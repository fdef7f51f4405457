"""Measurements along one parameter of the problem (the toy sweeps of the paper's Fig. 10)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.analysis.names import Variant
from benchmarks.analysis.summary import Summary
from benchmarks.parameters import Value
from benchmarks.report.figures.recovery import AXIS as N_SAMPLES
from benchmarks.report.figures.style import (
    LABEL,
    LINE,
    TICK,
    add_legend,
    draw_lines,
    in_tables,
    legend_entries,
    marks,
    new_figure,
)

NAME = "sweeps"
METRICS = ("stab_truth", "ord_truth", "ord_by_energy", "mse", "fifr")
_LEAST, _MOST = 3, 4
_SPREAD = 0.035  # of the axis, over all methods


@dataclass(frozen=True, eq=False)
class Sweep:
    """Cells of one family that differ in one number alone.

    Attributes
    ----------
    parameter : str
        Its name.
    others : mapping of str to value
        The parameters that they have in common.
    summaries : sequence of Summary
        In the order of the number.
    """

    parameter: str
    others: dict[str, Value]
    summaries: Sequence[Summary]

    @property
    def values(self) -> list[float]:
        """The number, of each cell."""
        return [float(one.cell.params[self.parameter]) for one in self.summaries]


def sweeps(summaries: Sequence[Summary]) -> list[Sweep]:
    """Return all groups of three cells or more that differ in one number, but for the samples.

    Parameters
    ----------
    summaries : sequence of Summary
        Of one kind of tables.
    """
    groups: dict[tuple[object, ...], list[Summary]] = {}
    for summary in summaries:
        params = dict(summary.cell.params)
        for name, value in params.items():
            if name != N_SAMPLES and not isinstance(value, str):
                others = tuple((n, v) for n, v in params.items() if n != name)
                groups.setdefault((summary.cell.family, name, *others), []).append(summary)
    return [
        Sweep(
            str(name),
            {n: v for n, v in group[0].cell.params.items() if n != name},
            sorted(group, key=lambda one: float(one.cell.params[str(name)])),
        )
        for (_, name, *_), group in groups.items()
        if len(group) >= _LEAST
    ]


def draw(summaries: Sequence[Summary], variants: Sequence[Variant]) -> Figure | str:
    """Draw a column a sweep and a row a measurement: means over draws with their intervals.

    What chance gives is a dotted line where the axis reaches down to it.

    Parameters
    ----------
    summaries : sequence of Summary
        Of one kind of tables.
    variants : sequence of Variant
        All methods of the grid, in the order of tables.
    """
    every = sweeps(summaries)
    if not every:
        return "no figure of sweeps: no three cells differ in one parameter alone"
    shown = every[:_MOST]
    metrics = {one.name: one for one in shown[0].summaries[0].metrics if one.name in METRICS}
    title = "measurements along one parameter of the problem"
    if len(shown) < len(every):
        title += f": the first {len(shown)} of {len(every)}"
    names = [name for name in METRICS if name in metrics]
    figure = new_figure(max(4.2 * len(shown) + 0.6, 6.6), 1.9 * len(names) + 1.6, title)
    axes = figure.subplots(len(names), len(shown), sharex="col", squeeze=False)
    for column, sweep in enumerate(shown):
        for axis, name in zip(axes[:, column], names, strict=True):
            _panel(axis, sweep, name, variants)
            axis.set_ylabel(metrics[name].title, fontsize=LABEL)
            if metrics[name].bounds[1] == np.inf:
                axis.set_yscale("log")
        family = sweep.summaries[0].cell.family_title
        common = ", ".join(f"{name} = {value}" for name, value in sweep.others.items())
        axes[0, column].set_title(f"{family}\n{common}", fontsize=TICK)
        axes[-1, column].set_xlabel(sweep.parameter, fontsize=LABEL)
    figure.align_ylabels()
    drawn = in_tables(variants, [summary for sweep in shown for summary in sweep.summaries])
    add_legend(figure, legend_entries(drawn, marks(variants)), 3)
    return figure


def _panel(axis: Axes, sweep: Sweep, metric: str, variants: Sequence[Variant]) -> None:
    values = sweep.values
    step = _SPREAD * (values[-1] - values[0]) / max(len(variants) - 1, 1)
    draw_lines(
        axis,
        metric,
        sweep.summaries,
        variants,
        lambda summary, shift: float(summary.cell.params[sweep.parameter]) + step * shift,
    )
    by_chance = [summary.chance.get(metric) for summary in sweep.summaries]
    known = [(x, y) for x, y in zip(values, by_chance, strict=True) if y is not None]
    low, high = axis.get_ylim()
    axis.plot(*np.array(known).reshape(-1, 2).T, color=LINE, linewidth=1.0, linestyle=":")
    axis.set_ylim(low, high)
    axis.set_xticks(values, [f"{value:g}" for value in values])
    axis.grid(color="0.93")
    axis.tick_params(which="both", labelsize=TICK)
