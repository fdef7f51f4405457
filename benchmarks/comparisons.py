"""All pairs of methods of one table, measurement by measurement, over problem draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from osae_theory.metrics.comparisons import (
    HIGHER,
    LOWER,
    TOO_FEW,
    Difference,
    holm,
    paired_difference,
    word_for,
)

# The questions that a table answers, fixed beforehand: quality, order, and fit. Order is
# compared as trained and in both sorted orders, never in the better of the two.
FAMILY = ("stab_truth", "ord_truth", "ord_by_energy", "ord_by_frequency", "mse")
# Differences smaller than this count as none.
MARGIN = 0.02


@dataclass(frozen=True)
class Comparison:
    """One method's values minus another's, within draws.

    Attributes
    ----------
    key : str
        The measurement.
    method, other : str
        The names of the methods; the difference is the first's value minus the second's.
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

    key: str
    method: str
    other: str
    margin: float | None
    difference: Difference
    p_different: float | None
    p_level: float | None
    word: str


def compare(
    key: str, values: Mapping[str, Sequence[float | None]], margin: float | None
) -> list[Comparison]:
    """Return every pair of methods compared in one measurement, corrected as one family.

    Parameters
    ----------
    key : str
        The measurement's name.
    values : mapping of str to sequence of float or None
        For each method one value a draw, the same draws in the same order.
    margin : float, optional
        For the test of equivalence; None for a measurement without one.
    """
    # The later method first: the plain SAE, which stands first, is what others are held to.
    pairs = [(second, first) for first, second in combinations(values, 2)]
    found = [paired_difference(values[own], values[other], margin) for own, other in pairs]
    different = _corrected([one.p_different for one in found])
    level = _corrected([one.p_level for one in found])
    return [
        Comparison(key, own, other, margin, one, p, q, word_for(one, p, q))
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
        ({one.method, one.other} - {best}).pop(): one.word
        for one in comparisons
        if best in (one.method, one.other) and one.word != TOO_FEW
    }
    if not beside:
        return frozenset()
    return frozenset({best} | {m for m, word in beside.items() if word not in (HIGHER, LOWER)})


def _corrected(p_values: Sequence[float | None]) -> list[float | None]:
    defined = iter(holm([p for p in p_values if p is not None]))
    return [None if p is None else next(defined) for p in p_values]
