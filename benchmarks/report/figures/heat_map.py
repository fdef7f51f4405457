"""One measurement over the cells of a grid: a panel a method, a field a cell."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from benchmarks.analysis.names import Variant
from benchmarks.analysis.summary import Summary
from benchmarks.contracts import Metric
from benchmarks.parameters import Value
from benchmarks.report.figures.style import LABEL, TICK, new_figure

# Fields that are smaller than a number in them are told apart by colour, and the page's table.
_MOST_NUMBERED = 30
_MOST_FIELDS = 80
_MAP = "cividis"
_DARK = 0.55
_BETWEEN = " | "


def name(metric: Metric) -> str:
    """Return the figure's name for files."""
    return f"heat_map_{metric.name}"


@dataclass(frozen=True)
class _Axes:
    down: tuple[str, ...]
    across: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    columns: tuple[tuple[Value, ...], ...]


def draw(metric: Metric, summaries: Sequence[Summary], variants: Sequence[Variant]) -> Figure | str:
    """Draw a measurement's mean over draws in every cell, all methods on one scale of colours.

    Parameters
    ----------
    metric : Metric
        The measurement.
    summaries : sequence of Summary
        Of one kind of tables.
    variants : sequence of Variant
        All methods of the grid, in the order of tables.
    """
    where = f"no map of {metric.title} over cells"
    if len(summaries) < 2:
        return f"{where}: there is one cell"
    axes = _axes(summaries)
    if axes is None:
        return f"{where}: the cells differ in one parameter or in none"
    n_rows, n_columns = len(axes.rows), len(axes.columns)
    if max(n_rows, n_columns) > _MOST_FIELDS:
        return f"{where}: {n_rows} x {n_columns} fields are more than a figure shows"
    fields = {one.label: _fields(metric, summaries, one, axes) for one in variants}
    shown = [one for one in variants if np.isfinite(fields[one.label]).any()]
    if not shown:
        return f"{where}: it is defined nowhere"
    return _figure(metric, shown, fields, axes)


def _figure(
    metric: Metric,
    shown: Sequence[Variant],
    fields: dict[str, Float[np.ndarray, "rows columns"]],
    axes: _Axes,
) -> Figure:
    n_rows, n_columns = len(axes.rows), len(axes.columns)
    numbered = n_columns <= _MOST_NUMBERED
    field = (0.52, 0.32) if numbered else (0.2, 0.2)
    beside = max(1, min(len(shown), int(13 // (field[0] * n_columns + 0.4))))
    down = int(np.ceil(len(shown) / beside))
    unit = _unit(fields.values())
    fields = {label: field_values / 10.0**unit for label, field_values in fields.items()}
    every = np.concatenate([fields[one.label].ravel() for one in shown])
    scale = Normalize(float(np.nanmin(every)), float(np.nanmax(every)))
    figure = new_figure(
        max(beside * (field[0] * n_columns + 0.4) + 2.4, 6.0),
        down * (field[1] * n_rows + 0.45) + 1.6,
        f"{metric.title}: mean over draws{f', in 1e{unit}' if unit else ''}",
    )
    panels = figure.subplots(down, beside, sharex=True, sharey=True, squeeze=False)
    for place, (panel, one) in enumerate(zip(panels.flat, shown, strict=False)):
        _panel(panel, fields[one.label], scale, numbered)
        panel.set_title(one.title, fontsize=LABEL)
        if place % beside == 0:
            panel.set_yticks(range(n_rows), _labels(axes.rows), fontsize=TICK)
            panel.set_ylabel(_BETWEEN.join(axes.down), fontsize=LABEL)
        if place + beside >= len(shown):
            panel.set_xticks(range(n_columns), _labels(axes.columns), fontsize=TICK, rotation=90)
            panel.set_xlabel(_BETWEEN.join(axes.across), fontsize=LABEL)
            panel.tick_params(labelbottom=True)
    for panel in panels.flat[len(shown) :]:
        panel.set_visible(False)
    bar = figure.colorbar(panels[0, 0].images[0], ax=panels, shrink=0.8, aspect=30)
    bar.ax.tick_params(labelsize=TICK)
    return figure


def _panel(
    panel: Axes, field: Float[np.ndarray, "rows columns"], scale: Normalize, numbered: bool
) -> None:
    panel.imshow(field, norm=scale, cmap=_MAP, aspect="auto")
    panel.set_facecolor("0.9")
    if not numbered:
        return
    for (row, column), value in np.ndenumerate(field):
        if np.isfinite(value):
            ink = "white" if scale(value) < _DARK else "black"
            text = _number(float(value))
            panel.text(column, row, text, ha="center", va="center", fontsize=7.5, color=ink)


def _unit(fields: Iterable[np.ndarray]) -> int:
    """Return a power of ten, a multiple of 3, that brings small values to readable size."""
    largest = max(float(np.nanmax(np.abs(field), initial=0.0)) for field in fields)
    return 0 if largest >= 0.1 or largest == 0 else 3 * round(math.log10(largest) / 3)


def _number(value: float) -> str:
    text = f"{value:.3g}" if abs(value) >= 10 else f"{value:.2f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _axes(summaries: Sequence[Summary]) -> _Axes | None:
    params = [summary.cell.params for summary in summaries]
    names = [name for name in params[0] if all(name in own for own in params)]
    varying = [name for name in names if len({own[name] for own in params}) > 1]
    if len(varying) < 2:
        return None
    # Dimension and atoms go together, and come first in the families.
    split = 1 if len(varying) == 2 else 2
    down, across = tuple(varying[:split]), tuple(varying[split:])
    return _Axes(
        down,
        across,
        tuple(sorted({tuple(own[name] for name in down) for own in params})),  # pyright: ignore[reportArgumentType]
        tuple(sorted({tuple(own[name] for name in across) for own in params})),  # pyright: ignore[reportArgumentType]
    )


def _fields(
    metric: Metric, summaries: Sequence[Summary], one: Variant, axes: _Axes
) -> Float[np.ndarray, "rows columns"]:
    found = np.full((len(axes.rows), len(axes.columns)), np.nan)
    for summary in summaries:
        params = summary.cell.params
        place = (
            axes.rows.index(tuple(params[name] for name in axes.down)),
            axes.columns.index(tuple(params[name] for name in axes.across)),
        )
        for row in summary.rows:
            if row.label == one.label and row.estimates[metric.name].mean is not None:
                found[place] = row.estimates[metric.name].mean
    return found


def _labels(values: Sequence[tuple[Value, ...]]) -> list[str]:
    return [
        _BETWEEN.join(f"{value:,}" if isinstance(value, int) else f"{value}" for value in own)
        for own in values
    ]
