"""Figure of T5: how often, and by how much, energy is not the order that L_ND prefers."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, ScalarFormatter
from scipy import stats

from osae_theory.claims.limit_order import overlaps
from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.minimisers.order import MOST_ATOMS, best_order, order_loss
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import (
    GaussianDictionary,
    HalfNormalValues,
    NormalValues,
    ProblemSpec,
    UniformSupports,
    Values,
)

_COLOURS = [c["color"] for c in style.library["tableau-colorblind10"]["axes.prop_cycle"]]
_TOLERANCE = 1e-9


def values_of(name: str, K: int) -> Values:
    """Return a law of the codes' values by its name in the figure, for K atoms.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    laws: dict[str, Values] = {
        "half-normal": HalfNormalValues(),
        "normal (signed)": NormalValues(),
        "half-normal, scale 1/j": HalfNormalValues(tuple(1 / j for j in range(1, K + 1))),
    }
    check_choice("values", name, laws)
    return laws[name]


@dataclass(frozen=True)
class Settings:
    """The grid; every cell has `n_instances` random instances.

    Attributes
    ----------
    sizes : tuple of (int, int)
        (K, m): atoms, at most 16, and atoms a sample. d = ceil(2 K / 3), so K > d.
    samples_per_atom : tuple of int
        N / K.
    values : tuple of str
        Laws of the codes' values; see `values_of`.
    n_instances, seed : int
        Instances a cell, and the first one's seed.
    """

    sizes: tuple[tuple[int, int], ...] = ((4, 2), (6, 2), (8, 2), (6, 3), (8, 3))
    samples_per_atom: tuple[int, ...] = (2, 4, 16, 64, 256)
    values: tuple[str, ...] = ("half-normal", "normal (signed)", "half-normal, scale 1/j")
    n_instances: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        check_integer("n_instances", self.n_instances, 2)
        for K, m in self.sizes:
            check_integer("m", m, 1)
            if not m <= K <= MOST_ATOMS:
                raise InputError(f"(K, m) = {K, m}: expected m <= K <= {MOST_ATOMS}")
        for name in self.values:
            values_of(name, 1)


def measure(settings: Settings) -> pd.DataFrame:
    """Return one row a cell: share of instances and excess of L_q, with 95% intervals.

    The excess is that of the order by energy over the best order, relative, q uniform on
    {1..K-1}; its interval is Student's, that of the share Clopper and Pearson's.
    """
    cells = product(settings.values, settings.sizes, settings.samples_per_atom)
    return pd.DataFrame([_cell(settings, *cell) for cell in cells])


def _cell(
    settings: Settings, values: str, size: tuple[int, int], samples_per_atom: int
) -> dict[str, float | int | str]:
    (K, m), n = size, settings.n_instances
    d = math.ceil(2 * K / 3)
    law = PrefixLaw(np.append(np.full(K - 1, 1 / (K - 1)), 0.0), "q")
    excess = np.empty(n)
    for i in range(n):
        spec = ProblemSpec(
            GaussianDictionary(d, K),
            UniformSupports(m),
            values_of(values, K),
            samples_per_atom * K,
            seed=settings.seed + i,
        )
        problem = spec.draw()
        A = overlaps(problem.dictionary, problem.codes)
        by_energy = np.argsort(-np.diagonal(A), kind="stable")
        least = float(best_order(A, law).loss)
        excess[i] = float(order_loss(A, law, by_energy)) / least - 1
    times = int((excess > _TOLERANCE).sum())
    share = stats.binomtest(times, n).proportion_ci()
    half = float(stats.t.ppf(0.975, n - 1) * stats.sem(excess))
    return {
        "values": values,
        "K": K,
        "m": m,
        "d": d,
        "N": samples_per_atom * K,
        "samples per atom": samples_per_atom,
        "instances": n,
        "not best": times / n,
        "not best, low": float(share.low),
        "not best, high": float(share.high),
        "excess": float(excess.mean()),
        "excess, low": float(excess.mean()) - half,
        "excess, high": float(excess.mean()) + half,
        "excess, largest": float(excess.max()),
    }


def draw(frame: pd.DataFrame) -> Figure:
    """Draw share (above) and mean excess (below) against N / K; a column a law of the values."""
    laws = list(dict.fromkeys(frame["values"]))
    sizes = list(dict.fromkeys(zip(frame["K"], frame["m"], strict=True)))
    figure = Figure(figsize=(3.4 * len(laws) + 0.6, 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(laws), sharex=True, sharey="row", squeeze=False)
    rows = (
        ("not best", "instances whose best order\nis not by energy"),
        ("excess", "mean excess of $L_q$,\nby energy over best order"),
    )
    for column, name in enumerate(laws):
        for row, (quantity, label) in enumerate(rows):
            axis = axes[row, column]
            for place, (K, m) in enumerate(sizes):
                chosen = (frame["values"] == name) & (frame["K"] == K) & (frame["m"] == m)
                part = frame[chosen]
                middle = part[quantity]
                below = middle - part[f"{quantity}, low"]
                above = part[f"{quantity}, high"] - middle
                axis.errorbar(
                    part["samples per atom"] * 1.04 ** (place - len(sizes) / 2),
                    middle,
                    yerr=[below, above],
                    color=_COLOURS[place % len(_COLOURS)],
                    marker="osD^v"[place % 5],
                    markersize=4,
                    linewidth=1,
                    capsize=2,
                    label=f"K = {K}, m = {m}",
                )
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter(ScalarFormatter())
            axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            if column == 0:
                axis.set_ylabel(label)
        axes[0, column].set_title(f"values: {name}", fontsize=10)
        axes[1, column].set_xlabel("samples per atom, N / K")
    axes[0, 0].set_ylim(0, 1.03)
    axes[1, 0].set_ylim(bottom=0)
    axes[0, 0].legend(fontsize=8, loc="lower right")
    return figure
