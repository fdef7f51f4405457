"""Figures of a cell. Drawn from finished runs; nothing here trains or measures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from benchmarks.methods import METHODS
from benchmarks.store import RunRecord
from osae_theory.files import write_atomically
from osae_theory.metrics import orderedness_of_permutation

_PANEL = 2.6  # inches


def matched_pairs(records: Sequence[RunRecord]) -> Figure:
    """Draw where each true atom stands in the learned order (after the paper's Fig. 1).

    One column a method, its first run that did not diverge: above as trained, below the
    same latents sorted afterwards by energy. The colour is the matched signed cosine.
    """
    methods = dict.fromkeys(record.config.method for record in records)
    first = {
        method: next((r for r in records if r.config.method == method and r.status == "done"), None)
        for method in methods
    }
    shown = {method: record for method, record in first.items() if record is not None}
    figure = Figure(
        figsize=(_PANEL * max(len(shown), 1) + 1.2, 2 * _PANEL + 0.9), layout="constrained"
    )
    FigureCanvasAgg(figure)
    if not shown:
        figure.suptitle("every run diverged")
        return figure
    axes = figure.subplots(2, len(shown), sharex=True, sharey=True, squeeze=False)
    colours = Normalize(0, 1)
    for column, (method, record) in enumerate(shown.items()):
        K = record.arrays["permutation"].size
        _panel(axes[0, column], record, np.arange(K), METHODS[method].title, colours)
        _panel(axes[1, column], record, record.arrays["energy_order"], "", colours)
        axes[1, column].set_xlabel("true atom (by weight)")
        if column == 0:
            for axis, kind in zip(axes[:, 0], ("as trained", "sorted by energy"), strict=True):
                axis.set_ylabel(f"learned position,\n{kind}")
    figure.colorbar(ScalarMappable(colours, "viridis"), ax=axes, label="matched cosine", shrink=0.6)
    return figure


def _panel(
    axis: Axes, record: RunRecord, order: np.ndarray, title: str, colours: Normalize
) -> None:
    truth = record.arrays["permutation"][order]
    positions = np.arange(1, truth.size + 1)
    axis.plot([1, truth.size], [1, truth.size], color="0.8", linewidth=1, zorder=0)
    axis.scatter(
        truth + 1,
        positions,
        c=record.arrays["similarities"][order],
        cmap="viridis",
        norm=colours,
        s=10,
    )
    correlation = f"Ord {orderedness_of_permutation(truth):.2f}"
    axis.set_title(f"{title}\n{correlation}" if title else correlation, fontsize=10)
    axis.set_aspect("equal")


def save(figure: Figure, path: Path) -> None:
    """Write a figure, atomically; the format is the path's suffix."""
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150))
