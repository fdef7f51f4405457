"""Orderedness of a bare permutation: the paper's Ord once the matching is known."""

import math

import numpy as np
from jaxtyping import Int

from osae_theory.errors import InputError


def orderedness_of_permutation(mu: Int[np.ndarray, " K"]) -> float:
    """Return 1 - 6 sum_j (j - mu(j))^2 / (K (K^2 - 1)), Spearman's correlation of j and mu(j).

    Parameters
    ----------
    mu : (K,) int
        A permutation of 0..K-1: the index matched to each j. Counting from 0 or from 1 is
        the same to the formula, since only differences enter.

    Returns
    -------
    float
        In [-1, 1]: 1 for the identity, -1 for the reversal; NaN for K < 2, where a rank
        correlation has no meaning.

    Raises
    ------
    InputError
        If `mu` is not a permutation of 0..K-1.

    Notes
    -----
    Source: Wang et al. (2025), definition of Ord; Spearman (1904) without ties.
    """
    width = len(mu)
    places = np.arange(width)
    if not np.array_equal(np.sort(mu), places):
        raise InputError(f"mu = {mu}: expected a permutation of 0..{width - 1}")
    if width < 2:
        return math.nan
    squares = int(np.sum((places - mu) ** 2))
    return 1.0 - 6.0 * squares / (width * (width**2 - 1))
