"""Means with 95% intervals, of independent values and of values that share runs, as pairs do.

What the intervals cover was measured on values like those of our runs. Student's (`estimate`)
covers the mean in .88 to .92 of cases where a run fails now and then, so that values are skewed
to the left; the jackknife over units (`estimate_shared`) in .88 to .96, and in .51 to .65 where
one run in ten is bad. So an estimate carries the median and the number of low values too, and
`bootstrap_interval` is a second opinion from twenty values on.
"""

import math
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy import stats

from osae_theory.errors import InputError, check_integer
from osae_theory.seeds import Axis, generator

CONFIDENCE = 0.95
# From two units Student's quantile is 12.7: such an interval says nothing.
FEWEST_UNITS = 3
# A value below this share of the median is a low one.
LOW = 0.9
FEWEST_RESAMPLED = 20
RESAMPLES = 9999

Bounds = tuple[float, float]


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
        95% confidence interval of the mean, inside the bounds of what is measured; None where
        it cannot be had, for the reason in `reason`.
    n : int
        How many values are defined.
    median : float or None
        Their median; None if there is none.
    n_low : int or None
        How many are below .9 of the median: runs that failed, where failing lowers the value.
        None unless the median is above 0.
    reason : str or None
        Why there is no interval; None where there is one.
    """

    mean: float | None
    std: float | None
    ci95: tuple[float, float] | None
    n: int
    median: float | None = None
    n_low: int | None = None
    reason: str | None = None


def estimate(values: Sequence[float | None], *, bounds: Bounds | None = None) -> Estimate:
    """Return mean, standard deviation and Student's interval of independent values.

    Parameters
    ----------
    values : sequence of float or None
        None and NaN are values that are not defined: they are left out.
    bounds : pair of float, optional
        The least and the greatest value that what is measured can have, such as (-1, 1) for Ord;
        an infinity where there is none. The interval ends there.

    Returns
    -------
    Estimate
        Without an interval below three values.

    Raises
    ------
    InputError
        If the bounds are not in order, or a value is outside them or infinite.
    """
    defined = _defined(values, bounds)
    return _with_interval(defined, defined, bounds)


def estimate_shared(
    values: Sequence[float | None],
    units: Sequence[Collection[Hashable]],
    *,
    bounds: Bounds | None = None,
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
    bounds : pair of float, optional
        As in `estimate`.

    Returns
    -------
    Estimate
        Without an interval below three units, and when leaving out some unit leaves no value.
        For values of one unit each it is `estimate`.

    Raises
    ------
    InputError
        If there is not one collection of units a value, a value has no unit, or as `estimate`.

    References
    ----------
    Arvesen (1969), "Jackknifing U-statistics".
    """
    if len(values) != len(units):
        raise InputError(f"units has length {len(units)}: expected {len(values)}, one a value")
    if not all(len(own) for own in units):
        raise InputError("units holds an empty collection: expected at least one unit a value")
    defined = _defined(values, bounds)
    kept = [own for v, own in zip(values, units, strict=True) if _is_defined(v)]
    every = dict.fromkeys(unit for own in kept for unit in own)
    involved = np.array([[unit in own for own in kept] for unit in every], dtype=bool)
    if len(every) < FEWEST_UNITS or involved.all(axis=1).any():
        return _with_interval(defined, np.empty(0), bounds, len(every))
    without = np.array([defined[~own].mean() for own in involved])
    n = len(every)
    return _with_interval(defined, n * defined.mean() - (n - 1) * without, bounds)


def bootstrap_interval(
    values: Sequence[float | None], *, seed: int = 0, bounds: Bounds | None = None
) -> tuple[float, float] | None:
    """Return the 95% percentile bootstrap interval of the mean: a check of Student's.

    Parameters
    ----------
    values, bounds
        As in `estimate`: independent values, such as one a problem draw.
    seed : int
        The 9,999 resamples come from the stream (seed, Axis.RESAMPLES, 0).

    Returns
    -------
    pair of float or None
        None below twenty values, where the bootstrap covers too little.

    Raises
    ------
    InputError
        As `estimate`, or if the seed is not a whole number of at least 0.
    """
    check_integer("seed", seed, 0)
    defined = _defined(values, bounds)
    if len(defined) < FEWEST_RESAMPLED:
        return None
    found = stats.bootstrap(
        (defined,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=generator(seed, Axis.RESAMPLES),
    ).confidence_interval
    return float(found.low), float(found.high)


def _is_defined(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _defined(values: Sequence[float | None], bounds: Bounds | None) -> Float[np.ndarray, " n"]:
    """Return the values that are defined, once they are known to lie in the bounds."""
    low, high = bounds or (-math.inf, math.inf)
    if not low < high:
        raise InputError(f"bounds = {bounds}: expected the lower one first")
    defined = np.array([v for v in values if _is_defined(v)], dtype=np.float64)
    outside = defined[(defined < low) | (defined > high) | np.isinf(defined)]
    if outside.size:
        expected = "finite values" if bounds is None else f"values from {low:g} to {high:g}"
        raise InputError(f"values hold {outside[0]:g}: expected {expected}")
    return defined


def _with_interval(
    values: Float[np.ndarray, " n"],
    pseudo_values: Float[np.ndarray, " k"],
    bounds: Bounds | None,
    units: int | None = None,
) -> Estimate:
    n = len(values)
    if n == 0:
        return Estimate(None, None, None, 0, reason="no value is defined")
    mean, median = float(values.mean()), float(np.median(values))
    ci95 = reason = None
    if len(pseudo_values) >= FEWEST_UNITS:
        ci95 = _interval(mean, pseudo_values, bounds)
    else:
        reason = _reason(n if units is None else units)
    return Estimate(
        mean=mean,
        std=float(values.std(ddof=1)) if n > 1 else None,
        ci95=ci95,
        n=n,
        median=median,
        n_low=int(np.sum(values < LOW * median)) if median > 0 else None,
        reason=reason,
    )


def _interval(
    mean: float, pseudo_values: Float[np.ndarray, " k"], bounds: Bounds | None
) -> tuple[float, float]:
    n = len(pseudo_values)
    half = float(pseudo_values.std(ddof=1)) / math.sqrt(n) * student_quantile(n - 1)
    low, high = bounds or (-math.inf, math.inf)
    return max(mean - half, low), min(mean + half, high)


@cache
def student_quantile(degrees: int) -> float:
    """Return Student's t below which 97.5% lie, at ten digits: libraries differ in the last."""
    return float(f"{stats.t.ppf((1 + CONFIDENCE) / 2, degrees):.10g}")


def _reason(units: int) -> str:
    if units < FEWEST_UNITS:
        return f"{units} independent units: an interval needs at least {FEWEST_UNITS}"
    return "every value depends on one unit: leaving it out leaves none"
