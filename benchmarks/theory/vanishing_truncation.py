"""Figure of T4: the bias, linear in eps, of the branch of stationary points that starts at D*.

The branch has the true supports. For small eps the minimiser of L_ND is on it; where descents
with free supports find a lower point it is not, and the figure says so.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from osae_theory.claims.vanishing_truncation import branch, expansion, random_instance, search
from osae_theory.errors import InputError, check_integer, check_real
from osae_theory.problems.geometry import unit_columns

_COLOURS = [c["color"] for c in style.library["tableau-colorblind10"]["axes.prop_cycle"]]
ERRORS = {
    "plain": (r"$\|D_\varepsilon - D^*\|$", "o"),
    "remainder": (r"$\|D_\varepsilon - D^* -$ first-order prediction$\|$", "s"),
    "extrapolated": (r"$\|2 D_{\varepsilon/2} - D_\varepsilon - D^*\|$ (Richardson)", "^"),
}
"""The errors in D: column, label, marker."""
NO_LOWER = 1e-9
"""Relative difference of losses from which on a lower point counts as found."""


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes
    ----------
    seeds : tuple of int
        Random instances, (d, K, m) = (4, 5, 2); the first is the one that is drawn boldly.
    largest : float
        Largest eps, in (0, 1).
    halvings : int
        How often eps is halved, at least 1.
    n_starts : int
        Drawn dictionaries from which lower points are looked for; with 0 from the branch's only.
    """

    seeds: tuple[int, ...] = (1, 4, 10, 17, 18, 19, 21, 24)
    largest: float = 0.02
    halvings: int = 12
    n_starts: int = 0

    def __post_init__(self) -> None:
        if not self.seeds:
            raise InputError("seeds = (): expected at least one")
        for seed in self.seeds:
            check_integer("seed", seed, 0)
        check_real("largest", self.largest, above=0, below=1)
        check_integer("halvings", self.halvings, 1)
        check_integer("n_starts", self.n_starts, 0)


def measure(settings: Settings) -> pd.DataFrame:
    """Return one row an instance and eps: errors in D (Frobenius), L_K, and their predictions.

    Where the branch that starts at D* does not reach eps, the row is missing. `above` is by how
    much L_ND on the branch is above the lowest point found with free supports, relative.
    """
    rows = []
    for seed in settings.seeds:
        problem, truncation = random_instance(seed)
        D_star, predicted = problem.dictionary, expansion(problem, truncation)
        shares = [settings.largest / 2**n for n in range(settings.halvings + 1)]
        points = {}
        for eps in (*shares, shares[-1] / 2):
            try:
                points[eps] = branch(problem, truncation, eps)
            except ArithmeticError:
                continue
        for eps in shares:
            if eps not in points or eps / 2 not in points:
                continue
            D, Y, _ = points[eps]
            moved = D - D_star
            extrapolated = unit_columns(2 * points[eps / 2][0] - D) - D_star
            rows.append(
                {
                    "instance": seed,
                    "eps": eps,
                    "plain": float(np.linalg.norm(moved)),
                    "plain, predicted": eps * float(np.linalg.norm(predicted.velocity)),
                    "remainder": float(np.linalg.norm(moved - eps * predicted.velocity)),
                    "extrapolated": float(np.linalg.norm(extrapolated)),
                    "L_K": float(np.sum((problem.data - D @ Y) ** 2)),
                    "L_K, predicted": eps**2 * predicted.loss,
                    "above": max(
                        search(problem, truncation, eps, settings.n_starts, (D, Y)).shortfall, 0.0
                    ),
                }
            )
    return pd.DataFrame(rows)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw the errors in D, and L_K over its prediction, against eps."""
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    bold = frame["instance"].iloc[0]
    for instance, part in frame.groupby("instance", sort=False):
        first = instance == bold
        look = {"linestyle": "none"} if first else {"alpha": 0.25, "linewidth": 1}
        for (column, (label, marker)), colour in zip(ERRORS.items(), _COLOURS, strict=False):
            left.plot(
                part["eps"],
                part[column],
                color=colour,
                marker=marker if first else "",
                markersize=5,
                label=label if first else None,
                **look,
            )
        right.plot(
            part["eps"],
            part["L_K"] / part["L_K, predicted"],
            color=_COLOURS[0],
            marker="o" if first else "",
            markersize=5,
            alpha=1 if first else 0.3,
            linewidth=1,
            label="one instance" if first else None,
        )
    beaten = frame[frame["above"] > NO_LOWER]
    left.plot(
        beaten["eps"],
        beaten["plain"],
        "x",
        color="0.2",
        markersize=6,
        label="branch not the minimiser: a lower point found",
    )
    _guides(left, frame[frame["instance"] == bold])
    left.set(xscale="log", yscale="log", xlabel=r"truncation share $\varepsilon = 1 - p_K$")
    left.set(
        ylabel="error in the dictionary (Frobenius norm)",
        title="error of the branch that starts at $D^*$",
    )
    bottom, top = left.get_ylim()
    left.set_ylim(bottom / 50, top)  # room for the legend
    left.legend(fontsize=8, loc="lower right")
    right.axhline(1, color="0.3", linewidth=1, linestyle="--", label="predicted limit")
    right.set(xscale="log", xlabel=r"truncation share $\varepsilon = 1 - p_K$")
    right.set(ylabel=r"$L_K$ over $\varepsilon^2\, g^T (J^T J)^{-1} g\,/\,4$")
    right.set(title="full-prefix loss of the branch over its prediction", ylim=(0, None))
    right.plot([], [], color=_COLOURS[0], alpha=0.3, linewidth=1, label="other instances")
    right.legend(fontsize=8, loc="lower left")
    return figure


def _guides(axis: Axes, part: pd.DataFrame) -> None:
    axis.plot(
        part["eps"],
        part["plain, predicted"],
        color=_COLOURS[0],
        linewidth=1.2,
        label=r"first-order prediction (slope 1)",
    )
    smallest = part.iloc[-1]
    axis.plot(
        part["eps"],
        smallest["extrapolated"] * (part["eps"] / smallest["eps"]) ** 2,
        color="0.3",
        linewidth=1.2,
        linestyle="--",
        label=r"slope 2, through the last point",
    )
