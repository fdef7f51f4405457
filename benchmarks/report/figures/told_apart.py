"""Which methods are told apart over the cells of a grid: mean ranks, with bars over those not.

After the critical-difference diagram of Demsar (2006), with the pairwise tests that Benavoli,
Corani and Mangili (2016) put in place of one critical difference.
"""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.analysis.names import Variant
from benchmarks.analysis.ranks import FEWEST_TESTED, Ranking
from benchmarks.report.figures.style import LABEL, LINE, TICK, Mark, marks, new_figure

NAME = "told_apart"


def draw(rankings: Sequence[Ranking], variants: Sequence[Variant]) -> Figure | str:
    """Draw one diagram a measurement: a bar joins methods of which no two are told apart.

    Parameters
    ----------
    rankings : sequence of Ranking
        At least one.
    variants : sequence of Variant
        All methods of the grid, in the order of tables.
    """
    shown = [ranking for ranking in rankings if ranking.p_values]
    if not shown:
        return (
            "no figure of which methods are told apart: with fewer than"
            f" {FEWEST_TESTED} cells no test can tell"
        )
    found = marks(variants)
    heights = [_height(ranking) for ranking in shown]
    figure = new_figure(
        8.0,
        sum(heights) + 0.9,
        "mean rank over cells, 1 the best; a bar joins methods that are not told apart\n"
        "(Wilcoxon's signed-rank test of the cells' means, Holm's correction, 5%)",
    )
    axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, ranking in zip(axes, shown, strict=True):
        _diagram(axis, ranking, found)
    return figure


def _height(ranking: Ranking) -> float:
    return 0.7 + 0.24 * ((len(ranking.variants) + 1) // 2 + len(ranking.groups))


def _diagram(axis: Axes, ranking: Ranking, found: Mapping[str, Mark]) -> None:
    n, groups = len(ranking.variants), ranking.groups
    means = [ranking.ranks[one.label].mean or 0.0 for one in ranking.variants]
    half = (n + 1) // 2
    deepest = 0.7 * len(groups) + half + 0.2
    axis.set_xlim(0.5 - 0.35 * n, n + 0.5 + 0.35 * n)
    axis.set_ylim(deepest + 0.6, -1.1)
    axis.hlines(0, 1, n, color="0.15", linewidth=1.0)
    for rank in range(1, n + 1):
        axis.vlines(rank, -0.12, 0.12, color="0.15", linewidth=1.0)
        axis.text(rank, -0.25, f"{rank}", ha="center", va="bottom", fontsize=TICK)
    for place, (start, stop) in enumerate(groups):
        axis.hlines(
            0.55 + 0.7 * place, means[start] - 0.04, means[stop] + 0.04, color="0.15", linewidth=4
        )
    for place, (one, mean) in enumerate(zip(ranking.variants, means, strict=True)):
        left = place < half
        line = (place if left else n - 1 - place) + 0.7 * len(groups) + 0.9
        end = 0.9 if left else n + 0.1
        mark = found[one.label]
        axis.plot([mean, mean, end], [0, line, line], color=LINE, linewidth=0.8, zorder=1)
        axis.scatter(
            mean,
            0,
            color=mark.colour,
            marker=mark.marker,
            s=34,
            edgecolors="0.15",
            linewidths=0.5,
            zorder=3,
        )
        text = f"{one.title}  {mean:.2f}" if left else f"{mean:.2f}  {one.title}"
        axis.text(
            end - 0.05 if left else end + 0.05,
            line,
            text,
            ha="right" if left else "left",
            va="center",
            fontsize=LABEL,
        )
    axis.set_title(f"{ranking.metric.title} ({ranking.cells} cells)", fontsize=LABEL, loc="left")
    axis.axis("off")
