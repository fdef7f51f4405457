"""Two seeds of a method on one problem draw, side by side (after the paper's Figs. 5 to 9)."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize, PowerNorm
from matplotlib.figure import Figure

from benchmarks.report.figures.style import LABEL, TICK, new_figure
from osae_theory.metrics import Matching

NAME = "seed_pair"
_PANEL = 2.4  # inches
_UNDEFINED = "0.75"
_CODES, _SIMILARITIES = "cividis", "RdBu_r"
_COLUMNS = ("codes, one seed", "codes, another seed", "activations' Pearson r", "atoms' cosine")


@dataclass(frozen=True, eq=False)
class SeedPair:
    """What two runs of one method show.

    Attributes
    ----------
    title : str
        The method's name, with the order its latents stand in.
    codes : pair of arrays of shape (K, n)
        Each run's codes of the same held-out samples.
    correlations : array of shape (K, K)
        Pearson's correlation of each latent of the first with each of the second over all
        held-out samples; NaN where one of them is constant.
    cosines : array of shape (K, K)
        Of their atoms.
    matching : Matching
        Of the two dictionaries in that order.
    """

    title: str
    codes: tuple[Float[np.ndarray, "K n"], Float[np.ndarray, "K n"]]
    correlations: Float[np.ndarray, "K K"]
    cosines: Float[np.ndarray, "K K"]
    matching: Matching


def draw(pairs: Sequence[SeedPair], title: str) -> Figure:
    """Draw a row a pair: the codes of both, how their activations and their atoms correspond.

    Where two seeds learn the same atoms in the same order, both codes look alike and both
    matrices have a diagonal.

    Parameters
    ----------
    pairs : sequence of SeedPair
        At least one.
    title : str
        Of the figure.
    """
    figure = new_figure(_PANEL * 4 + 1.6, _PANEL * len(pairs) + 0.9, title)
    axes = figure.subplots(len(pairs), 4, squeeze=False)
    top = max(float(np.quantile(one[one > 0], 0.99)) for p in pairs for one in p.codes if one.any())
    values = PowerNorm(0.5, 0.0, top, clip=True)
    both = Normalize(-1.0, 1.0)
    maps = [_map(name) for name in (_CODES, _CODES, _SIMILARITIES, _SIMILARITIES)]
    for row, pair in zip(axes, pairs, strict=True):
        shown = (*(one.T for one in pair.codes), pair.correlations, pair.cosines)
        for column, (axis, array) in enumerate(zip(row, shown, strict=True)):
            codes = column < 2
            axis.imshow(
                array,
                norm=values if codes else both,
                cmap=maps[column],
                aspect="auto" if codes else "equal",
                interpolation="nearest",
            )
            axis.tick_params(labelsize=TICK)
        row[0].set_ylabel(f"{pair.title}\nsample", fontsize=LABEL)
        row[2].set_ylabel("latent of the one", fontsize=LABEL)
        found = pair.matching
        row[3].set_title(f"Stab {found.stability:.3f}, Ord {found.orderedness:.3f}", fontsize=LABEL)
    for axis, text in zip(axes[0], _COLUMNS, strict=True):
        own = axis.get_title()
        axis.set_title(f"{text}\n{own}" if own else text, fontsize=LABEL)
    for axis, text in zip(
        axes[-1], ("latent", "latent", *2 * ("latent of the other",)), strict=True
    ):
        axis.set_xlabel(text, fontsize=LABEL)
    quarters = np.linspace(0, 1, 5)
    never = "correlation, cosine; grey: a latent that is never active"
    for columns, norm, mapped, label, ticks in (
        (axes[:, :2], values, maps[0], "code (square root scale)", top * quarters**2),
        (axes[:, 2:], both, maps[2], never, 2 * quarters - 1),
    ):
        bar = figure.colorbar(
            ScalarMappable(norm, mapped),
            ax=columns.ravel().tolist(),
            location="bottom",
            shrink=0.6,
            fraction=0.1 / len(pairs),
            pad=0.06 / len(pairs),
            aspect=40,
            ticks=ticks,
            format="%.2g",
        )
        bar.set_label(label, fontsize=LABEL)
        bar.ax.tick_params(labelsize=TICK)
    return figure


def _map(name: str) -> Colormap:
    return matplotlib.colormaps[name].with_extremes(bad=_UNDEFINED)
