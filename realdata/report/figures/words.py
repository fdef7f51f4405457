"""What a figure says in words: titles, names at the lines' ends, what its intervals are."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.isotonic import IsotonicRegression

from realdata.consistency.collection import CurvePoint
from realdata.report.figures.lines import Line
from realdata.report.figures.style import LEGIBLE

_INTERVALS = "{}: 95% confidence intervals by the jackknife over seeds"
_NO_INTERVALS = "no {}: an interval over seeds needs three of them"
BANDS, BARS = "bands", "bars"
_LABEL_GAP = 0.06  # of the axis' height


def titled(*lines: str) -> str:
    """Return a title of those of its lines that say something."""
    return "\n".join(line for line in lines if line)


def pairs_title(points: Sequence[CurvePoint], kind: str) -> str:
    """Return the kind of the pairs and how many there are, a range where they differ."""
    pairs = _range_text([point.pairs for point in points])
    return f"{kind} pairs (n = {pairs}, of {_range_text([point.seeds for point in points])} seeds)"


def _range_text(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low}–{high}"


def name_intervals(figure: Figure, lines: Sequence[Line], what: str) -> None:
    """Write below a figure what its intervals are; `what` is BANDS or BARS."""
    figure.supxlabel(intervals_text(lines, what), fontsize=LEGIBLE)


def intervals_text(lines: Sequence[Line], what: str) -> str:
    """Return what the intervals of lines are, or why there are none."""
    drawn = any(np.isfinite(line.low).any() for line in lines)
    return (_INTERVALS if drawn else _NO_INTERVALS).format(what)


def label_ends(axis: Axes, lines: Sequence[Line]) -> None:
    """Write each line's name at its right end, moved apart where they would overlap."""
    drawn = sorted((line for line in lines if line.x.size), key=lambda line: line.mean[-1])
    low, high = axis.get_ylim()
    ends = (np.array([line.mean[-1] for line in drawn]) - low) / (high - low)
    for line, place in zip(drawn, _spread(ends, _LABEL_GAP), strict=True):
        axis.annotate(
            line.title,
            xy=(line.x[-1], line.mean[-1]),
            xytext=(1.04, place),
            textcoords="axes fraction",
            va="center",
            fontsize=LEGIBLE,
            arrowprops={
                "arrowstyle": "-",
                "color": line.colour,
                "linewidth": 1.2,
                "relpos": (0, 0.5),
                "shrinkB": 3,
            },
        )


def _spread(places: Float[np.ndarray, " n"], gap: float) -> Float[np.ndarray, " n"]:
    """Return ascending places at least `gap` apart, about where they were, in 0..1 if they fit."""
    if len(places) == 0:
        return places
    rising = np.arange(len(places)) * gap
    # The least shift in the mean square under that bound: isotonic regression of what is left.
    apart = IsotonicRegression(y_min=0.0, y_max=max(1.0 - rising[-1], 0.0))
    return apart.fit_transform(np.arange(len(places)), places - rising) + rising
