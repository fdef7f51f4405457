"""The assignment behind every matching; among equal optima a drawn one, which no index favours."""

from functools import lru_cache
from itertools import permutations

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from osae_theory.errors import check_integer
from osae_theory.seeds import Axis, generator

# All matchings of so many atoms are gone through: 40,320 of them at 8.
ENUMERABLE = 8
# Sums of at most eight cosines that differ by less than this are equal but for rounding.
EQUAL_SUMS = 1e-12
# In place of a column: the row is left over.
LEFT = -1


def assign(scores: Float[np.ndarray, "K K_other"], tie_seed: int = 0) -> Int[np.ndarray, " K"]:
    """Return the column of each row at the greatest sum of scores.

    Parameters
    ----------
    scores : (K, K')
        Finite; larger is better.
    tie_seed : int
        Decides among equal optima. The rows and the columns are put into orders drawn from the
        stream (tie_seed, Axis.TIES, 0), assigned by `scipy.optimize.linear_sum_assignment`,
        and put back: scipy alone prefers low indices with low ones. Where one optimum is
        greatest the seed changes nothing.

    Returns
    -------
    (K,) int
        Different columns in 0..K'-1, as many as there can be; -1 for a row that is left over.
        Always the same for the same scores and seed.

    Raises
    ------
    InputError
        If the seed is not a whole number of at least 0.
    """
    check_integer("tie_seed", tie_seed, 0)
    drawn = generator(tie_seed, Axis.TIES)
    rows, columns = drawn.permutation(len(scores)), drawn.permutation(scores.shape[1])
    own, found = linear_sum_assignment(scores[np.ix_(rows, columns)], maximize=True)
    assigned = np.full(len(scores), LEFT)
    assigned[rows[own]] = columns[found]
    return assigned


def tied_assignments(scores: Float[np.ndarray, "K K"]) -> Int[np.ndarray, "n K"]:
    """Return every assignment of the greatest sum, equal to within EQUAL_SUMS, for K <= 8."""
    every = _all_permutations(len(scores))
    sums = scores[np.arange(len(scores)), every].sum(axis=1)
    return every[sums >= sums.max() - EQUAL_SUMS]


@lru_cache(maxsize=ENUMERABLE)
def _all_permutations(width: int) -> Int[np.ndarray, "n K"]:
    return np.array(list(permutations(range(width))), dtype=np.int64)
