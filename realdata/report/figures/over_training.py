"""Stab and Ord at one prefix over training tokens (after the paper's Figs. 11-12)."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from osae_theory.errors import InputError
from realdata.consistency.collection import CurvePoint
from realdata.report.figures.axes import score_axis, token_axis
from realdata.report.figures.chance import chance_over_training
from realdata.report.figures.lines import Line, draw_bands, lines_of
from realdata.report.figures.style import new_figure
from realdata.report.figures.words import BANDS, label_ends, name_intervals, pairs_title, titled


def over_training(
    points: Sequence[CurvePoint],
    prefix: int,
    chance: float | None = None,
    kind: str = "cross-seed",
    *,
    about: str = "",
) -> Figure:
    """Draw Stab and Ord at one prefix over training tokens (after the paper's Figs. 11-12).

    `chance` is Stab's level for unrelated dictionaries at this prefix, `about` stands above the
    title.

    Raises InputError if no point is of that kind and prefix, or a line has two points at one
    number of tokens.
    """
    own = [point for point in points if point.kind == kind and point.prefix == prefix]
    own = [point for point in own if point.tokens is not None]
    if not own:
        raise InputError(f"there are no points of kind {kind!r} at prefix {prefix}")
    figure = new_figure(10.4, 4.2)
    left, right = figure.subplots(1, 2, sharex=True)
    every: list[Line] = []
    for axis, score in ((left, "stab"), (right, "ord")):
        lines = lines_of(own, score, lambda point: point.tokens or 0)
        every += lines
        draw_bands(axis, lines)
        token_axis(axis)
        level = chance_over_training(axis, score, chance, own)
        score_axis(axis, score)
        label_ends(axis, lines + level)
    pairs = pairs_title(own, kind)
    figure.suptitle(titled(about, f"{pairs}, first {prefix} atoms"), fontsize=10)
    name_intervals(figure, every, BANDS)
    return figure
