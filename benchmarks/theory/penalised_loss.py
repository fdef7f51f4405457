"""Figure of T6: the penalised loss recovers D* by frequency below lambda_0, and never above."""

from dataclasses import dataclass
from fractions import Fraction

import pandas as pd
import sympy
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from osae_theory.claims.penalised_recovery import EXAMPLES, minimisers, patterns, threshold
from osae_theory.errors import InputError, check_choice, check_integer, check_real

_COLOURS = [c["color"] for c in style.library["tableau-colorblind10"]["axes.prop_cycle"]]
BY_FREQUENCY, BY_ENERGY = (1, 1, 2), (2, 2, 1)
"""The slots of the samples d1, d1, d2 where D* is recovered by frequency; the other order."""


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes
    ----------
    examples : tuple of str
        Data sets of `osae_theory.claims.penalised_recovery`, m = 1.
    costs : tuple of int
        c_1 < c_2.
    widest : float
        Largest lambda, as a multiple of lambda_0, above 1.
    n_weights : int
        Values of lambda, evenly spaced up to the largest, at least 4; two more are 1% below
        lambda_0 and 1% above.
    """

    examples: tuple[str, ...] = ("[d1, d1, d2]", "[d1, 2 d1, 3 d2]")
    costs: tuple[int, int] = (1, 2)
    widest: float = 1.8
    n_weights: int = 36

    def __post_init__(self) -> None:
        for name in self.examples:
            check_choice("example", name, EXAMPLES)
        if not 0 <= self.costs[0] < self.costs[1]:
            raise InputError(f"costs = {self.costs}: expected 0 <= c_1 < c_2")
        check_real("widest", self.widest, above=1)
        check_integer("n_weights", self.n_weights, 4)


def measure(settings: Settings) -> pd.DataFrame:
    """Return one row an example, lambda and support pattern: J, and whether it is least.

    A pattern gives each sample's slot, 0 for none. Patterns are compared exactly; the table
    holds floats.
    """
    rows = []
    for name in settings.examples:
        table = patterns(EXAMPLES[name], settings.costs)
        lambda_0, _ = threshold(table)
        widest = Fraction(settings.widest).limit_denominator(1000)
        shares = [widest * n / settings.n_weights for n in range(1, settings.n_weights + 1)]
        for share in sorted({*shares, Fraction(99, 100), Fraction(101, 100)}):
            weight = lambda_0 * sympy.Rational(share.numerator, share.denominator)
            least = {pattern.slots for pattern in minimisers(table, weight)}
            rows += [
                {
                    "example": name,
                    "lambda_0": float(lambda_0),
                    "lambda": float(weight),
                    "slots": " ".join(map(str, pattern.slots)),
                    "L_S": float(pattern.loss),
                    "P_S": pattern.penalty,
                    "J": float(pattern.loss + weight * pattern.penalty),
                    "least": pattern.slots in least,
                }
                for pattern in table
            ]
    return pd.DataFrame(rows)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw J of every pattern against lambda; a panel an example."""
    examples = list(dict.fromkeys(frame["example"]))
    figure = Figure(figsize=(4.9 * len(examples), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(examples), squeeze=False)[0]
    for axis, name in zip(axes, examples, strict=True):
        part = frame[frame["example"] == name]
        _panel(axis, part)
        axis.set_title(f"X = {name}", fontsize=10)
        axis.set_xlabel(r"weight of the penalty, $\lambda$")
    axes[0].set_ylabel(r"$J = L_K + \lambda \sum_j c_j \|Y_j\|_0$, least on the pattern")
    return figure


def _panel(axis: Axes, part: pd.DataFrame) -> None:
    truth, other = (" ".join(map(str, slots)) for slots in (BY_FREQUENCY, BY_ENERGY))
    for slots, line in part.groupby("slots"):
        if slots not in (truth, other):
            axis.plot(line["lambda"], line["J"], color="0.8", linewidth=0.8, zorder=1)
    axis.plot([], [], color="0.8", linewidth=0.8, label="other support patterns")
    labels = (
        (truth, "D*, sorted by frequency", 0, "-"),
        (other, "D*, the other way round", 1, "-."),
    )
    for slots, label, colour, look in labels:
        line = part[part["slots"] == slots]
        axis.plot(line["lambda"], line["J"], color=_COLOURS[colour], linestyle=look, label=label)
    least = part[part["least"]].drop_duplicates("lambda")
    recovered = least["slots"] == truth
    for kept, marker, label in (
        (recovered, "o", r"minimum of $J$: D* by frequency"),
        (~recovered, "X", r"minimum of $J$: not D*"),
    ):
        axis.plot(
            least["lambda"][kept],
            least["J"][kept],
            color=_COLOURS[0] if marker == "o" else _COLOURS[5],
            marker=marker,
            linestyle="none",
            markersize=5,
            label=label,
            zorder=3,
        )
    lambda_0 = float(part["lambda_0"].iloc[0])
    axis.axvline(lambda_0, color="0.3", linestyle="--", linewidth=1)
    top = 1.6 * float(least["J"].max())
    axis.text(lambda_0, 0.03 * top, rf"  $\lambda_0 = {lambda_0:g}$", ha="left", va="bottom")
    axis.set(xlim=(0, part["lambda"].max()), ylim=(0, top))
    axis.legend(fontsize=8, loc="upper left")
