"""Figure: when L_ND recovers D* at m = 1 (T3, T3b, T3c, T3d, B1), from exact minimisers."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from osae_theory.claims.ray_instances import RECOVERED, recovery_error
from osae_theory.claims.ray_recovery_energies import gammas
from osae_theory.errors import InputError, check_integer
from osae_theory.minimisers import ray_minimiser
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import SparseCodingProblem, coherence, problem_from_arrays, welch_bound
from osae_theory.problems.geometry import gaussian_columns, unit_columns
from osae_theory.seeds import Axis, generator

_BLUE, _ORANGE, _GREY, _DARK = "#006BA4", "#FF800E", "#ABABAB", "#595959"
_NAMED = {"uniform": "o", "Zipf 1": "s", "geometric 0.8": "^"}
_ENERGIES = {"equal": 1.0, "e_k = 0.5^k": 0.5, "e_k = 0.1^k": 0.1}
_COLOURS = dict(zip(_ENERGIES, (_DARK, _BLUE, _ORANGE), strict=True))
_ORDERS = 121  # more than the orders of K = 5 atoms of equal energy


@dataclass(frozen=True)
class RecoveryThreshold:
    """Settings.

    Attributes
    ----------
    n_instances : int
        Random instances for each law and kind of energies, at least 1.
    seed : int
        At least 0.
    sizes : tuple of (d, K)
        Shapes of D*, drawn in turn; K is 2 to 5.
    """

    n_instances: int = 800
    seed: int = 0
    sizes: tuple[tuple[int, int], ...] = ((3, 3), (5, 4), (3, 4), (3, 5), (4, 5), (2, 3))

    def __post_init__(self) -> None:
        check_integer("n_instances", self.n_instances, 1)
        check_integer("seed", self.seed, 0)
        for d, K in self.sizes:
            check_integer("d", d, 1)
            if not 2 <= K <= 5:
                raise InputError(f"K = {K}: expected 2 to 5 atoms")


def measure(settings: RecoveryThreshold) -> pd.DataFrame:
    """Return one row an instance: its coherence, p_K, largest gamma_i, and whether recovered.

    Laws are uniform, Zipf and geometric, and a fourth, "mass on K": any of full support mixed
    with mass on the last prefix. Recovery is exact: every optimal map of rays to slots is the
    one by energy, or, where energies are equal, a permutation.
    """
    return pd.DataFrame(list(_rows(settings)))


def draw(frame: pd.DataFrame) -> Figure:
    """Draw the share recovered against both thresholds, and where the named laws lie."""
    figure = Figure(figsize=(13.5, 4.3), layout="constrained")
    FigureCanvasAgg(figure)
    by_mu, by_gamma, laws = figure.subplots(1, 3)
    mixed = frame[frame["law"] == "mass on K"]
    _share(by_mu, mixed, mixed["p_K"] - mixed["mu"], "$p_K - \\mu(D^*)$", "T3")
    _share(by_gamma, mixed, mixed["p_K"] - mixed["max_gamma"], "$p_K - \\max_i \\gamma_i$", "T3d")
    by_mu.set_title("any law with mass on $K$")
    by_gamma.set_title("the same instances")
    by_mu.set_ylabel("share of instances recovered exactly")
    by_mu.legend(title="energies of the atoms", loc="upper left", fontsize=9)
    _named_laws(laws, frame)
    return figure


def _rows(settings: RecoveryThreshold) -> Iterator[dict[str, object]]:
    for place, (kind, decay) in enumerate(_ENERGIES.items()):
        for index in range(settings.n_instances):
            d, K = settings.sizes[index % len(settings.sizes)]
            rng = generator(settings.seed, Axis.VALUES, place * settings.n_instances + index)
            D = _dictionary(d, K, rng)
            values = np.sqrt(decay ** np.arange(K)) if decay < 1 else np.ones(K)
            problem = problem_from_arrays(D, np.diag(values))
            mu = coherence(D)
            for name, law in _laws(K, rng).items():
                yield {
                    "d": d,
                    "K": K,
                    "energies": kind,
                    "law": name,
                    "p_K": float(law.probabilities[-1]),
                    "mu": mu,
                    "welch": welch_bound(d, K),
                    "max_gamma": float(gammas(values**2, mu).max()),
                    "recovered": _is_recovered(problem, law, decay < 1),
                }


def _is_recovered(problem: SparseCodingProblem, law: PrefixLaw, ordered: bool) -> bool:
    if ordered:
        return recovery_error((problem, law)) < RECOVERED
    maps = ray_minimiser(problem.data, law, max_maps=_ORDERS).maps
    return all(len(set(slots)) == problem.K for slots in maps)


def _dictionary(d: int, K: int, rng: np.random.Generator) -> Float[np.ndarray, "d K"]:
    """Return random atoms, of any coherence: near orthonormal ones, in part, where they exist."""
    atoms = gaussian_columns(d, K, rng)
    if d < K:
        return atoms
    return unit_columns(np.eye(d)[:, :K] + rng.uniform(0, 1.5) * atoms)


def _laws(K: int, rng: np.random.Generator) -> dict[str, PrefixLaw]:
    spread = PrefixLaw(0.9 * rng.dirichlet(np.ones(K)) + 0.1 / K)
    return {
        "uniform": PrefixLaw.uniform(K),
        "Zipf 1": PrefixLaw.zipf(K, 1.0),
        "geometric 0.8": PrefixLaw.geometric(K, 0.8),
        "mass on K": spread.mixed_with_full(float(rng.uniform(0, 1))),
    }


def _share(axis: Axes, frame: pd.DataFrame, threshold: pd.Series, label: str, theorem: str) -> None:
    edges = np.linspace(-1, 1, 17).tolist()
    centres = [(a + b) / 2 for a, b in pairwise(edges)]
    axis.axvspan(0, 1, color=_GREY, alpha=0.25, linewidth=0)
    axis.text(0.97, 0.05, f"{theorem}: always", transform=axis.transAxes, ha="right", fontsize=9)
    for kind, colour in _COLOURS.items():
        own = frame["energies"] == kind
        place = pd.cut(threshold[own], edges, labels=centres)
        groups = frame[own].groupby(place, observed=True)["recovered"]
        share, count = groups.mean(), groups.count()
        shown = count >= 5
        x = share.index.to_numpy(dtype=float)[shown]
        # sqrt(p (1 - p) / n), the standard error of a share.
        error = np.sqrt(share * (1 - share) / count)[shown]
        axis.errorbar(
            x, share[shown], error, color=colour, marker="o", markersize=4, label=_title(kind)
        )
    axis.set(xlabel=label, xlim=(-1, 1), ylim=(-0.03, 1.03))


def _named_laws(axis: Axes, frame: pd.DataFrame) -> None:
    named = frame[frame["law"].isin(_NAMED)]
    sizes = named[["d", "K", "welch"]].drop_duplicates()
    sizes = sizes.assign(over=sizes["K"] > sizes["d"]).sort_values(["over", "K", "d"])
    places = np.arange(len(sizes))
    axis.hlines(
        sizes["welch"],
        places - 0.35,
        places + 0.35,
        color=_ORANGE,
        linewidth=3,
        label="least coherence (Welch)",
    )
    for kind, marker in _NAMED.items():
        last = named[named["law"] == kind].drop_duplicates(["d", "K"])
        last = sizes.merge(last[["d", "K", "p_K"]], on=["d", "K"])["p_K"]
        axis.plot(places, last, marker, color=_BLUE, label=f"$p_K$ of {kind}")
    n_complete = int((~sizes["over"]).sum())
    if 0 < n_complete < len(sizes):
        axis.axvline(n_complete - 0.5, color=_GREY, linestyle=":")
    axis.set_xticks(places, [f"({d},{K})" for d, K in zip(sizes["d"], sizes["K"], strict=True)])
    axis.set(
        xlabel="$(d, K)$: $K \\leq d$ left, overcomplete right",
        ylabel="$p_K$ of the law, coherence",
        ylim=(-0.02, 0.72),
        title="T3 needs $p_K$ above the coherence",
    )
    axis.legend(loc="upper center", fontsize=8, ncols=2)


def _title(kind: str) -> str:
    return kind if kind == "equal" else f"${kind}$"
