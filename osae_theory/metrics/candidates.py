"""Matching of very many atoms over each one's nearest few, with a bound on what that can miss.

A dense matching of K atoms takes memory K^2 and time K^3. Here each atom may be matched with one of
its nearest `n_candidates` atoms only, or with nobody; whoever is left is matched again among those
that are left, over twice as many candidates, and in the end densely. Any atom that is no candidate
is at most as similar as the last candidate: so the first, relaxed problem, in which nobody counts
as much as that, has an optimum that no matching exceeds. In the worst case, where very many atoms
want the same few, memory is K^2 too.

Candidates of atoms are chosen by products in float32, and what these may be off by is part of the
bound; their similarities are float64. Pairs that are in every best matching over candidates, as
those of shared atoms are, are settled first, which changes no optimum. Whatever else is similar by
a number in [-1, 1], latents by their correlations, is matched in the same way.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
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
)
from osae_theory.metrics.similarities import Cosines, Similarities
from osae_theory.seeds import Axis, generator

# So many atoms are matched densely.
DENSE = 1024
# Similarities are compared in whole numbers of this: sums of weights are exact then.
_UNIT = 2.0**-30
# Nobody counts less than the best candidate by this, so that there is always one to be matched.
MARGIN = 4 * _UNIT
# Of so many nearest in single precision the nearest in double is taken.
_CLOSE = 4
CANDIDATES, ASSIGNMENT = "candidates", "assignment"
# Rows whose similarities are held at once.
_BLOCK = 512


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
    on_progress: Callable[[str, int], None] | None = None,
) -> CandidateMatching:
    """Match the atoms of two dictionaries over each one's nearest few: for very many atoms.

    Parameters
    ----------
    D, E : (d, K) and (d, K')
        Dictionaries, atoms as columns of any norm; of one width unless a prefix is given.
    absolute, prefix, live
        As in `match`.
    n_candidates, tie_seed, on_progress
        As in `match_candidate_similarities`.

    Returns
    -------
    CandidateMatching
        Its Stab is below that of the best by at most the difference from its bound, which is 1e-8
        where each atom's match is a candidate and float32 tells its candidates apart.

    Raises
    ------
    InputError
        As `match`, or if there is not at least one candidate.

    See Also
    --------
    match : the best matching, for some thousands of atoms.
    """
    _check_fit(D, E)
    width = common_width(D.shape[1], E.shape[1], prefix)
    alive = both_alive(live, live_atoms(D), live_atoms(E))
    return match_candidate_similarities(
        Cosines.of(D[:, :width], E[:, :width]),
        absolute,
        n_candidates=n_candidates,
        live=(alive[0][:width], alive[1][:width]),
        tie_seed=tie_seed,
        on_progress=on_progress,
    )


def match_candidate_similarities(
    similarities: Similarities,
    absolute: bool = False,
    *,
    n_candidates: int = 32,
    live: Liveness | None = None,
    tie_seed: int = 0,
    on_progress: Callable[[str, int], None] | None = None,
) -> CandidateMatching:
    """Match rows one to one with columns over each row's nearest few: for very many of them.

    Parameters
    ----------
    similarities : Similarities
        As many rows as columns.
    absolute : bool
        Maximise the sum of |similarity| instead of the sum of similarity.
    n_candidates : int
        How many columns a row may be matched with. All similarities are computed but not kept:
        memory grows like n times this.
    live : pair of (n,) and (n',) bool, optional
        Which enter Ord; by default those that are similar to anything at all.
    tie_seed : int
        Decides among matchings of the same sum.
    on_progress : callable, optional
        Called as on_progress(stage, done) before each block of rows whose candidates are
        searched and before each assignment; done is the number of rows whose first candidates are
        known, and the stage CANDIDATES or ASSIGNMENT.

    Raises
    ------
    InputError
        If there are not as many rows as columns, there is not at least one candidate, or `live`
        does not fit.
    """
    check_integer("n_candidates", n_candidates, 1)
    check_integer("tie_seed", tie_seed, 0)
    width = common_width(*similarities.shape, None)
    alive = both_alive(live, *similarities.alive)
    permutation = np.full(width, LEFT)
    rows = columns = np.arange(width)
    # Drawn orders, so that among equal optima no index is favoured.
    drawn = generator(tie_seed, Axis.TIES)
    bound, kept = None, n_candidates
    report = on_progress or (lambda stage, done: None)

    def again(stage: str, done: int) -> None:
        report(stage, width)

    while len(rows) > DENSE:
        rows, columns = drawn.permutation(rows), drawn.permutation(columns)
        told = report if bound is None else again
        found, total = _relaxed(similarities.taken(rows, columns), kept, absolute, told)
        bound = total / width if bound is None else bound
        kept *= 2
        matched = found != LEFT
        permutation[rows[matched]] = columns[found[matched]]
        left = np.ones(len(columns), dtype=bool)
        left[found[matched]] = False
        rows, columns = rows[~matched], columns[left]
    if len(rows):
        again(ASSIGNMENT, 0)
        S = similarities.taken(rows, columns).whole()
        permutation[rows] = columns[assign(np.abs(S) if absolute else S, tie_seed)]
    own = np.clip(similarities.chosen(permutation[:, None])[:, 0], -1.0, 1.0)
    both = alive[0] & alive[1][permutation]
    result = Matching(permutation, own, absolute, both)
    best = result.stability if bound is None else max(bound, result.stability)
    return CandidateMatching(permutation, own, absolute, both, best)


@at_the_door
def nearest_atoms(
    D: Float[np.ndarray, "d K"], E: Float[np.ndarray, "d_other K_other"]
) -> tuple[Int[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """Return which atom of E is the most similar to each of D, and its cosine.

    Parameters
    ----------
    D, E : (d, K) and (d, K')
        Dictionaries, atoms as columns of any norm, K' at least 1. No more than some rows of their
        cosines are held at once.

    Returns
    -------
    (K,) int and (K,) float
        The greatest of each row of `cosines(D, E)`, the first of equal ones: but for rounding in
        single precision, by which the four nearest are chosen.

    Raises
    ------
    InputError
        If the atoms differ in length, an entry is NaN or infinite, or E has no atom.
    """
    _check_fit(D, E)
    check_integer("the number of E's atoms", E.shape[1], 1)
    own = Cosines.of(D, E)
    # In their own order, so that of equal cosines the first is taken.
    close = np.sort(_nearest(own, min(_CLOSE, E.shape[1]), absolute=False)[0], axis=1)
    close[~live_atoms(D)] = np.arange(close.shape[1])
    cosine = own.chosen(close)
    best = cosine.argmax(axis=1)[:, None]
    found, values = (np.take_along_axis(each, best, axis=1)[:, 0] for each in (close, cosine))
    return found, np.clip(values, -1.0, 1.0)


def _check_fit(D: Float[np.ndarray, "d K"], E: Float[np.ndarray, "d_other K_other"]) -> None:
    if D.shape[0] != E.shape[0]:
        raise InputError(f"E has atoms of length {E.shape[0]}: expected {D.shape[0]}, as D has")
    check_finite("D", D)
    check_finite("E", E)


def _relaxed(
    similarities: Similarities,
    n_candidates: int,
    absolute: bool,
    report: Callable[[str, int], None] = lambda stage, done: None,
) -> tuple[Int[np.ndarray, " n"], float]:
    """Return the best matching over candidates or nobody, and what the sum of none exceeds.

    Nobody counts as much as anybody who is no candidate could, but less than the best candidate.
    """
    n, n_columns = similarities.shape
    kept = min(n_candidates, n_columns)
    nearest, others = _nearest(similarities, kept, absolute, report)
    report(ASSIGNMENT, n)
    values = np.empty((n, kept + 1))
    products = similarities.chosen(nearest)
    values[:, :kept] = np.abs(products, out=products) if absolute else products
    best = values[:, :kept].max(axis=1)
    values[:, kept] = np.minimum(others, best - MARGIN)
    # What was taken off the worth of nobody, any matching may be short of.
    lowered = float(np.maximum(others - values[:, kept], 0.0).sum()) if kept < n_columns else 0.0
    # An edge of weight 0 would be none: all are lifted alike, which changes no best matching.
    lifted = np.rint((values + 3.0) / _UNIT)
    found = _settled(lifted, nearest, n_columns)
    open_rows = np.flatnonzero(found == LEFT)
    if len(open_rows):
        taken = np.zeros(n_columns + n, dtype=bool)
        taken[found[found != LEFT]] = True
        choices = np.hstack([nearest, n_columns + np.arange(n)[:, None]])[open_rows]
        free = ~taken[choices]
        weights = csr_array(
            (
                lifted[open_rows][free],
                choices[free],
                np.concatenate([[0], np.cumsum(free.sum(axis=1))]),
            ),
            shape=(len(open_rows), n_columns + n),
        )
        rows, columns = min_weight_full_bipartite_matching(weights, maximize=True)
        found[open_rows[rows]] = columns
    # Whole numbers, far below 2^53: the sum is exact.
    chosen = np.where(nearest == found[:, None], lifted[:, :kept], 0.0).max(axis=1)
    total = float(np.where(found < n_columns, chosen, lifted[:, kept]).sum()) * _UNIT - 3.0 * n
    # Each weight was rounded by half a unit at most.
    total += lowered + n * _UNIT / 2
    return np.where(found < n_columns, found, LEFT), total


def _settled(
    weights: Float[np.ndarray, "n kept_and_nobody"],
    nearest: Int[np.ndarray, "n kept"],
    n_columns: int,
) -> Int[np.ndarray, " n"]:
    """Return the columns of rows whose best candidate is theirs in every best matching.

    LEFT stands beside the other rows. A row that takes its best candidate gains at least the gap
    to its second best choice; whoever has that candidate instead loses at most the gap to nobody.
    Where the gain is greater, no matching without the pair is the best; taking out such pairs
    changes no other gap but in favour of being settled.
    """
    n, kept = nearest.shape
    rows = np.arange(n)
    best = weights[:, :kept].argmax(axis=1)
    columns = nearest[rows, best]
    claims = (weights[:, :kept] - weights[:, kept:]).ravel()
    wanted = nearest.ravel()
    first, second = np.full(n_columns, -np.inf), np.full(n_columns, -np.inf)
    np.maximum.at(first, wanted, claims)
    is_first = claims == first[wanted]
    np.maximum.at(second, wanted[~is_first], claims[~is_first])
    several = np.bincount(wanted[is_first], minlength=n_columns) > 1
    second[several] = first[several]
    own = claims.reshape(n, kept)[rows, best]
    others = np.where(own == first[columns], second[columns], first[columns])
    gains = weights[rows, best] - np.partition(weights, kept - 1, axis=1)[:, kept - 1]
    return np.where(gains > np.maximum(others, 0.0), columns, LEFT)


def _nearest(
    similarities: Similarities,
    kept: int,
    absolute: bool,
    report: Callable[[str, int], None] = lambda stage, done: None,
) -> tuple[Int[np.ndarray, "n kept"], Float[np.ndarray, " n"]]:
    """Return the `kept` columns most similar to each row, and what no other one exceeds.

    Where there are no others that is -2.
    """
    n, n_columns = similarities.shape
    nearest = np.empty((n, kept), dtype=np.int64)
    last = np.empty(n)
    for start in range(0, n, _BLOCK):
        report(CANDIDATES, start)
        part = slice(start, start + _BLOCK)
        S = torch.from_numpy(similarities.rows(part))
        found = (S.abs_() if absolute else S).topk(kept, dim=1)
        nearest[part] = found.indices.numpy()
        last[part] = found.values[:, -1].numpy()
    # To a row that is similar to nothing all are alike: each takes others, or all of them would
    # want the same few.
    alike = np.flatnonzero(~similarities.alive[0])
    nearest[alike] = (alike[:, None] + np.arange(kept)) % n_columns
    last[alike] = 0.0
    return nearest, last + similarities.error if kept < n_columns else np.full(n, -2.0)
