"""What is left of each run's own initialisation (after the paper's Figs. 13-14)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from osae_theory.errors import InputError
from realdata.consistency.collection import CurvePoint
from realdata.consistency.initialisation import OWN_INITIALISATION
from realdata.report.figures.axes import band_axis, score_axis, tokens_text
from realdata.report.figures.lines import Line, lines_of, prefix_panel
from realdata.report.figures.style import new_figure
from realdata.report.figures.words import BARS, label_ends, name_intervals, titled

_MOVED_ALIKE: Mapping[float | None, str] = MappingProxyType({1.0: "every", 0.0: "no"})


def against_initialisation(
    points: Sequence[CurvePoint],
    tokens: int | None = None,
    moved_below: float = 0.9,
    *,
    about: str = "",
) -> Figure:
    """Draw what is left of each run's own initialisation (after the paper's Figs. 13-14).

    Where every atom of every run moved, or none did, a sentence says so; else a panel shows
    which share of them did.

    Parameters
    ----------
    points : sequence of CurvePoint
        From `realdata.consistency.initialisation.summarise_initialisation`.
    tokens : int, optional
        Which number of training tokens; the greatest, if not given.
    moved_below : float
        The threshold that "moved" was counted with, for its label.
    about : str
        What stands above the title: the model, K and m.

    Raises
    ------
    InputError
        If there is no point of that number of tokens.
    """
    drift = [point for point in points if point.kind == OWN_INITIALISATION]
    known = [point.tokens for point in drift if point.tokens is not None]
    if tokens is None and known:
        tokens = max(known)
    own = [point for point in drift if point.tokens == tokens]
    if not own:
        raise InputError(f"there are no points against initialisation at {tokens} tokens")
    shares = {point.estimates["moved"].mean for point in own}
    alike = _MOVED_ALIKE.get(shares.pop() if len(shares) == 1 else None)
    scores = ("stab", "ord") if alike else ("stab", "ord", "moved")
    figure = new_figure(5.2 * len(scores), 4.4)
    axes = figure.subplots(1, len(scores))
    lines = [
        _drift_panel(axis, own, score, moved_below)
        for axis, score in zip(axes, scores, strict=True)
    ]
    found = f"after {tokens_text(tokens or 0)} tokens, each run against its own initialisation"
    moved = f"{alike} atom of every run moved (cosine to itself at start < {moved_below:g})"
    figure.suptitle(titled(about, *([found, moved] if alike else [found])), fontsize=10)
    name_intervals(figure, lines[0], BARS)
    return figure


def _drift_panel(
    axis: Axes, points: Sequence[CurvePoint], score: str, moved_below: float
) -> list[Line]:
    prefixes = sorted({point.prefix for point in points})
    lines = lines_of(points, score, lambda point: point.prefix)
    shown = prefix_panel(axis, lines, prefixes)
    score_axis(axis, score)
    label_ends(axis, shown)
    if score == "moved":
        band_axis(axis, prefixes)
        axis.set_title(f"moved: cosine to the same atom at start < {moved_below:g}", fontsize=10)
    return lines
