"""Order where the data decide it: pairs of atoms whose energies differ by more than chance."""

import math

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtri

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_finite, check_integer, check_real

LEVEL = 0.01


@at_the_door
def resolved_pairs(
    codes: Float[np.ndarray, "K N"], level: float = LEVEL
) -> Bool[np.ndarray, "K K"]:
    """Return which atoms have more energy than which others, beyond sampling error.

    The energies' difference e_i - e_j = sum_n (y_in^2 - y_jn^2) has the standard error
    s = sqrt(N var(y_in^2 - y_jn^2)), of independent samples and with divisor N - 1 in the
    variance. A pair is resolved if the difference is above z s. There are P = K (K - 1) / 2
    pairs, and z is the normal quantile of 1 - level / (2 P): where all energies are equal in
    law, any pair is resolved with probability `level` at most. At two standard errors one pair
    in twenty would be. K is here the number of atoms that occur; where it is below two no pair
    is resolved.

    Parameters
    ----------
    codes : (K, N)
        One row an atom, one column a sample; mostly zeros, or it is slow.
    level : float
        In (0, 1).

    Returns
    -------
    (K, K) bool
        At (i, j): whether e_i is above e_j. Never true for both (i, j) and (j, i).

    Raises
    ------
    InputError
        If there are fewer than two samples, an entry is NaN or infinite, or `level` is not
        inside (0, 1).

    Notes
    -----
    Bonferroni's correction, of two-sided tests. The normal law is a good one from some dozens of
    uses of an atom on.
    """
    check_real("level", level, above=0.0, below=1.0)
    N = codes.shape[1]
    check_integer("the number of samples", N, 2)
    check_finite("codes", codes)
    squares, products = _moments(np.asarray(codes, dtype=np.float64))
    occurring = int(np.count_nonzero(squares))
    if occurring < 2:
        return np.zeros((len(codes), len(codes)), dtype=bool)
    z = -float(ndtri(level / (occurring * (occurring - 1))))
    difference = squares[:, None] - squares
    fourth = np.diagonal(products)
    spread = fourth[:, None] + fourth - 2 * products - difference**2 / N
    # Equal atoms leave but rounding.
    error = np.sqrt(np.maximum(spread, 0.0) * N / (N - 1))
    return difference > z * error


def _moments(
    codes: Float[np.ndarray, "K N"],
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, "K K"]]:
    """Return sum_n q_in and sum_n q_in q_jn of q = y^2, in units in which the largest y is 1."""
    K, N = codes.shape
    samples, atoms = np.nonzero(codes.T)
    values = codes.T[samples, atoms]
    peak = np.abs(values).max(initial=0.0)
    q = (values / (peak or 1.0)) ** 2
    counts = np.bincount(samples, minlength=N)
    places = np.arange(len(samples)) - np.repeat(np.cumsum(counts) - counts, counts)
    # A sample a column, an atom it uses a row: pairs of rows are pairs of atoms used together.
    used = np.zeros((int(counts.max()), N), dtype=np.int64)
    powers = np.zeros(used.shape)
    used[places, samples], powers[places, samples] = atoms, q
    upper = np.zeros(K * K)
    for i in range(len(used)):
        for j in range(i + 1, len(used)):
            products = powers[i] * powers[j]
            upper += np.bincount(used[i] * K + used[j], weights=products, minlength=K * K)
    upper = upper.reshape(K, K)
    # Without a single entry bincount counts in integers.
    second, fourth = (
        np.bincount(atoms, weights=own, minlength=K).astype(np.float64) for own in (q, q * q)
    )
    return second, upper + upper.T + np.diag(fourth)


@at_the_door
def order_of_resolved_pairs(
    order: Int[np.ndarray, " n"], resolved: Bool[np.ndarray, "K K_other"]
) -> float:
    """Return the share of resolved pairs in the right order, on a scale from -1 to 1.

    Parameters
    ----------
    order : (n,) int
        Atoms, from 0 to K-1 and each at most once, in the order found.
    resolved : (K, K) bool
        At (i, j) whether i belongs before j, as `resolved_pairs` gives it.

    Returns
    -------
    float
        (right - wrong) / (right + wrong) over resolved pairs of atoms in `order`, Kendall's tau
        over these pairs: 1 if all are in order, -1 if none is, 0 on average for a random order.
        NaN where no pair is resolved.

    Raises
    ------
    InputError
        If `resolved` is not square, or `order` holds an atom twice or one that is not there.

    Notes
    -----
    Pairs rather than atoms apart from both their neighbours, over which Spearman's correlation
    could be taken: with many atoms hardly any atom is, and most pairs are. Source: Goodman and
    Kruskal (1954), gamma, the form of Kendall's tau that leaves ties out.
    """
    K = len(resolved)
    if resolved.shape != (K, K):
        raise InputError(f"resolved has shape {resolved.shape}: expected a square one")
    if len(np.unique(order)) < len(order) or (
        len(order) and not 0 <= order.min() <= order.max() < K
    ):
        raise InputError(f"order = {order}: expected different atoms, from 0 to {K - 1}")
    among = resolved[np.ix_(order, order)]
    right = np.count_nonzero(np.triu(among, 1))
    wrong = np.count_nonzero(np.tril(among, -1))
    return float((right - wrong) / (right + wrong)) if right + wrong else math.nan
