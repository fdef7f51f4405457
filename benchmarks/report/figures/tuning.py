"""How a method's learning rate was chosen: recovery, order and error at each rate tried."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, NullFormatter

from benchmarks import catalogue, tuning
from benchmarks.analysis.names import Variant
from benchmarks.contracts import Method
from benchmarks.parameters import Value
from benchmarks.report.figures.style import COLOURS, LABEL, LINE, TICK, new_figure, panel_grid
from benchmarks.tuning_cells import TUNED_AT, TUNING_CELLS
from osae_theory.errors import InputError

NAME = "tuning"
NO_FIGURE = "no figure of the tuning: no method has tuned values with what they were chosen from"
_MOST_COLUMNS = 5
_Drawn = tuple[str, str, str, str, Literal["-", "--", ":"]]
_ABOVE: Sequence[_Drawn] = (
    ("stab_truth", "Stab(D, D*)", COLOURS[0], "o", "-"),
    ("ord_by_energy", "Ord by energy", COLOURS[1], "^", "--"),
    ("ord_truth", "Ord as trained", COLOURS[2], "s", ":"),
)
_BELOW: Sequence[_Drawn] = (("mse", "held-out MSE", COLOURS[4], "D", "-"),)
_CHOSEN, _RECOVERY = "0.7", COLOURS[3]
# Those that lie within the range of the candidates are shown.
_TICKS = (0.001, 0.003, 0.01, 0.03, 0.1)


@dataclass(frozen=True, eq=False)
class Tuned:
    """What the tuning protocol tried for one method, and chose.

    Attributes
    ----------
    method : Method
        The method.
    at : str
        The tuning cell.
    chosen, by_recovery : mapping of str to value
        The tuned values with the lowest mean held-out MSE, and with the highest mean Stab(D, D*).
    tried : sequence of mapping
        "values", and by metric "mean" and "deviation" over the tuning draws, None where they are
        not defined.
    """

    method: Method
    at: str
    chosen: Mapping[str, Value]
    by_recovery: Mapping[str, Value]
    tried: Sequence[Mapping[str, Any]]


def tuned(variants: Sequence[Variant]) -> list[Tuned]:
    """Return what was tried for the methods whose tuned values some variants have.

    A method that has another's tuned values adds that other one. Methods that are unknown, not
    tuned, or tuned by an earlier protocol are left out.

    Parameters
    ----------
    variants : sequence of Variant
        In the order of tables.

    Raises
    ------
    InputError
        If a file of tuned values cannot be read.
    """
    methods = catalogue.methods()
    own = [(methods[one.method], one.tuned_at) for one in variants if one.known]
    each = dict.fromkeys((one.tuned_as or one.name, at) for one, at in own if one.tuned)
    found = [_read(methods[name], at) for name, at in each]
    return [one for one in found if one is not None]


def _read(method: Method, at: str) -> Tuned | None:
    file = catalogue.tuned_file(method.name, at)
    if not file.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if "tried" not in content:
            return None
        found = Tuned(method, at, content["chosen"], content["by_recovery"], content["tried"])
        for picked in (found.chosen, found.by_recovery):
            float(picked[tuning.RATE])
        for metric in tuning.METRICS:
            _columns(found.tried, metric)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} cannot be read: expected tuned values") from error
    return found


def draw(found: Sequence[Tuned]) -> Figure | str:
    """Draw two panels a method: Stab and Ord, and below them the error, against the rate.

    A line joins the configurations whose other tuned values are at the middle of their
    candidates; those with the other values of what was chosen are points beside it where they
    differ. Returns a sentence where there is no method.

    Parameters
    ----------
    found : sequence of Tuned
        In the order of tables.
    """
    if not found:
        return NO_FIGURE
    rows, columns = panel_grid(len(found), _MOST_COLUMNS)
    title = (
        "learning rates that were tried: mean ± standard deviation"
        f"\nover {tuning.N_DRAWS} tuning draws of {_cells(found)}"
    )
    figure = new_figure(max(2.3 * columns + 0.5, 6.6), 2.9 * rows + 1.3, title)
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=[1.35, 1.0] * rows)
    lowest, highest = _limits(found, [tuning.ERROR])
    least = min(_limits(found, [name for name, *_ in _ABOVE])[0], 0.0)
    for place, one in enumerate(found):
        row, column = divmod(place, columns)
        above = figure.add_subplot(grid[2 * row, column])
        below = figure.add_subplot(grid[2 * row + 1, column], sharex=above)
        _panel(above, one, _ABOVE)
        _panel(below, one, _BELOW)
        name = one.method.title if one.at == TUNED_AT else one.method.title_as(f"at {one.at}")
        above.set_title(f"{name}\n{_chosen_text(one)}", fontsize=TICK)
        above.set_ylim(least - 0.05, 1.05)
        above.tick_params(labelbottom=False)
        below.tick_params(axis="y", which="both", labelsize=TICK)
        below.set_yscale("log")
        below.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        below.yaxis.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=False))
        below.yaxis.set_minor_formatter(NullFormatter())
        below.set_ylim(lowest / 1.4, highest * 1.4)
        if column == 0:
            above.set_ylabel("Stab, Ord", fontsize=LABEL)
            below.set_ylabel("MSE", fontsize=LABEL)
        else:
            above.tick_params(labelleft=False)
            below.tick_params(labelleft=False, which="both")
        if place + columns >= len(found):
            below.set_xlabel("learning rate", fontsize=LABEL)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=3, fontsize=TICK)
    return figure


def _panel(axis: Axes, one: Tuned, measurements: Sequence[_Drawn]) -> None:
    chosen, recovery = (float(own[tuning.RATE]) for own in (one.chosen, one.by_recovery))
    axis.axvline(chosen, color=_CHOSEN, linewidth=2.4, zorder=1)
    axis.axvline(recovery, color=_RECOVERY, linewidth=1.4, linestyle="--", zorder=1.5)
    line = _line(one)
    for metric, _, colour, marker, style in measurements:
        for configurations, face, linestyle, size in (
            (line, colour, style, 3.5),
            (_beside(one, one.by_recovery), _RECOVERY, "", 7.0),
            (_beside(one, one.chosen), _CHOSEN, "", 7.0),
        ):
            x, mean, deviation = _columns(configurations, metric)
            axis.errorbar(
                x,
                mean,
                yerr=_bars(mean, deviation, metric),
                color=colour,
                marker=marker,
                markersize=size,
                markerfacecolor=face,
                markeredgecolor=colour,
                linestyle=linestyle,
                linewidth=1.2,
                elinewidth=0.7,
                zorder=3,
            )
    for own in line:
        if own["mean"][tuning.ERROR] is None:
            x = float(own["values"][tuning.RATE])
            axis.plot(x, 0.06, "x", color=LINE, markersize=5, transform=axis.get_xaxis_transform())
    rates = [float(own["values"][tuning.RATE]) for own in one.tried]
    axis.set_xscale("log")
    axis.set_xlim(min(rates) / 1.25, max(rates) * 1.25)
    ticks = [rate for rate in _TICKS if min(rates) <= rate <= max(rates)]
    axis.set_xticks(ticks, [f"{rate:g}" for rate in ticks])
    axis.minorticks_off()
    axis.grid(color="0.93")
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=TICK)


def _line(one: Tuned) -> list[Mapping[str, Any]]:
    """Return the configurations with the other tuned values at their middle, by rate."""
    middle = _others(dict(tuning.first_configurations(one.method, TUNING_CELLS[one.at])[0]))
    own = [each for each in one.tried if _others(each["values"]) == middle]
    return sorted(own, key=lambda each: float(each["values"][tuning.RATE]))


def _beside(one: Tuned, picked: Mapping[str, Value]) -> list[Mapping[str, Any]]:
    """Return the configuration that was picked, if it is not on the line."""
    line = _line(one)
    return [each for each in one.tried if each["values"] == picked and each not in line]


def _others(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if name != tuning.RATE}


def _cells(found: Sequence[Tuned]) -> str:
    return " and of ".join(TUNING_CELLS[at].words for at in dict.fromkeys(one.at for one in found))


def _chosen_text(one: Tuned) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in one.chosen.items())


def _columns(
    configurations: Sequence[Mapping[str, Any]], metric: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rates, means and deviations; NaN where they are not defined."""
    return (
        np.array([float(own["values"][tuning.RATE]) for own in configurations]),
        np.array([_number(own["mean"][metric]) for own in configurations]),
        np.array([_number(own["deviation"][metric]) for own in configurations]),
    )


