"""Held-out FVU against L0, one point a run, and the front that no run beats."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from osae_theory.errors import InputError
from realdata.latents.quality import pareto_front
from realdata.report.figures.style import DARK, GREY, LEGIBLE, new_figure, style_of

_AROUND = 1.5  # by how much the L0 axis goes beyond the runs on both sides


def pareto(
    quality: Mapping[str, tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]],
    floor: tuple[Float[np.ndarray, " counts"], Float[np.ndarray, " counts"]] | None = None,
    *,
    about: str = "",
) -> Figure:
    """Draw held-out FVU against L0, one point a run, and the front that no run beats.

    The axes are those of the runs: of the floor only what lies near them is seen.

    Parameters
    ----------
    quality : mapping of str to (L0, FVU)
        By method, one entry a run.
    floor : pair of (numbers of components, FVU), optional
        PCA's, from `realdata.latents.quality.pca_fvu`.
    about : str
        The title: the model, the corpus, K.

    Raises
    ------
    InputError
        If there is no run.
    """
    l0, fvu = (
        np.concatenate([[], *(sides[side] for sides in quality.values())]) for side in (0, 1)
    )
    if l0.size == 0:
        raise InputError("quality is empty: expected at least one run")
    figure = new_figure(7.6, 5.6)
    axis = figure.subplots()
    _front(axis, l0, fvu, pareto_front(l0, fvu))
    for place, (method, (own_l0, own_fvu)) in enumerate(quality.items()):
        title, colour, marker = style_of(method, place)
        axis.scatter(
            own_l0,
            own_fvu,
            s=40,
            facecolor="none",  # so that a run behind another is seen
            edgecolor=colour,
            marker=marker,
            linewidth=1.3,
            label=title,
            zorder=3,
        )
    if floor is not None:
        axis.plot(
            *floor, color=GREY, linestyle="--", linewidth=1.2, label="PCA, as many components"
        )
    axis.set(
        xlabel="L0 (mean number of active latents)",
        ylabel="held-out FVU (fraction of variance unexplained)",
    )
    # Logarithmic, for the methods stand close together far below PCA.
    axis.set(xscale="log", yscale="log")
    around = (l0.min() / _AROUND, l0.max() * _AROUND)
    seen = [] if floor is None else floor[1][(floor[0] >= around[0]) & (floor[0] <= around[1])]
    axis.set_xlim(around)
    axis.set_ylim(0.9 * fvu.min(), 1.1 * max(*seen, fvu.max(), 0.0))
    _plain_log_ticks(axis.xaxis, (1.0, 2.0, 5.0))
    _plain_log_ticks(axis.yaxis, tuple(map(float, range(1, 10))))
    axis.set_title(about, fontsize=10)
    figure.legend(loc="outside lower center", ncols=4, fontsize=LEGIBLE, frameon=False)
    return figure


def _front(
    axis: Axes,
    l0: Float[np.ndarray, " n"],
    fvu: Float[np.ndarray, " n"],
    on_front: Bool[np.ndarray, " n"],
) -> None:
    order = np.argsort(l0[on_front], kind="stable")
    # The last run of the front beats all that are as good at a greater L0.
    x = np.append(l0[on_front][order], l0.max())
    y = np.append(fvu[on_front][order], fvu[on_front].min())
    axis.step(x, y, where="post", color=DARK, linewidth=1.0, label="Pareto front", zorder=2)


def _plain_log_ticks(axis: Axis, steps: tuple[float, ...]) -> None:
    axis.set_major_locator(LogLocator(base=10, subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
