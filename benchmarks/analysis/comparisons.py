"""All pairs of a table's rows, measurement by measurement, over problem draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from osae_theory.metrics.comparisons import (
    HIGHER,
    LOWER,
    TOO_FEW,
    Difference,
    holm,
    paired_differences,
    word_for,
)


@dataclass(frozen=True)
class Comparison:
    """One method's values minus another's, within draws.

    Attributes
    ----------
    metric : str
        The measurement's name.
    variant, other : str
        The labels of the methods; the difference is the first's value minus the second's.
    margin : float or None
        Differences smaller than this count as none; None where none was fixed beforehand.
    difference : Difference
        Over draws.
    p_different, p_level : float or None
        The difference's p-values after Holm's correction for all pairs of methods of the table
        in this measurement.
    word : str
        As `osae_theory.metrics.comparisons.word_for`.
    """

    metric: str
    variant: str
    other: str
    margin: float | None
    difference: Difference
    p_different: float | None
    p_level: float | None
    word: str


def compare(
    metric: str,
    values: Mapping[str, Sequence[float | None]],
    margin: float | None,
    resampled: bool = True,
) -> list[Comparison]:
    """Return every pair of methods compared in one measurement, corrected as one family.

    Parameters
    ----------
    metric : str
        The measurement's name.
    values : mapping of str to sequence of float or None
        For each method one value a draw, the same draws in the same order; a draw in which one
        of the two has none does not count for the pair.
    margin : float, optional
        For the test of equivalence; None for a measurement without one.
    resampled : bool
        Whether the bootstrap checks the intervals.
    """
    # The later method first: the plain SAE, which stands first, is what others are held to.
    pairs = [(second, first) for first, second in combinations(values, 2)]
    return compare_pairs(metric, values, pairs, margin, resampled)


def compare_pairs(
    metric: str,
    values: Mapping[str, Sequence[float | None]],
    pairs: Sequence[tuple[str, str]],
    margin: float | None,
    resampled: bool = True,
) -> list[Comparison]:
    """Return some pairs of methods compared in one measurement, corrected as one family.

    Parameters
    ----------
    metric, values, margin, resampled
        As in `compare`.
    pairs : sequence of (str, str)
        The labels of the methods of each: the difference is the first's minus the second's.
    """
    both = [(values[own], values[other]) for own, other in pairs]
    found = paired_differences(both, margin, resampled=resampled)
    different = _corrected([one.p_different for one in found])
    level = _corrected([one.p_level for one in found])
    return [
        Comparison(metric, own, other, margin, one, p, q, word_for(one, p, q))
        for (own, other), one, p, q in zip(pairs, found, different, level, strict=True)
    ]


def leaders(
    comparisons: Sequence[Comparison], means: Mapping[str, float | None], higher_is_better: bool
) -> frozenset[str]:
    """Return the best method and all that are not told apart from it; none if too few draws.

    Parameters
    ----------
    comparisons : sequence of Comparison
        All pairs in one measurement.
    means : mapping of str to float or None
        Each method's mean in it.
    higher_is_better : bool
        Otherwise the lowest mean is the best.
    """
    defined = {method: mean for method, mean in means.items() if mean is not None}
    if not defined:
        return frozenset()
    best = (max if higher_is_better else min)(defined, key=lambda method: defined[method])
    beside = {
        ({one.variant, one.other} - {best}).pop(): one.word
        for one in comparisons
        if best in (one.variant, one.other) and one.word != TOO_FEW
    }
    if not beside:
        return frozenset()
    return frozenset({best} | {m for m, word in beside.items() if word not in (HIGHER, LOWER)})


def _corrected(p_values: Sequence[float | None]) -> list[float | None]:
    defined = iter(holm([p for p in p_values if p is not None]))
    return [None if p is None else next(defined) for p in p_values]
