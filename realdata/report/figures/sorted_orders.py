"""A score over prefixes in every order of the latents, one panel an order."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from realdata.consistency.collection import TRAINED, CurvePoint
from realdata.report.figures.axes import score_axis
from realdata.report.figures.chance import chance_line
from realdata.report.figures.lines import Line, lines_of, of_kind, prefix_panel
from realdata.report.figures.style import LEGIBLE, new_figure
from realdata.report.figures.words import BARS, intervals_text, pairs_title, titled

# The method whose trained order is drawn beside the sorted ones.
_REFERENCE, _REFERENCE_DASHES = "osae", (0.0, (1.5, 1.5))


def sorted_orders(
    points: Sequence[CurvePoint],
    score: str,
    chance: Mapping[int, float] | None = None,
    kind: str = "cross-seed",
    *,
    about: str = "",
) -> Figure:
    """Draw a score over prefixes in every order of the latents, one panel an order.

    In each panel all methods stand in that order, so that like is compared with like; OSAE's
    line as trained is in the panels of the other orders too.

    Parameters
    ----------
    points : sequence of CurvePoint
        As in `realdata.report.figures.over_prefixes`, of any number of orders.
    score : str
        A name in `realdata.comparison.scores.SCORES`.
    chance, kind, about
        As in `realdata.report.figures.over_prefixes.stability_over_prefixes`.

    Raises
    ------
    InputError
        If no point is of that kind, or a line has two points at one prefix.
    """
    own = of_kind(points, kind, score)
    orders = list(dict.fromkeys(point.order for point in own))
    figure = new_figure(3.4 * len(orders) + 0.8, 5.0)
    axes = figure.subplots(1, len(orders), sharey=True, squeeze=False)[0]
    prefixes = sorted({point.prefix for point in own})
    every: list[Line] = []
    for axis, order in zip(axes, orders, strict=True):
        lines = lines_of([p for p in own if p.order == order], score, lambda point: point.prefix)
        prefix_panel(axis, lines, prefixes)
        chance_line(axis, score, chance, prefixes)
        if order != TRAINED:
            _reference(axis, own, score)
        axis.set_title("as trained" if order == TRAINED else f"sorted {order}", fontsize=10)
        axis.grid(axis="y", color="0.92")
        axis.set_axisbelow(True)
        every += lines
    score_axis(axes[0], score)
    figure.suptitle(titled(about, pairs_title(own, kind)), fontsize=10)
    _legend_below(figure, list(axes), intervals_text(every, BARS))
    return figure


def _reference(axis: Axes, points: Sequence[CurvePoint], score: str) -> None:
    trained = [p for p in points if (p.method, p.order) == (_REFERENCE, TRAINED)]
    for line in lines_of(trained, score, lambda point: point.prefix):
        axis.plot(
            line.x, line.mean, color=line.colour, linestyle=_REFERENCE_DASHES, linewidth=1.4,
            label=f"{line.title}, as trained",
        )  # fmt: skip


def _legend_below(figure: Figure, axes: Sequence[Axes], title: str) -> None:
    """Name every line once, whichever panel it stands in."""
    handles = {
        label: handle
        for axis in axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles, loc="outside lower center", ncols=4, fontsize=LEGIBLE,
        frameon=False, title=title, title_fontsize=LEGIBLE,
    )  # fmt: skip
