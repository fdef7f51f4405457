"""Figure of A and A': growth at D* on both sides of the local threshold, and how low lambda_0 is.

F = ||X - D Y|| + lambda L_q. The local threshold is exact; lambda_0 is bounded from above by the
points that descents find, and from below, for d = K and m = K - 1, by a certificate.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from osae_theory.claims.exact_penalty import measured_threshold, truncated_loss
from osae_theory.claims.exact_penalty_growth import sides
from osae_theory.claims.vanishing_truncation import SHAPES, random_instance
from osae_theory.errors import InputError, check_integer
from osae_theory.minimisers import hyperplane_bound, local_threshold, penalty_descent
from osae_theory.minimisers.alternating import alternating
from osae_theory.minimisers.penalty_thresholds import MOST_MAPS
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import SparseCodingProblem
from osae_theory.problems.geometry import unit_columns
from osae_theory.seeds import Axis, generator

_COLOURS = [c["color"] for c in style.library["tableau-colorblind10"]["axes.prop_cycle"]]
FORMS = {"total": "one norm (A)", "per sample": "one norm a sample (A')"}
"""The forms of the residual's norm, and what the figure calls them."""
_GAP = 1e-3
_LONGER = 20  # times the steps of a search, for descents that are to end close to D*
_RIGHT = 1.5  # end of the axis of shares of lambda_loc
_SIZES = (0.01, 0.05)  # of the turns from which descents near D* start


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes
    ----------
    n_instances : int
        Random instances, (d, K, m) of T4 in turn, signed and nonnegative in turn; at least 1.
    n_searched : int
        On how many of them lambda_0 is bounded too, and descents are made; at least 1.
    n_starts : int
        Drawn dictionaries from which each of these searches starts, besides D* and turns of it.
    max_steps : int
        Steps of a descent that looks for lower points, at least 1; 20 times as many where its
        error in D is measured.
    shares : tuple of float
        lambda over lambda_loc at which F is descended on, above 0; and the mass off l = K at which
        L_ND is, for comparison, below 1.
    """

    n_instances: int = 240
    n_searched: int = 40
    n_starts: int = 2
    max_steps: int = 150
    shares: tuple[float, ...] = (0.01, 0.1, 0.5)

    def __post_init__(self) -> None:
        check_integer("n_instances", self.n_instances, 1)
        check_integer("n_searched", self.n_searched, 1, self.n_instances)
        check_integer("n_starts", self.n_starts, 0)
        check_integer("max_steps", self.max_steps, 1)
        if not self.shares or not all(0 < share < 1 for share in self.shares):
            raise InputError(f"shares = {self.shares}: expected numbers above 0 and below 1")


def measure(settings: Settings) -> pd.DataFrame:
    """Return one row an instance and form.

    `below`, `elsewhere` and `above` are growths as in `claims.exact_penalty_growth.Sides`;
    `lambda_0, at most` and `at least` are bounds, `D, F` and `D, L_ND` errors ||D - D*||_F where
    descents from close by end, one column a share.
    """
    rows = []
    for seed in range(settings.n_instances):
        d, K, m = SHAPES[seed % len(SHAPES)]
        problem, truncation = random_instance(seed, (d, K, m))
        for form in FORMS:
            local = local_threshold(
                problem.dictionary, problem.codes, truncation, form, tolerance=_GAP
            )
            told = sides(problem, truncation, local, form)
            row: dict[str, object] = {
                "instance": seed,
                "d": d,
                "K": K,
                "m": m,
                "signed": bool((problem.codes < 0).any()),
                "form": form,
                "samples": problem.codes.shape[1],
                "||X||": float(np.linalg.norm(problem.data)),
                "L*": truncated_loss(problem, truncation),
                "lambda_loc": local.value + local.error,
                "its gap, relative": local.error / local.value,
                "below": told.below,
                "elsewhere": told.elsewhere,
                "above": told.above,
            }
            if seed < settings.n_searched:
                row |= _searched(problem, truncation, form, local.value + local.error, settings)
            rows.append(row)
    return pd.DataFrame(rows)


def _searched(
    problem: SparseCodingProblem,
    truncation: PrefixLaw,
    form: str,
    local: float,
    settings: Settings,
) -> dict[str, float]:
    """Return the bounds of lambda_0, and the errors in D of F and of L_ND at each share."""
    starts, steps = settings.n_starts, settings.max_steps
    found = {
        "lambda_0, at most": measured_threshold(problem, truncation, form, starts, steps)[1],
        "lambda_0, at least": np.nan,
    }
    D, X, K, m = problem.dictionary, problem.data, problem.K, problem.m
    if form == "total" and problem.d == K == m + 1 and K ** (X.shape[1] - 1) <= MOST_MAPS:
        bound = hyperplane_bound(D, problem.codes, truncation)
        found["lambda_0, at least"] = float(bound.value)
    near = _near(D)
    for share in settings.shares:
        weight = share * local
        end = penalty_descent(
            X, K, m, truncation, weight, 0, form=form, initial=near, max_steps=_LONGER * steps
        )
        found[f"D, F, {share:g}"] = float(np.linalg.norm(end.dictionary - D))
        if form == "total":
            law = truncation.mixed_with_full(1 - share)
            plain = alternating(X, K, m, law, 0, initial=near, max_steps=_LONGER * steps)
            found[f"D, L_ND, {share:g}"] = float(np.linalg.norm(plain.dictionary - D))
    return found


def _near(D: np.ndarray) -> list[np.ndarray]:
    rng = generator(0, Axis.INITIALISATION)
    return [unit_columns(D + size * rng.standard_normal(D.shape)) for size in _SIZES]


def draw(frame: pd.DataFrame) -> Figure:
    """Draw growth on both sides of lambda_loc, bounds of lambda_0, and errors in D."""
    figure = Figure(figsize=(13.2, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    _growth(left, frame)
    _bounds(middle, frame)
    _errors(right, frame)
    return figure


def _growth(axis: Axes, frame: pd.DataFrame) -> None:
    looks = zip(FORMS, ("o", "^"), strict=True)
    for form, marker in looks:
        part = frame[frame["form"] == form]
        for column, share, colour in (("below", 0.99, _COLOURS[0]), ("above", 1.01, _COLOURS[1])):
            axis.plot(
                part["lambda_loc"],
                part[column],
                marker,
                color=colour,
                markersize=4,
                alpha=0.6,
                markeredgewidth=0,
                label=rf"$\lambda = {share}\,\lambda_{{loc}}$, {FORMS[form]}",
            )
    for level in (0.01, -0.01):
        axis.axhline(level, color="0.3", linewidth=1, linestyle="--", zorder=0)
    axis.axhline(0, color="0.3", linewidth=1)
    count = frame["instance"].nunique()
    axis.set(xscale="log", ylim=(-0.02, 0.02), xlabel=r"local threshold $\lambda_{loc}$")
    axis.set(ylabel="growth of F over that of its residual")
    axis.set_title(
        f"growth at D* in its worst direction, {count} instances\n(dashed: predicted)", fontsize=10
    )
    axis.legend(fontsize=7.5, loc="center right", ncols=1)


def _bounds(axis: Axes, frame: pd.DataFrame) -> None:
    curves = [
        (form, "lambda_0, at most", colour, "-", f"at most (descents), {FORMS[form]}")
        for form, colour in zip(FORMS, (_COLOURS[0], _COLOURS[1]), strict=True)
    ]
    curves.append(
        ("total", "lambda_0, at least", _COLOURS[0], ":", "at least (certified), (3,3,2), A")
    )
    for form, column, colour, line, label in curves:
        part = frame[frame["form"] == form].dropna(subset=[column])
        share = np.sort(part[column] / part["lambda_loc"])
        if share.size:
            steps = np.arange(1, share.size + 1) / share.size
            axis.step(
                [share[0], *share, _RIGHT],
                [0, *steps, 1],
                where="post",
                color=colour,
                linestyle=line,
                label=f"{label}: {share.size}",
            )
    axis.axvline(1, color="0.3", linewidth=1, linestyle="--")
    axis.set(xscale="log", xlim=(None, _RIGHT), ylim=(0, 1.4), yticks=np.linspace(0, 1, 6))
    axis.set(xlabel=r"bound of $\lambda_0$ over $\lambda_{loc}$", ylabel="share of instances")
    axis.set_title(r"how far below $\lambda_{loc}$ the sharp $\lambda_0$ can be", fontsize=10)
    axis.legend(fontsize=7.5, loc="upper left")


def _errors(axis: Axes, frame: pd.DataFrame) -> None:
    groups = (
        ("total", "D, L_ND, ", _COLOURS[5], "s", r"$L_{ND}$"),
        ("total", "D, F, ", _COLOURS[0], "o", f"F, {FORMS['total']}"),
        ("per sample", "D, F, ", _COLOURS[1], "^", f"F, {FORMS['per sample']}"),
    )
    shares: list[str] = []
    for shift, (form, start, colour, marker, label) in enumerate(groups):
        columns = [column for column in frame.columns if column.startswith(start)]
        shares = [column.removeprefix(start) for column in columns]
        values = frame[frame["form"] == form][columns].dropna()
        for place, column in enumerate(columns):
            ordered = np.sort(values[column])
            axis.plot(
                place + 0.28 * (shift - 1) + np.linspace(-0.1, 0.1, ordered.size),
                ordered,
                marker,
                color=colour,
                markersize=3.5,
                markeredgewidth=0,
                alpha=0.8,
                label=None if place else label,
            )
    axis.set_xticks(range(len(shares)), shares)
    axis.set(yscale="log", xlim=(-0.5, len(shares) - 0.5))
    axis.set(xlabel=r"$\lambda / \lambda_{loc}$ of F; $1 - p_K$ of $L_{ND}$")
    axis.set(ylabel=r"$\|D - D^*\|_F$")
    axis.set_title(
        "error in D where descent from close by has come to\n(instances in ascending order)",
        fontsize=10,
    )
    bottom, top = axis.get_ylim()
    axis.set_ylim(bottom, top * 300)  # room for the legend
    axis.legend(fontsize=7.5, loc="upper left")
