"""Matching of very many atoms over each one's nearest few, with a bound on what that can miss.

A dense matching of K atoms takes memory K^2 and time K^3. Here each atom may be matched with one of
its nearest `n_candidates` atoms only, or with nobody; whoever is left is matched again among those
that are left, over twice as many candidates, and in the end densely. Any atom that is no candidate
is at most as similar as the last candidate: so the first, relaxed problem, in which nobody counts
as much as that, has an optimum that no matching exceeds. In the worst case, where very many atoms
want the same few, memory is K^2 too.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_finite, check_integer
from osae_theory.metrics.assignment import LEFT, assign
from osae_theory.metrics.matching import (
    Liveness,
    Matching,
    both_alive,
    common_width,
    live_atoms,
    unit_columns,
    unit_products,
)
from osae_theory.seeds import Axis, generator

# So many atoms are matched densely.
DENSE = 1024
# Similarities are compared in whole numbers of this: sums of weights are exact then.
_UNIT = 2.0**-30
# Nobody counts less than the last candidate by this, so that there is always one to be matched. It
# is far more than the rounding of a product of unit vectors.
MARGIN = 4 * _UNIT
# Rows a product, and products of rows with candidates, at a time.
_BLOCK, _GATHERED = 256, 4096


@dataclass(frozen=True, eq=False)
class CandidateMatching(Matching):
    """A matching, and what no matching of the same atoms exceeds.

    Attributes
    ----------
    upper_bound : float
        Stab of the best matching is at most this, and at least `stability`.
    """

    upper_bound: float = 1.0


@at_the_door
def match_candidates(
    D: Float[np.ndarray, "d K"],
    E: Float[np.ndarray, "d_other K_other"],
    absolute: bool = False,
    prefix: int | None = None,
    *,
    n_candidates: int = 32,
    live: Liveness | None = None,
    tie_seed: int = 0,
) -> CandidateMatching:
    """Match the atoms of two dictionaries over each one's nearest few: for very many atoms.

    Parameters
    ----------
    D, E : (d, K) and (d, K')
        Dictionaries, atoms as columns of any norm; of one width unless a prefix is given.
    absolute, prefix, live
        As in `match`.
    n_candidates : int
        How many atoms of E an atom of D may be matched with. All products are taken, as in
        `match`, but not kept: memory grows like K times this.
    tie_seed : int
        Decides among matchings of the same sum.

    Returns
    -------
    CandidateMatching
        Its Stab is below that of the best by at most the difference from its bound, which is 1e-8
        where each atom's match is a candidate.

    Raises
    ------
    InputError
        As `match`, or if there is not at least one candidate.

    See Also
    --------
    match : the best matching, for some thousands of atoms.
    """
    check_integer("n_candidates", n_candidates, 1)
    check_integer("tie_seed", tie_seed, 0)
    if D.shape[0] != E.shape[0]:
        raise InputError(f"E has atoms of length {E.shape[0]}: expected {D.shape[0]}, as D has")
    check_finite("D", D)
    check_finite("E", E)
    width = common_width(D.shape[1], E.shape[1], prefix)
    alive = both_alive(live, live_atoms(D), live_atoms(E))
    U, V = unit_columns(D[:, :width]).T.copy(), unit_columns(E[:, :width]).T.copy()
    permutation = np.full(width, LEFT)
    rows = columns = np.arange(width)
    # Drawn orders, so that among equal optima no index is favoured.
    drawn = generator(tie_seed, Axis.TIES)
    bound, kept = None, n_candidates
    while len(rows) > DENSE:
        rows, columns = drawn.permutation(rows), drawn.permutation(columns)
        found, total = _relaxed(U[rows], V[columns], kept, absolute)
        bound = total / width if bound is None else bound
        kept *= 2
        matched = found != LEFT
        permutation[rows[matched]] = columns[found[matched]]
        left = np.ones(len(columns), dtype=bool)
        left[found[matched]] = False
        rows, columns = rows[~matched], columns[left]
    if len(rows):
        S = unit_products(U[rows].T, V[columns].T)
        permutation[rows] = columns[assign(np.abs(S) if absolute else S, tie_seed)]
    similarities = np.clip(np.einsum("kd,kd->k", U, V[permutation]), -1.0, 1.0)
    both = alive[0][:width] & alive[1][:width][permutation]
    result = Matching(permutation, similarities, absolute, both)
    best = result.stability if bound is None else max(bound, result.stability)
    return CandidateMatching(permutation, similarities, absolute, both, best)


def _relaxed(
    U: Float[np.ndarray, "n d"], V: Float[np.ndarray, "n d"], n_candidates: int, absolute: bool
) -> tuple[Int[np.ndarray, " n"], float]:
    """Return the best matching over candidates or nobody, and what the sum of none exceeds.

    Nobody counts as much as anybody who is no candidate could, less the margin.
    """
    n, kept = len(U), min(n_candidates, len(V))
    nearest = _nearest(U, V, kept, absolute)
    values = np.empty((n, kept + 1))
    size = max(_GATHERED // kept, 1)
    for start in range(0, n, size):
        part = slice(start, start + size)
        products = np.einsum("kd,kcd->kc", U[part], V[nearest[part]])
        values[part, :kept] = np.abs(products) if absolute else products
    # Where everybody is a candidate, nobody is worth having.
    some_are_not = kept < len(V)
    values[:, kept] = values[:, :kept].min(axis=1) - MARGIN if some_are_not else -2.0
    choices = np.hstack([nearest, len(V) + np.arange(n)[:, None]])
    # An edge of weight 0 would be none: all are lifted alike, which changes no best matching.
    lifted = np.rint((values + 3.0) / _UNIT)
    weights = csr_array(
        (lifted.ravel(), choices.ravel(), np.arange(0, choices.size + 1, kept + 1)),
        shape=(n, len(V) + n),
    )
    rows, columns = min_weight_full_bipartite_matching(weights, maximize=True)
    found = np.empty(n, dtype=np.int64)
    found[rows] = columns
    total = float(np.asarray(weights[rows, columns]).sum()) * _UNIT - 3.0 * n
    # Each weight was rounded by half a unit at most.
    total += n * (_UNIT / 2 + (2 * MARGIN if some_are_not else 0.0))
    return np.where(found < len(V), found, LEFT), total


def _nearest(
    U: Float[np.ndarray, "n d"], V: Float[np.ndarray, "n d"], kept: int, absolute: bool
) -> Int[np.ndarray, "n kept"]:
    """Return the `kept` most similar rows of V to each of U."""
    nearest = np.empty((len(U), kept), dtype=np.int64)
    for start in range(0, len(U), _BLOCK):
        part = slice(start, start + _BLOCK)
        S = U[part] @ V.T
        if absolute:
            np.abs(S, out=S)
        nearest[part] = np.argpartition(S, len(V) - kept, axis=1)[:, len(V) - kept :]
    # To a zero row all are alike: each takes others, or all of them would want the same few.
    zero = np.flatnonzero(~(U != 0).any(axis=1))
    nearest[zero] = (zero[:, None] + np.arange(kept)) % len(V)
    return nearest
