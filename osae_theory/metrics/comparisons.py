"""From paired values to a word: t-tests, Holm's correction, equivalence at a stated margin."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy import stats

from osae_theory.errors import InputError, check_real
from osae_theory.metrics.intervals import CONFIDENCE, FEWEST_UNITS, bootstrap_interval

HIGHER = "higher"
LOWER = "lower"
LEVEL = "level"
NOT_TOLD_APART = "not told apart"
TOO_FEW = "too few units"

_Alternative = Literal["two-sided", "less", "greater"]


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences, one a unit, with its tests.

    Attributes
    ----------
    mean : float or None
        Mean difference; None without a unit in which both values are defined.
    std : float or None
        Standard deviation over units (ddof 1); None below two.
    ci95 : pair of floats or None
        Student's 95% interval of the mean; None below three units.
    n : int
        Units in which both values are defined.
    p_different : float or None
        Two-sided p-value of "the mean is 0"; None below three units.
    p_level : float or None
        The larger of the two one-sided p-values of "the mean is at least the margin away from
        0"; None below three units or without a margin.
    bootstrap95 : pair of floats or None
        Percentile bootstrap interval of the mean, to check `ci95` against; None below twenty
        units, or where it was not asked for.
    """

    mean: float | None
    std: float | None
    ci95: tuple[float, float] | None
    n: int
    p_different: float | None
    p_level: float | None
    bootstrap95: tuple[float, float] | None


def paired_difference(
    values: Sequence[float | None],
    others: Sequence[float | None],
    margin: float | None = None,
) -> Difference:
    """Return the mean of `values` minus `others` over units, with its interval and tests.

    Parameters
    ----------
    values, others : sequences of float or None
        One value a unit, in the same order of units; None and NaN are values that are not
        defined, and a unit that lacks one of the two is left out.
    margin : float, optional
        Above 0: differences smaller than this count as none, for the test of equivalence.

    Raises
    ------
    InputError
        If the lengths differ, or the margin is not a finite number above 0.

    Notes
    -----
    Student's test of one sample of differences; equivalence by two one-sided tests
    (Schuirmann 1987).
    """
    return paired_differences([(values, others)], margin)[0]


def paired_differences(
    pairs: Sequence[tuple[Sequence[float | None], Sequence[float | None]]],
    margin: float | None = None,
    *,
    resampled: bool = True,
) -> list[Difference]:
    """Return `paired_difference` of each pair, all of them tested in one go.

    Parameters
    ----------
    pairs : sequence of pairs of sequences
        The values and the others of each.
    margin : float, optional
        As in `paired_difference`.
    resampled : bool
        Whether the bootstrap checks the intervals: it takes longer than all else.

    Raises
    ------
    InputError
        As `paired_difference`.
    """
    if margin is not None:
        check_real("margin", margin, above=0.0)
    differences = [_differences(*pair) for pair in pairs]
    found: dict[int, Difference] = {}
    # Tests of equally many units are one call.
    for n in {len(d) for d in differences}:
        places = [place for place, d in enumerate(differences) if len(d) == n]
        own = _tested(np.stack([differences[place] for place in places]), margin, resampled)
        found.update(zip(places, own, strict=True))
    return [found[place] for place in range(len(differences))]


def _differences(
    values: Sequence[float | None], others: Sequence[float | None]
) -> Float[np.ndarray, " n"]:
    if len(values) != len(others):
        raise InputError(f"others has length {len(others)}: expected {len(values)}, one a value")
    # NaN is what None becomes here, and any difference with it.
    both = np.array(values, dtype=np.float64) - np.array(others, dtype=np.float64)
    return both[~np.isnan(both)]


def _tested(
    d: Float[np.ndarray, "pairs n"], margin: float | None, resampled: bool
) -> list[Difference]:
    n_pairs, n = d.shape
    means = d.mean(axis=1).tolist() if n else [None] * n_pairs
    stds = d.std(axis=1, ddof=1).tolist() if n > 1 else [None] * n_pairs
    if n < FEWEST_UNITS:
        return [
            Difference(mean, std, None, n, None, None, None)
            for mean, std in zip(means, stds, strict=True)
        ]
    found = _student(d, 0.0, "two-sided")
    low, high = found.confidence_interval(CONFIDENCE)
    p_level: list[float | None] = [None] * n_pairs
    if margin is not None:
        sides = (_student(d, -margin, "greater"), _student(d, margin, "less"))
        p_level = np.maximum(*map(_p_values, sides)).tolist()
    return [
        Difference(mean, std, (lower, upper), n, p, q, resamples)
        for mean, std, lower, upper, p, q, resamples in zip(
            means,
            stds,
            low.tolist(),
            high.tolist(),
            _p_values(found).tolist(),
            p_level,
            [bootstrap_interval(row.tolist()) if resampled else None for row in d],
            strict=True,
        )
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number, so that all errors together stay bounded.

    Rejecting where the adjusted value is below a level makes the chance of any false
    rejection at most that level, however the tests depend on each other.

    Parameters
    ----------
    p_values : sequence of float
        The family's p-values, in [0, 1].

    Raises
    ------
    InputError
        If one is not in [0, 1].

    References
    ----------
    Holm (1979), "A simple sequentially rejective multiple test procedure".
    """
    for p_value in p_values:
        check_real("p-value", p_value, at_least=0.0, at_most=1.0)
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1.0).tolist()


def word_for(difference: Difference, p_different: float | None, p_level: float | None) -> str:
    """Return the one word that a difference may be called by.

    Parameters
    ----------
    difference : Difference
        Its mean gives the direction; without an interval there is nothing to say.
    p_different, p_level : float or None
        The difference's p-values, corrected for the number of comparisons in its family.

    Returns
    -------
    str
        "higher" or "lower" if the mean differs from 0 at 5%; else "level" if it is inside the
        margin at 5%; else "not told apart"; "too few units" without an interval.
    """
    level = 1 - CONFIDENCE
    if difference.mean is None or difference.ci95 is None or p_different is None:
        return TOO_FEW
    if p_different < level:
        return HIGHER if difference.mean > 0 else LOWER
    return LEVEL if p_level is not None and p_level < level else NOT_TOLD_APART


def _student(d: Float[np.ndarray, "pairs n"], mean: float, alternative: _Alternative) -> Any:
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        # Values equal up to rounding make scipy warn; the answer it gives is the right limit.
        warnings.simplefilter("ignore", RuntimeWarning)
        return stats.ttest_1samp(d, mean, axis=1, alternative=alternative)


def _p_values(found: Any) -> Float[np.ndarray, " pairs"]:
    # 0 / 0: every difference equals the mean that is tested.
    return np.where(np.isnan(found.pvalue), 1.0, found.pvalue)
