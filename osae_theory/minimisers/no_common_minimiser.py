"""Certificates that no minimiser of L_K minimises L_ND: Lemma 3.1 and Theorem 3.1 fail (N1).

Where X = D* Y* has one m-sparse factorisation up to signed permutation, the minimisers of L_K
are the orders and signs of D*, and L_ND depends on the order alone. The best order is found
exactly; any one point below it then proves the claim, in rational arithmetic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int, Shaped

from osae_theory.certificates import Certificate
from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_integer
from osae_theory.minimisers.alternating import alternating
from osae_theory.minimisers.losses import check_sparsity
from osae_theory.minimisers.order import BestOrder, best_order
from osae_theory.minimisers.rational import (
    as_fractions,
    check_probabilities,
    check_unit_columns,
    exact_codes,
    exact_nested_loss,
    rational_unit_vector,
)
from osae_theory.prefixes import PrefixLaw


@dataclass(frozen=True, eq=False)
class NoCommonMinimiser:
    """The least L_ND over the minimisers of L_K, and a rational point to compare it with.

    Attributes
    ----------
    among_minimisers : BestOrder
        The exact minimum of L_ND over the minimisers of L_K, and the order that attains it.
    dictionary : Shaped[np.ndarray, "d K"]
        D of the point, Fractions, columns of norm exactly 1.
    codes : Shaped[np.ndarray, "K N"]
        Y of the point, Fractions, m-sparse.
    upper_bound : Fraction
        L_ND at the point, at least min L_ND.
    certificate : Certificate
        That the two minima differ by `among_minimisers.loss - upper_bound` at least.
    """

    among_minimisers: BestOrder
    dictionary: Shaped[np.ndarray, "d K"]
    codes: Shaped[np.ndarray, "K N"]
    upper_bound: Fraction
    certificate: Certificate

    @property
    def gap(self) -> Fraction:
        """How far below every minimiser of L_K the point is; a proof only if positive."""
        return Fraction(self.certificate.value)

    @property
    def refutes_the_lemma(self) -> bool:
        """Whether the gap is positive, so that no minimiser of L_K minimises L_ND."""
        return self.gap > 0


@at_the_door
def no_common_minimiser(
    D_star: Shaped[np.ndarray, "d K"],
    Y_star: Shaped[np.ndarray, "K N"],
    m: int,
    probabilities: Sequence[Fraction],
    uniqueness: Certificate,
    *,
    point: tuple[Shaped[np.ndarray, "d K"], Shaped[np.ndarray, "K N"]] | None = None,
    denominator: int = 1000,
    n_starts: int = 4,
    seed: int = 0,
) -> NoCommonMinimiser:
    """Compare min L_ND with its minimum over the minimisers of L_K, exactly.

    Parameters
    ----------
    D_star, Y_star : arrays of ints and Fractions
        A rational factorisation of the data, columns of norm exactly 1 and m-sparse codes.
    m : int
        Atoms a sample may use, 1..K.
    probabilities : sequence of Fraction
        P(l = 1), ..., P(l = K), with P(l = K) > 0.
    uniqueness : Certificate
        That every m-sparse factorisation of the data is this one up to signed permutation;
        of kind "exact" or "with probability one". It is trusted, and quoted.
    point : tuple of arrays, optional
        A rational point (D, Y) to compare with. By default `alternating` looks for one, its
        dictionary is rounded to rational unit vectors, and the codes are solved for exactly
        on its supports.
    denominator, n_starts, seed : int
        Of that search: largest denominator of the stereographic coordinates, starts beside
        D*, and their seed.

    Returns
    -------
    NoCommonMinimiser
        With a certificate of the gap, a lower bound as a Fraction, free of rounding.

    Raises
    ------
    InputError
        If an input is not rational, a column not of unit norm, codes are not m-sparse, there
        are more than 16 atoms, P(l = K) = 0, or the certificate is of another kind.

    Notes
    -----
    claim N1 and T5 (docs/theory.md).
    """
    D, Y = as_fractions(D_star), as_fractions(Y_star)
    K = D.shape[1]
    _check(D, Y, m, uniqueness)
    p = check_probabilities(probabilities, K)
    if p[-1] == 0:
        raise InputError("P(l = K) = 0: expected a law under which the full prefix counts")
    order = best_order((D.T @ D) * (Y @ Y.T), list(p))
    if order.n_optimal is None:
        raise InputError(f"K = {K} atoms: the best order is exact up to 16 only")
    X = D @ Y
    if point is None:
        arranged = D[:, order.order]
        point = _rational_point(X, arranged, m, p, denominator, n_starts, seed)
    atoms, codes = as_fractions(point[0]), as_fractions(point[1])
    _check(atoms, codes, m, uniqueness)
    upper_bound = exact_nested_loss(X, codes, atoms, list(p))
    certificate = _certificate(order, upper_bound, uniqueness)
    return NoCommonMinimiser(order, atoms, codes, upper_bound, certificate)


def cyclic_pair_codes(
    repeats: Sequence[int], scales: Sequence[int | Fraction]
) -> Shaped[np.ndarray, "K N"]:
    """Return N1's codes: pairs of neighbours on a cycle of K atoms, every direction distinct.

    On the edge (i, i+1), and last on (1, K), the samples t = 1..r have y_i = s_i and
    y_j = t s_j, i < j.

    Parameters
    ----------
    repeats : sequence of int
        r of each edge, in the order (1,2), (2,3), ..., (K-1,K), (1,K); each at least 1.
    scales : sequence of int or Fraction
        s of each atom, positive; K >= 3 of them.

    Raises
    ------
    InputError
        If the lengths differ, or an entry is outside its range.

    Notes
    -----
    claim N1 (docs/theory.md). If spark(D) > 4, K >= 4 and every r exceeds K (K - 1) / 2, then
    X = D Y has one 2-sparse factorisation up to signed permutation, for any scales: of any D'
    with 2-sparse codes for X at most K (K - 1) / 2 planes are spanned by pairs, and one that
    is not the plane of edge e holds at most one of its r directions; so each plane of an edge
    is one of D'. Planes of D' that share an atom meet, which for edges means that they are
    neighbours and that the atom is their common d_i. No three edges are pairwise neighbours,
    so an atom of D' is in two of the K planes at most; on average it is in two, hence in two
    exactly, and D' is D.
    """
    s = as_fractions(list(scales))
    K = s.size
    check_integer("number of scales", K, 3)
    if len(repeats) != K or (s <= 0).any():
        raise InputError(
            f"{len(repeats)} repeats for {K} scales: expected one for each, and positive scales"
        )
    columns = []
    for r, (i, j) in zip(repeats, [*pairwise(range(K)), (0, K - 1)], strict=True):
        check_integer("repeats", r, 1)
        for t in range(1, int(r) + 1):
            column = np.full(K, Fraction(0), dtype=object)
            column[i], column[j] = s[i], t * s[j]
            columns.append(column)
    return np.array(columns, dtype=object).T


def _certificate(order: BestOrder, upper_bound: Fraction, uniqueness: Certificate) -> Certificate:
    return Certificate(
        quantity="min of L_ND over argmin L_K, less min L_ND",
        value=Fraction(order.loss) - upper_bound,
        kind="lower bound" if uniqueness.kind == "exact" else "with probability one",
        method="exact best order of the unique factorisation, against one rational point",
        details={
            "least L_ND over argmin L_K": str(order.loss),
            "order": str(order.order.tolist()),
            "L_ND at the point": str(upper_bound),
            "uniqueness": f"{uniqueness.quantity}: {uniqueness.method}",
        },
    )


def _check(D: np.ndarray, Y: np.ndarray, m: int, uniqueness: Certificate) -> None:
    check_unit_columns(D)
    check_sparsity(m, D.shape[1])
    used = (Y != 0).sum(axis=0)
    if (used > m).any():
        sample = int(np.argmax(used > m))
        raise InputError(f"sample {sample} uses {used[sample]} atoms: expected at most m = {m}")
    if uniqueness.kind not in ("exact", "with probability one"):
        raise InputError(
            f"uniqueness certificate of kind {uniqueness.kind!r}: expected 'exact' or"
            " 'with probability one'"
        )


def _rational_point(
    X: np.ndarray,
    D: np.ndarray,
    m: int,
    p: np.ndarray,
    denominator: int,
    n_starts: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    found = alternating(
        X.astype(np.float64),
        D.shape[1],
        m,
        PrefixLaw(p.astype(np.float64)),
        n_starts,
        seed,
        initial=[D.astype(np.float64)],
    )
    atoms = np.stack([rational_unit_vector(d, denominator) for d in found.dictionary.T], axis=1)
    supports = _supports(found.codes, m)
    return atoms, exact_codes(X, atoms, supports, list(p))


def _supports(Y: Float[np.ndarray, "K N"], m: int) -> Int[np.ndarray, "N m"]:
    largest = np.argsort(-np.abs(Y), axis=0, kind="stable")[:m].T
    return np.sort(largest, axis=1)
