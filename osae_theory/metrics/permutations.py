"""Orderedness of a bare permutation: the paper's Ord once the matching is known."""

import math

import numpy as np
from jaxtyping import Bool, Int

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError


@at_the_door
def orderedness_of_permutation(
    mu: Int[np.ndarray, " K"], live: Bool[np.ndarray, " K_live"] | None = None
) -> float:
    """Return 1 - 6 sum_j (j - mu(j))^2 / (K (K^2 - 1)), Spearman's correlation of j and mu(j).

    Parameters
    ----------
    mu : (K,) int
        A permutation of 0..K-1: the index matched to each j. Counting from 0 or from 1 is
        the same to the formula, since only differences enter.
    live : (K,) bool, optional
        Which pairs (j, mu(j)) count; the others are taken out and both sides ranked again.
        All by default.

    Returns
    -------
    float
        In [-1, 1]: 1 for the identity, -1 for the reversal; NaN for fewer than two pairs,
        where a rank correlation has no meaning.

    Raises
    ------
    InputError
        If `mu` is not a permutation of 0..K-1, or `live` is not of its length.

    Notes
    -----
    Source: Wang et al. (2025), definition of Ord; Spearman (1904) without ties.
    """
    width = len(mu)
    if not np.array_equal(np.sort(mu), np.arange(width)):
        raise InputError(f"mu = {mu}: expected a permutation of 0..{width - 1}")
    if live is not None and len(live) != width:
        raise InputError(f"live has length {len(live)}: expected {width}, one a pair")
    kept = mu if live is None else mu[live]
    n = len(kept)
    if n < 2:
        return math.nan
    ranks = np.argsort(np.argsort(kept))
    squares = int(np.sum((np.arange(n) - ranks) ** 2))
    return 1.0 - 6.0 * squares / (n * (n**2 - 1))
