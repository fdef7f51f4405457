"""Figures of a cell. Drawn from finished runs; nothing here trains or measures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmarks.methods import METHODS
from benchmarks.rounding import interval_text
from benchmarks.store import RunRecord
from benchmarks.summary import Summary
from osae_theory.files import write_atomically
from osae_theory.metrics import Matching

_PANEL = 2.5  # inches
# Of Okabe and Ito's palette, told apart also by the colour-blind and in grey.
_FOUND, _MISSED, _BAND = "#0072B2", "#D55E00", "0.85"
# The array that holds each order, what Ord in that order is called, and its name on the axis.
ORDERS = (
    (None, "ord_truth", "as trained"),
    ("energy_order", "ord_by_energy", "sorted by energy"),
    ("frequency_order", "ord_by_frequency", "sorted by frequency"),
)


def matched_pairs(records: Sequence[RunRecord], summary: Summary) -> Figure:
    """Draw where each true atom stands in the learned order (after the paper's Fig. 1).

    One column a method, one row an order: as trained, sorted by energy, sorted by frequency.
    All runs of all draws are in it, but those that diverged: for each true atom, by its weight,
    the median over runs of its place in the learned order, and the band of the middle 80% of
    runs. A filled dot is an atom that at least half the runs recovered.
    """
    methods = dict.fromkeys(record.config.method for record in records)
    done = {
        method: [r for r in records if r.config.method == method and r.status == "done"]
        for method in methods
    }
    shown = {method: runs for method, runs in done.items() if runs}
    columns = max(len(shown), 1)
    figure = Figure(figsize=(_PANEL * columns + 1.0, 3 * _PANEL + 1.2), layout="constrained")
    FigureCanvasAgg(figure)
    if not shown:
        figure.suptitle("every run diverged")
        return figure
    figure.suptitle(_title(shown, summary), fontsize=10)
    axes = figure.subplots(len(ORDERS), len(shown), sharex=True, sharey=True, squeeze=False)
    rows = {row.method: row for row in summary.rows}
    for column, (method, runs) in enumerate(shown.items()):
        for axis, (name, key, label) in zip(axes[:, column], ORDERS, strict=True):
            _panel(axis, runs, name)
            found = rows[method].estimates[key]
            title = f"Ord {interval_text(found.mean, found.ci95)}"
            first = axis is axes[0, column]
            axis.set_title(f"{METHODS[method].title}\n{title}" if first else title, fontsize=9)
            if column == 0:
                axis.set_ylabel(f"place in the order,\n{label}", fontsize=9)
        axes[-1, column].set_xlabel("true atom, by weight", fontsize=9)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=2, fontsize=8)
    return figure


def places(record: RunRecord, order: str | None) -> Float[np.ndarray, " K"]:
    """Return for each true atom its place, from 1, in one of a run's orders.

    Parameters
    ----------
    record : RunRecord
        A run that did not diverge.
    order : str, optional
        The name of the array that holds the order; None is the order as trained.
    """
    truth = record.arrays["permutation"]
    found = np.empty(truth.size)
    found[truth if order is None else truth[record.arrays[order]]] = np.arange(1, truth.size + 1)
    return found


def _recovered(record: RunRecord) -> Float[np.ndarray, " K"]:
    """Return for each true atom whether a run recovered it, as 0 or 1."""
    truth = record.arrays["permutation"]
    found = np.empty(truth.size)
    found[truth] = Matching(truth, record.arrays["similarities"], absolute=False).recovered()
    return found


def _panel(axis: Axes, runs: Sequence[RunRecord], order: str | None) -> None:
    by_run = np.stack([places(record, order) for record in runs])
    low, median, high = np.quantile(by_run, (0.1, 0.5, 0.9), axis=0)
    often = np.mean([_recovered(record) for record in runs], axis=0) >= 0.5
    atoms = np.arange(1, median.size + 1)
    size = float(np.clip(900 / median.size, 6, 30))
    axis.plot([1, median.size], [1, median.size], color="0.4", linewidth=0.8, zorder=1.5)
    axis.vlines(atoms, low, high, color=_BAND, linewidth=min(3.0, 150 / median.size), zorder=1)
    axis.scatter(atoms[often], median[often], s=size, color=_FOUND, zorder=3)
    axis.scatter(
        atoms[~often], median[~often], s=size, facecolors="white", edgecolors=_MISSED, zorder=2
    )
    axis.set_aspect("equal")
    axis.tick_params(labelsize=8)


def _title(shown: dict[str, list[RunRecord]], summary: Summary) -> str:
    counts = sorted({len(runs) for runs in shown.values()})
    runs = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return (
        f"{summary.cell}\n"
        f"{runs} run{'s' * (counts[-1] > 1)} a method: {summary.draws} problem"
        f" draw{'s' * (summary.draws > 1)} x {summary.seeds} seed{'s' * (summary.seeds > 1)}"
    )


def _legend() -> list[Line2D | Patch]:
    dot = {"linestyle": "", "marker": "o", "markersize": 5}
    return [
        Line2D(
            [], [], color=_FOUND, label="median place; recovered in half the runs or more", **dot
        ),
        Patch(color=_BAND, label="10% to 90% of the runs"),
        Line2D(
            [],
            [],
            markeredgecolor=_MISSED,
            markerfacecolor="white",
            color=_MISSED,
            label="median place; recovered in fewer",
            **dot,
        ),
        Line2D([], [], color="0.4", linewidth=0.8, label="the order of the truth"),
    ]


def save(figure: Figure, path: Path) -> None:
    """Write a figure, atomically; the format is the path's suffix."""
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150))
