"""Figure of C: Ord of true codes sorted by frequency and by energy, expected and measured."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from osae_theory.errors import InputError, check_integer
from osae_theory.metrics.expected_order import (
    disorder_bound_by_energy,
    disorder_bound_by_frequency,
    expected_orderedness,
    inversions_by_energy,
    inversions_by_frequency,
    normal_inversions_by_energy,
)
from osae_theory.metrics.intervals import estimate
from osae_theory.metrics.ordering import order_by
from osae_theory.metrics.permutations import orderedness_of_permutation
from osae_theory.problems import HalfNormalValues, ZipfSupports, inclusion_matrix
from osae_theory.seeds import Axis, generator

_COLOURS = {"frequency": "#006BA4", "energy": "#C85200"}
_MARKERS = {"frequency": "o", "energy": "s"}
_FEWEST_DRAWS = 3


@dataclass(frozen=True)
class Settings:
    """The paper's law of the codes (section 3.1), half-normal values.

    Attributes
    ----------
    K, m : int
        Atoms, and atoms a sample.
    alpha : float
        Zipf exponent of the supports.
    n_samples : tuple of int
        N, each at least 1; within a draw the first N samples of one data set.
    n_draws : int
        Data sets, at least 3.
    seed : int
        At least 0.
    """

    K: int = 100
    m: int = 5
    alpha: float = 1.2
    n_samples: tuple[int, ...] = (300, 1000, 3000, 10_000, 30_000, 100_000)
    n_draws: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        check_integer("K", self.K, 2)
        check_integer("n_draws", self.n_draws, _FEWEST_DRAWS)
        check_integer("seed", self.seed, 0)
        if not self.n_samples:
            raise InputError("n_samples = (): expected at least one number of samples")
        for n in self.n_samples:
            check_integer("n_samples", n, 1)
        ZipfSupports(self.m, self.alpha).check(self.K)


def measure(settings: Settings) -> pd.DataFrame:
    """Return one row a kind of sorting and N: 1 - Ord as expected, bounded and measured.

    "measured" is over all atoms, ties and unused atoms in random order, as the expectation is;
    "measured, used" over the atoms that are used, as the project's metric has it. Intervals are
    Student's over draws, 95%.
    """
    weights = np.arange(1.0, settings.K + 1) ** -settings.alpha
    inclusion = inclusion_matrix(weights, settings.m)
    drawn = pd.DataFrame(
        row for draw in range(settings.n_draws) for row in _measured(settings, draw)
    )
    rows = []
    for by, n in drawn[["by", "n_samples"]].drop_duplicates().itertuples(index=False):
        own = drawn[(drawn["by"] == by) & (drawn["n_samples"] == n)]
        rows.append({"by": by, "N": n, "draws": len(own), **_expected(inclusion, by, n)})
        for column in ("measured", "measured, used"):
            found = estimate(own[column].tolist())
            low, high = found.ci95 or (np.nan, np.nan)
            rows[-1] |= {column: found.mean, f"{column}, low": low, f"{column}, high": high}
        rows[-1]["share unused"] = own["unused"].mean()
    return pd.DataFrame(rows)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw 1 - Ord against N: lines expected, dashes bounded, points measured."""
    figure = Figure(figsize=(7.4, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for by, own in frame.groupby("by", sort=False):
        _draw_one(axis, str(by), own.sort_values("N"))
    axis.set(
        xscale="log",
        yscale="log",
        xlabel=f"samples N (points: means of {frame['draws'].max()} draws, 95% intervals)",
        ylabel="1 - Ord of the true codes, sorted",
        title="What sorting loses for want of samples",
    )
    axis.set_ylim(top=1.3)
    axis.grid(which="major", color="0.9", linewidth=0.6)
    axis.legend(fontsize=9, loc="lower left")
    return figure


def _draw_one(axis: Axes, by: str, own: pd.DataFrame) -> None:
    colour, marker = _COLOURS[by], _MARKERS[by]
    axis.plot(own["N"], own["bound"], color=colour, linestyle="--", linewidth=1, label=None)
    axis.plot(own["N"], own["expected"], color=colour, linewidth=1.2)
    axis.errorbar(
        own["N"],
        own["measured"],
        yerr=[own["measured"] - own["measured, low"], own["measured, high"] - own["measured"]],
        color=colour,
        marker=marker,
        markersize=5,
        linestyle="none",
        capsize=3,
        label=f"by {by}: measured, expected (line), bound (dashes)",
    )


def _expected(inclusion: Float[np.ndarray, "K K"], by: str, n: int) -> dict[str, float]:
    """Return 1 - E Ord, its normal approximation where there is one, and its bound."""
    if by == "frequency":
        exact, bound = inversions_by_frequency(inclusion, n), disorder_bound_by_frequency
        normal = np.nan
    else:
        exact, bound = inversions_by_energy(inclusion, n), disorder_bound_by_energy
        normal = 1 - expected_orderedness(normal_inversions_by_energy(inclusion, n))
    return {
        "expected": 1 - expected_orderedness(exact),
        "expected, normal": normal,
        "bound": bound(inclusion, n),
    }


def _measured(settings: Settings, draw: int) -> Iterator[dict[str, object]]:
    """Yield 1 - Ord of one data set's true codes, sorted, after its first N samples."""
    supports = ZipfSupports(settings.m, settings.alpha).draw(
        settings.K, max(settings.n_samples), generator(settings.seed, Axis.SUPPORTS, draw)
    )
    values = HalfNormalValues().draw(supports, generator(settings.seed, Axis.VALUES, draw))
    for n in settings.n_samples:
        used = supports[:n].ravel()
        counts: Int[np.ndarray, " K"] = np.bincount(used, minlength=settings.K)
        energies = np.bincount(used, values[:n].ravel() ** 2, minlength=settings.K)
        for by, scores in (("frequency", counts), ("energy", energies)):
            # A tie keeps no trace of the true order, which is that of the indices.
            places = np.argsort(order_by(scores, counts == 0, tie_seed=settings.seed + draw))
            yield {
                "by": by,
                "n_samples": n,
                "measured": 1 - orderedness_of_permutation(places),
                "measured, used": 1 - orderedness_of_permutation(places, counts > 0),
                "unused": float((counts == 0).mean()),
            }
