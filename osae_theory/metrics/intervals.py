"""Means with 95% intervals, of independent values and of values that share runs, as pairs do."""

import math
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from osae_theory.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with its spread.

    Attributes
    ----------
    mean : float or None
        Mean of the values that are defined; None if there is none.
    std : float or None
        Their standard deviation (ddof 1); None below two values.
    ci95 : pair of floats or None
        95% confidence interval of the mean; None where it cannot be had.
    n : int
        How many values are defined.
    """

    mean: float | None
    std: float | None
    ci95: tuple[float, float] | None
    n: int


def estimate(values: Sequence[float | None]) -> Estimate:
    """Return mean, standard deviation and Student's interval of independent values.

    None and NaN are values that are not defined: they are left out.
    """
    defined = np.array([v for v in values if _is_defined(v)], dtype=np.float64)
    return _with_interval(defined, defined)


def estimate_shared(
    values: Sequence[float | None], units: Sequence[Collection[Hashable]]
) -> Estimate:
    """Return the mean of values that share units, with an interval that knows it.

    Leaving out one unit means leaving out every value that it enters. The interval is
    Student's on the jackknife's pseudo-values, one a unit, around the plain mean: of the pairs
    of n dictionaries, n count and not n (n - 1) / 2.

    Parameters
    ----------
    values : sequence of float or None
        None and NaN are values that are not defined: they are left out.
    units : sequence of collections
        For each value the units it depends on: the two dictionaries of a pair, or its seeds.

    Returns
    -------
    Estimate
        Without an interval when leaving out some unit leaves no value, as with the one pair
        of two dictionaries. For values of one unit each it is `estimate`.

    Raises
    ------
    InputError
        If there is not one collection of units a value, or a value has no unit.

    References
    ----------
    Arvesen (1969), "Jackknifing U-statistics".
    """
    if len(values) != len(units):
        raise InputError(f"units has length {len(units)}: expected {len(values)}, one a value")
    if not all(len(own) for own in units):
        raise InputError("units holds an empty collection: expected at least one unit a value")
    kept = [(v, own) for v, own in zip(values, units, strict=True) if _is_defined(v)]
    defined = np.array([v for v, _ in kept], dtype=np.float64)
    every = dict.fromkeys(unit for _, own in kept for unit in own)
    involved = np.array([[unit in own for _, own in kept] for unit in every], dtype=bool)
    left = (~involved).sum(axis=1) if every else np.zeros(0, dtype=int)
    if len(every) < 2 or not left.all():
        return _with_interval(defined, np.empty(0))
    without = np.array([defined[~own].mean() for own in involved])
    n = len(every)
    return _with_interval(defined, n * defined.mean() - (n - 1) * without)


def _is_defined(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _with_interval(
    values: Float[np.ndarray, " n"], pseudo_values: Float[np.ndarray, " k"]
) -> Estimate:
    n = len(values)
    if n == 0:
        return Estimate(None, None, None, 0)
    mean = float(values.mean())
    std = float(values.std(ddof=1)) if n > 1 else None
    ci95 = None
    if len(pseudo_values) > 1:
        half = stats.sem(pseudo_values) * stats.t.ppf((1 + CONFIDENCE) / 2, len(pseudo_values) - 1)
        ci95 = (mean - float(half), mean + float(half))
    return Estimate(mean, std, ci95, n)
