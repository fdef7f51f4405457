"""Where each true atom stands in the learned order (after the paper's Fig. 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmarks.analysis.summary import Row, Summary
from benchmarks.report.figures.style import (
    BAND,
    FOUND,
    LABEL,
    LINE,
    MISSED,
    TICK,
    new_figure,
)
from benchmarks.report.rounding import interval_text
from benchmarks.report.tables import scope_text
from osae_theory.metrics import Matching

NAME = "matched_pairs"
_PANEL = 2.5  # inches
_MOST_COLUMNS = 5
# The vector that holds each order, what Ord in that order is called, and its name on the axis.
ORDERS = (
    (None, "ord_truth", "as trained"),
    ("energy_order", "ord_by_energy", "sorted by energy"),
    ("frequency_order", "ord_by_frequency", "sorted by frequency"),
)

Vectors = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Matched:
    """The runs of one method that a figure shows.

    Attributes
    ----------
    row : Row
        The method's row.
    runs : sequence of mapping
        The vectors of each run that is done; see `benchmarks.outcome.VECTORS`.
    """

    row: Row
    runs: Sequence[Vectors]


def matched(
    summary: Summary, runs_by_label: Mapping[str, Sequence[str]], vectors: pd.DataFrame
) -> list[Matched]:
    """Return the runs of each row whose vectors the store holds.

    Parameters
    ----------
    summary : Summary
        The table.
    runs_by_label : mapping of str to sequence of str
        The ids of the finished runs of each row.
    vectors : pandas.DataFrame
        Of these runs, as in a store: run, name, values.
    """
    by_run: dict[str, dict[str, np.ndarray]] = {}
    for run, name, values in zip(vectors["run"], vectors["name"], vectors["values"], strict=True):
        by_run.setdefault(str(run), {})[str(name)] = np.asarray(values, dtype=float)
    found = [
        Matched(row, [by_run[run] for run in runs_by_label[row.label] if run in by_run])
        for row in summary.rows
    ]
    return [one for one in found if one.runs]


def draw(summary: Summary, shown: Sequence[Matched]) -> Figure | str:
    """Draw a panel a method and order: as trained, by energy, by frequency.

    Methods are columns and orders are rows; where there are many methods, the other way round.
    For each true atom, by its weight, a panel has the median over runs of its place in the
    learned order, and the band of the middle 80% of runs. A filled dot is an atom that at least
    half the runs recovered. Returns a sentence where the store holds no vectors of these runs.
    """
    if not shown:
        return "no figure of matched pairs: no finished run has its matching kept in the store"
    title = f"{summary.cell.title}\n{scope_text(summary)}"
    tall = len(shown) > _MOST_COLUMNS
    rows, columns = (len(shown), len(ORDERS)) if tall else (len(ORDERS), len(shown))
    figure = new_figure(max(_PANEL * columns + 1.0, 6.0), _PANEL * rows + 1.2, title)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for i, one in enumerate(shown):
        for j, (name, key, label) in enumerate(ORDERS):
            axis = axes[i, j] if tall else axes[j, i]
            _panel(axis, one.runs, name)
            found = one.row.estimates.get(key)
            text = "" if found is None else f"Ord {interval_text(found.mean, found.ci95)}"
            above, beside = (label, one.row.title) if tall else (one.row.title, label)
            top, left = (i == 0, j == 0) if tall else (j == 0, i == 0)
            axis.set_title(f"{above}\n{text}" if top else text, fontsize=LABEL)
            if left:
                axis.set_ylabel(_side(beside, tall), fontsize=LABEL)
    for axis in axes[-1]:
        axis.set_xlabel("true atom, by weight", fontsize=LABEL)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=2, fontsize=TICK)
    return figure


def _side(beside: str, tall: bool) -> str:
    return f"{beside}:\nplace in the order" if tall else f"place in the order,\n{beside}"


def places(run: Vectors, order: str | None) -> Float[np.ndarray, " K"]:
    """Return for each true atom its place, from 1, in one of a run's orders.

    Parameters
    ----------
    run : mapping of str to array
        The run's vectors.
    order : str, optional
        The name of the vector that holds the order; None is the order as trained.
    """
    truth = run["permutation"].astype(int)
    found = np.empty(truth.size)
    latents = np.arange(truth.size) if order is None else run[order].astype(int)
    found[truth[latents]] = np.arange(1, truth.size + 1)
    return found


def _recovered(run: Vectors) -> Float[np.ndarray, " K"]:
    """Return for each true atom whether a run recovered it, as 0 or 1."""
    truth = run["permutation"].astype(int)
    found = np.empty(truth.size)
    found[truth] = Matching(truth, run["similarities"], absolute=False).recovered()
    return found


def _panel(axis: Axes, runs: Sequence[Vectors], order: str | None) -> None:
    by_run = np.stack([places(run, order) for run in runs])
    low, median, high = np.quantile(by_run, (0.1, 0.5, 0.9), axis=0)
    often = np.mean([_recovered(run) for run in runs], axis=0) >= 0.5
    atoms = np.arange(1, median.size + 1)
    size = float(np.clip(900 / median.size, 6, 30))
    axis.plot([1, median.size], [1, median.size], color=LINE, linewidth=0.8, zorder=1.5)
    axis.vlines(atoms, low, high, color=BAND, linewidth=min(3.0, 150 / median.size), zorder=1)
    axis.scatter(atoms[often], median[often], s=size, color=FOUND, zorder=3)
    axis.scatter(
        atoms[~often], median[~often], s=size, facecolors="white", edgecolors=MISSED, zorder=2
    )
    axis.set_aspect("equal")
    axis.tick_params(labelsize=TICK)


def _legend() -> list[Line2D | Patch]:
    dot = {"linestyle": "", "marker": "o", "markersize": 5}
    return [
        Line2D(
            [], [], color=FOUND, label="median place; recovered in half the runs or more", **dot
        ),
        Patch(color=BAND, label="10% to 90% of the runs"),
        Line2D(
            [],
            [],
            markeredgecolor=MISSED,
            markerfacecolor="white",
            color=MISSED,
            label="median place; recovered in fewer",
            **dot,
        ),
        Line2D([], [], color=LINE, linewidth=0.8, label="the order of the truth"),
    ]
