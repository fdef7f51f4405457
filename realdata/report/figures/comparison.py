"""Stab and Ord of any dictionaries held against each other, over prefixes."""

from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from realdata.comparison.compare import Comparison
from realdata.report.figures.axes import MARGIN, prefix_axis, score_axis
from realdata.report.figures.chance import chance_line
from realdata.report.figures.lines import Line, band_of
from realdata.report.figures.style import GREY, LEGIBLE, new_figure
from realdata.report.figures.words import label_ends


def comparison(found: Comparison) -> Figure:
    """Draw Stab and Ord of a `Comparison` over prefixes, each pair a faint line.

    A thick line is the mean over pairs, the band its 95% interval by the jackknife over
    dictionaries, a dashed line the chance level. Stab is drawn on signed and on absolute cosines,
    each with the chance level of its own, from 0 (or its least value) to 1.
    """
    figure = new_figure(11.4, 4.4)
    stab, ord_ = figure.subplots(1, 2)
    signed, absolute = (
        {prefix: getattr(level, name).mean for prefix, level in found.chance.items()}
        for name in ("signed", "absolute")
    )
    named: dict[Axes, list[Line]] = {stab: [], ord_: []}
    for axis, score, title, colour, marker, chance in (
        (stab, "stab_abs", "on |cosine|", "#009E73", "s", absolute),
        (stab, "stab", "on cosine", "#0072B2", "o", signed),
        (ord_, "ord", "", "#D55E00", "o", None),
    ):
        if score != "stab_abs":
            _faint_pairs(axis, found, score)
        means = [found.estimates[prefix][score] for prefix in found.prefixes]
        x, mean, low, high = band_of(found.prefixes, means, score)
        axis.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0)
        axis.plot(x, mean, color=colour, marker=marker, markersize=4, linewidth=1.8)
        levels = chance_line(axis, score, chance, found.prefixes)
        if title:
            # Two levels in one panel: each has the colour of what it is the level of.
            axis.lines[-1].set_color(colour)
            levels = [replace(one, title=f"chance, {title}", colour=colour) for one in levels]
            levels.append(Line(title, colour, marker, x, mean, low, high))
        named[axis] += levels
        prefix_axis(axis, found.prefixes)
        score_axis(axis, score)
    lowest = min(pair.score.stab for pair in found.pairs)
    stab.set_ylim(lowest - MARGIN if lowest < 0.0 else 0.0, 1.0 + MARGIN)
    stab.set_ylabel("Stab (mean matched cosine or |cosine|)")
    for axis, lines in named.items():
        label_ends(axis, lines)
    n = len(found.names)
    if n == 2:
        figure.suptitle("\n".join(found.names), fontsize=LEGIBLE)
        figure.supxlabel("one pair of dictionaries", fontsize=LEGIBLE)
        return figure
    figure.suptitle(f"{n} dictionaries, {n * (n - 1) // 2} pairs", fontsize=10)
    figure.supxlabel(
        "thin lines: pairs, on cosine; thick: their mean; band: its 95% confidence interval by the"
        " jackknife over dictionaries",
        fontsize=LEGIBLE,
    )
    return figure


def _faint_pairs(axis: Axes, found: Comparison, score: str) -> None:
    by_pair: dict[tuple[str, str], list[tuple[int, float | None]]] = {}
    for pair in found.pairs:
        value = getattr(pair.score, score)
        by_pair.setdefault((pair.a, pair.b), []).append((pair.score.prefix, value))
    if len(by_pair) < 2:
        return
    for values in by_pair.values():
        defined = [(prefix, value) for prefix, value in values if value is not None]
        axis.plot(*zip(*defined, strict=True), color=GREY, linewidth=0.8, alpha=0.7, zorder=1)
