"""Lines of estimates, one a method, with their intervals as bands or as bars."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from osae_theory.errors import InputError, check_choice
from osae_theory.metrics.intervals import Estimate
from realdata.comparison.scores import SCORES
from realdata.consistency.collection import CurvePoint
from realdata.report.figures.axes import bounds, prefix_axis
from realdata.report.figures.style import style_of

# From two seeds the jackknife's interval, with one degree of freedom, fills any figure.
_SEEDS_FOR_INTERVAL = 3
_OCTAVES_APART = 0.07  # of the methods at one prefix, so that their bars stand side by side


@dataclass(frozen=True, eq=False)
class Line:
    """One line with its band; NaN in the band where there is no interval."""

    title: str
    colour: str
    marker: str
    x: Float[np.ndarray, " n"]
    mean: Float[np.ndarray, " n"]
    low: Float[np.ndarray, " n"]
    high: Float[np.ndarray, " n"]


def of_kind(points: Sequence[CurvePoint], kind: str, score: str) -> list[CurvePoint]:
    """Return the points of one kind of pairs; raise InputError where there are none."""
    check_choice("score", score, SCORES)
    own = [point for point in points if point.kind == kind]
    if not own:
        raise InputError(f"there are no points of kind {kind!r}: expected at least one")
    return own


def lines_of(
    points: Sequence[CurvePoint], score: str, x_of: Callable[[CurvePoint], int]
) -> list[Line]:
    """Return one line for each method, its points from left to right."""
    groups: dict[str, list[CurvePoint]] = {}
    for point in sorted(points, key=x_of):
        groups.setdefault(point.method, []).append(point)
    # In the order of the points given, not of their places.
    names = dict.fromkeys(point.method for point in points)
    return [_line(name, place, groups[name], score, x_of) for place, name in enumerate(names)]


def _line(
    method: str,
    place: int,
    points: Sequence[CurvePoint],
    score: str,
    x_of: Callable[[CurvePoint], int],
) -> Line:
    places = [x_of(point) for point in points]
    if len(set(places)) < len(places):
        raise InputError(f"{method} has two points at one place: {places}")
    band = band_of(
        places,
        [
            point.estimates[score]
            if point.seeds >= _SEEDS_FOR_INTERVAL
            else replace(point.estimates[score], ci95=None)
            for point in points
        ],
        score,
    )
    return Line(*style_of(method, place), *band)


def band_of(
    x: Sequence[int], estimates: Sequence[Estimate], score: str
) -> tuple[
    Float[np.ndarray, " n"],
    Float[np.ndarray, " n"],
    Float[np.ndarray, " n"],
    Float[np.ndarray, " n"],
]:
    """Return x, mean, low and high where the mean is defined; an interval ends where scores do."""
    nothing = (np.nan, np.nan)
    rows = [
        (float(place), found.mean, *(nothing if found.ci95 is None else found.ci95))
        for place, found in zip(x, estimates, strict=True)
        if found.mean is not None
    ]
    places, mean, low, high = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    # Intervals of older results may go beyond.
    return places, mean, *np.clip((low, high), *bounds(score))


def draw_bands(axis: Axes, lines: Sequence[Line]) -> None:
    """Draw lines, each with its intervals as a band."""
    for line in lines:
        axis.fill_between(line.x, line.low, line.high, color=line.colour, alpha=0.2, linewidth=0)
        _draw_mean(axis, line)


def prefix_panel(axis: Axes, lines: Sequence[Line], prefixes: Sequence[int]) -> list[Line]:
    """Draw lines over prefixes; return them as they are drawn, side by side.

    Bars and not bands: those of five methods, one upon the other, cannot be read.
    """
    drawn = _apart(lines)
    _draw_bars(axis, drawn)
    prefix_axis(axis, prefixes)
    return drawn


def _apart(lines: Sequence[Line]) -> list[Line]:
    """Return lines over prefixes moved apart sideways, so that their bars can be told apart."""
    moves = _OCTAVES_APART * (np.arange(len(lines)) - (len(lines) - 1) / 2)
    return [replace(line, x=line.x * 2**move) for line, move in zip(lines, moves, strict=True)]


def _draw_bars(axis: Axes, lines: Sequence[Line]) -> None:
    for line in lines:
        known = np.isfinite(line.low)
        axis.vlines(
            line.x[known], line.low[known], line.high[known], color=line.colour, linewidth=1.1
        )
        _draw_mean(axis, line)


def _draw_mean(axis: Axes, line: Line) -> None:
    axis.plot(
        line.x, line.mean, color=line.colour, marker=line.marker, markersize=4.5, linewidth=1.3,
        label=line.title,
    )  # fmt: skip
