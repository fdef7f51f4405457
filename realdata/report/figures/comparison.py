"""Stab and Ord of any dictionaries held against each other, over prefixes."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from realdata.comparison.compare import Comparison
from realdata.report.figures.axes import prefix_axis, score_axis
from realdata.report.figures.chance import chance_line
from realdata.report.figures.lines import band_of
from realdata.report.figures.style import GREY, LEGIBLE, new_figure
from realdata.report.figures.words import label_ends


def comparison(found: Comparison) -> Figure:
    """Draw Stab and Ord of a `Comparison` over prefixes, each pair a faint line.

    The thick line is the mean over pairs, the band its 95% interval by the jackknife over
    dictionaries, the dashed line the chance level.
    """
    figure = new_figure(10.4, 4.2)
    left, right = figure.subplots(1, 2)
    for axis, score, colour in ((left, "stab", "#0072B2"), (right, "ord", "#D55E00")):
        _faint_pairs(axis, found, score)
        means = [found.estimates[prefix][score] for prefix in found.prefixes]
        x, mean, low, high = band_of(found.prefixes, means, score)
        axis.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0)
        axis.plot(x, mean, color=colour, marker="o", markersize=4, linewidth=1.8)
        prefix_axis(axis, found.prefixes)
        chance = {prefix: level.signed.mean for prefix, level in found.chance.items()}
        level = chance_line(axis, score, chance, found.prefixes)
        score_axis(axis, score)
        label_ends(axis, level)
    n = len(found.names)
    if n == 2:
        figure.suptitle("\n".join(found.names), fontsize=LEGIBLE)
        figure.supxlabel("one pair of dictionaries", fontsize=LEGIBLE)
        return figure
    figure.suptitle(f"{n} dictionaries, {n * (n - 1) // 2} pairs", fontsize=10)
    figure.supxlabel(
        "thin lines: pairs; thick: their mean; band: its 95% confidence interval by the jackknife"
        " over dictionaries",
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