def _bars(mean: np.ndarray, deviation: np.ndarray, metric: str) -> np.ndarray:
    """Return the lengths of the bars below and above; on a scale of logarithms none reaches 0."""
    below = np.minimum(deviation, 0.9 * mean) if metric == tuning.ERROR else deviation
    return np.nan_to_num(np.stack([below, deviation]))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _limits(found: Sequence[Tuned], metrics: Sequence[str]) -> tuple[float, float]:
    """Return the least and the greatest mean of some measurements, the same for all methods."""
    values = [_number(own["mean"][name]) for one in found for own in one.tried for name in metrics]
    defined = [value for value in values if math.isfinite(value)]
    return (min(defined), max(defined)) if defined else (0.1, 1.0)


def _legend() -> list[Line2D]:
    return [
        *(
            Line2D([], [], color=colour, marker=marker, markersize=4, linestyle=style, label=label)
            for _, label, colour, marker, style in (*_ABOVE, *_BELOW)
        ),
        Line2D([], [], color=_CHOSEN, linewidth=2.4, label="chosen, by held-out MSE"),
        Line2D([], [], color=_RECOVERY, linestyle="--", label="best by Stab(D, D*)"),
        Line2D(
            [],
            [],
            color="0.2",
            marker="o",
            markersize=7,
            markerfacecolor=_CHOSEN,
            linestyle="",
            label="one of the two, with other own values",
        ),
        Line2D([], [], color=LINE, marker="x", linestyle="", label="some run did not end well"),
    ]
