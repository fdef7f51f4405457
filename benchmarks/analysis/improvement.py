"""How often one method is better than another: the share of problem draws."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from jaxtyping import Float

from benchmarks.analysis.summary import Summary
from osae_theory.metrics.intervals import FEWEST_RESAMPLED, bootstrap_interval

NOT_RESAMPLED = "not among the tables that are resampled"
FEW = f"fewer than {FEWEST_RESAMPLED} draws"
UNANIMOUS = "all draws agree: resampling them shows no spread"


@dataclass(frozen=True)
class Improvement:
    """The probability that one method is better than another on a new draw of the problem.

    Attributes
    ----------
    metric : str
        The measurement's name.
    variant, other : str
        The labels of the methods.
    probability : float or None
        The share of draws in which the first is better, ties a half; None without a draw that
        both have.
    bootstrap95 : pair of float or None
        Percentile bootstrap interval over draws; None for the reason in `reason`.
    n : int
        Draws in which both have a value.
    reason : str
        Why there is no interval; empty where there is one.
    """

    metric: str
    variant: str
    other: str
    probability: float | None
    bootstrap95: tuple[float, float] | None
    n: int
    reason: str


def improvements(summary: Summary) -> Iterator[Improvement]:
    """Yield every pair of a table's methods, in the measurements that are compared."""
    for metric in summary.questions:
        values = summary.values[metric.name]
        for other, own in combinations(values, 2):
            wins = _wins(values[own], values[other], metric.better)
            yield _improvement(metric.name, own, other, wins, summary.detailed)


def _wins(
    own: Float[np.ndarray, " draws"], other: Float[np.ndarray, " draws"], better: int
) -> Float[np.ndarray, " common"]:
    """Return a draw's share of the first: 1 where it is better, 0 where the other is, or a half."""
    difference = better * (own - other)
    return (1 + np.sign(difference[~np.isnan(difference)])) / 2


def _improvement(
    metric: str, own: str, other: str, wins: Float[np.ndarray, " common"], resampled: bool
) -> Improvement:
    interval, reason = None, ""
    if len(wins) < FEWEST_RESAMPLED:
        reason = FEW
    elif np.ptp(wins) == 0:
        reason = UNANIMOUS
    elif not resampled:
        reason = NOT_RESAMPLED
    else:
        interval = _interval(tuple(np.sort(wins).tolist()))
    probability = float(wins.mean()) if len(wins) else None
    return Improvement(metric, own, other, probability, interval, len(wins), reason)


@cache
def _interval(wins: tuple[float, ...]) -> tuple[float, float] | None:
    """Return the bootstrap interval of sorted shares: few are possible, so each is drawn once."""
    return bootstrap_interval(wins, bounds=(0.0, 1.0))


def as_rows(found: Sequence[Improvement]) -> list[dict[str, object]]:
    """Return improvements as plain values, a mapping each."""
    return [
        {
            "metric": one.metric,
            "variant": one.variant,
            "over": one.other,
            "probability": one.probability,
            "bootstrap95": one.bootstrap95,
            "draws": one.n,
            "no_interval": one.reason,
        }
        for one in found
    ]
