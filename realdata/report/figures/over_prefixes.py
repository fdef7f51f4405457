"""Ord and Stab over prefixes, one line a method (after the paper's Figs. 2 and 3)."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from realdata.consistency.collection import CurvePoint
from realdata.report.figures.axes import SCORE_LABELS, STREAM_LABELS, score_axis
from realdata.report.figures.chance import chance_line
from realdata.report.figures.lines import lines_of, of_kind, prefix_panel
from realdata.report.figures.style import new_figure
from realdata.report.figures.words import BARS, label_ends, name_intervals, pairs_title, titled

_STREAMS = "on held-out text"


def orderedness_over_prefixes(
    points: Sequence[CurvePoint],
    kind: str = "cross-seed",
    score: str = "ord",
    *,
    of_activations: bool = False,
    about: str = "",
) -> Figure:
    """Draw Ord over prefixes, one line a method (after the paper's Fig. 2).

    Parameters
    ----------
    points : sequence of CurvePoint
        From `realdata.consistency.collection.summarise`, of one number of tokens and one order;
        those of other kinds are left out.
    kind : str
        Which kind of pairs.
    score : str
        "ord" or "ord_abs".
    of_activations : bool
        Whether the points are Ord_Z, of latents on held-out text: for the labels.
    about : str
        What stands above the title: the model, K and m.

    Raises
    ------
    InputError
        If no point is of that kind, or a line has two points at one prefix.
    """
    return _over_prefixes(points, kind, score, None, of_activations, about)


def stability_over_prefixes(
    points: Sequence[CurvePoint],
    chance: Mapping[int, float] | None = None,
    kind: str = "cross-seed",
    score: str = "stab",
    *,
    of_activations: bool = False,
    about: str = "",
) -> Figure:
    """Draw Stab over prefixes, one line a method, and its chance level (after the paper's Fig. 3).

    `chance` is the score's level for unrelated dictionaries by prefix, as
    `realdata.comparison.levels.chance_levels` finds it: leave it out for correlations of
    activations, to which it does not apply. The rest is as in `orderedness_over_prefixes`.
    """
    return _over_prefixes(points, kind, score, chance, of_activations, about)


def _over_prefixes(
    points: Sequence[CurvePoint],
    kind: str,
    score: str,
    chance: Mapping[int, float] | None,
    of_activations: bool,
    about: str,
) -> Figure:
    own = of_kind(points, kind, score)
    figure = new_figure(7.6, 4.6)
    axis = figure.subplots()
    lines = lines_of(own, score, lambda point: point.prefix)
    prefixes = sorted({point.prefix for point in own})
    shown = prefix_panel(axis, lines, prefixes) + chance_line(axis, score, chance, prefixes)
    score_axis(axis, score, STREAM_LABELS if of_activations else SCORE_LABELS)
    pairs = pairs_title(own, kind)
    axis.set_title(titled(about, f"{pairs}, {_STREAMS}" if of_activations else pairs), fontsize=10)
    label_ends(axis, shown)
    name_intervals(figure, lines, BARS)
    return figure
