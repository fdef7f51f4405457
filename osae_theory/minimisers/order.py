"""The order of known atoms that minimises L_ND: what T5 puts in the place of Theorem 3.1's order.

At a factorisation X = D Y the residual of prefix l is what the atoms after l would add, so
L_ND depends on the order through A = G o C = (D^T D) o (Y Y^T) alone:

    L_ND(order) = sum_jk A_jk F(min(pos_j, pos_k)) = sum_l p_l h(R_l),

with F(t) = P(l < t), R_l the atoms after position l, and h(R) = sum_{j,k in R} A_jk.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import numpy as np
from jaxtyping import Int, Shaped

from osae_theory.certificates import Certificate, Kind, Number
from osae_theory.doors import at_the_door
from osae_theory.errors import InputError
from osae_theory.minimisers.losses import check_law
from osae_theory.minimisers.rational import as_fractions, check_probabilities
from osae_theory.prefixes import PrefixLaw

MOST_ATOMS = 16
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class BestOrder:
    """An order of the atoms and its place among all orders.

    Attributes
    ----------
    order : Int[np.ndarray, " K"]
        The atom in position 1, in position 2, and so on: `D[:, order]` is the dictionary.
    loss : int, Fraction or float
        L_ND of the factorisation in that order.
    n_optimal : int or None
        How many orders attain it; None if it was found by exchange.
    certificate : Certificate
        That the loss is the least of all orders, or an upper bound of it.
    """

    order: Int[np.ndarray, " K"]
    loss: Number
    n_optimal: int | None
    certificate: Certificate


@at_the_door
def best_order(A: Shaped[np.ndarray, "K K"], law: PrefixLaw | Sequence[Fraction]) -> BestOrder:
    """Return the order of the atoms that minimises L_ND at a factorisation X = D Y.

    Parameters
    ----------
    A : Shaped[np.ndarray, "K K"]
        G o C, symmetric: floats, or an object array of ints and Fractions.
    law : PrefixLaw or sequence of Fraction
        Law on {1..K}. With Fractions (then A must be exact too) the answer is exact.

    Returns
    -------
    BestOrder
        Up to 16 atoms: the minimum over all K! orders, by f(R) = q_{K-|R|} h(R) +
        min_{j in R} f(R without j), with q_0 = 0, q_l = P(l) and f(empty) = 0, over the 2^K
        sets R of atoms still to be placed. Beyond: from the order by energy, pairs change
        places until no such exchange helps, and the certificate is an upper bound.

    Raises
    ------
    InputError
        If A is not square, symmetric and finite, or the law is not on K atoms.

    Notes
    -----
    claim T5 (docs/theory.md); the recursion is Held & Karp's (1962) for sequencing.
    """
    exact = not isinstance(law, PrefixLaw)
    A = _checked(A, exact)
    K = len(A)
    if isinstance(law, PrefixLaw):
        check_law(law, K)
        p = law.probabilities
    else:
        p = check_probabilities(law, K)
    if K > MOST_ATOMS:
        return _by_exchange(A, p, exact)
    order, loss, n_optimal = _by_subsets(A, p, exact)
    kind: Kind = "exact" if exact else "value"
    certificate = Certificate(
        quantity="min of L_ND over the orders of the factorisation",
        value=loss,
        kind=kind,
        method=f"dynamic programming over the 2^{K} sets of atoms still to be placed (T5)",
        error=0.0 if exact else _rounding(A),
        details={"orders that attain it": str(n_optimal)},
    )
    return BestOrder(order, loss, n_optimal, certificate)


@at_the_door
def order_loss(
    A: Shaped[np.ndarray, "K K"],
    law: PrefixLaw | Sequence[Fraction],
    order: Sequence[int] | Int[np.ndarray, " K"],
) -> Number:
    """Return sum_jk A_jk F(min(pos_j, pos_k)), the L_ND of a factorisation in a given order.

    Parameters are those of `best_order`; `order` lists the atom in position 1, then in
    position 2, and so on. Raises InputError if it is not a permutation of 0..K-1.
    """
    exact = not isinstance(law, PrefixLaw)
    A = _checked(A, exact)
    places = np.asarray(order)
    if not np.array_equal(np.sort(places), np.arange(len(A))):
        raise InputError(f"order = {list(order)}: expected a permutation of 0..{len(A) - 1}")
    if isinstance(law, PrefixLaw):
        check_law(law, len(A))
        p = law.probabilities
    else:
        p = check_probabilities(law, len(A))
    return _loss(A, p, places)


@at_the_door
def energy_order_is_optimal(A: Shaped[np.ndarray, "K K"]) -> bool:
    """Return whether T5's sufficient condition holds: sorting by energy is then optimal.

    For every pair with e_j > e_k (e = diag A), A_jj - A_kk >= 2 sum over l other than j, k
    with A_ll <= A_jj of (A_kl - A_jl)_+. Then, for every law, some order sorted by
    descending energy is optimal: any order can be insertion-sorted from its tail without a
    step up. With equal energies the condition does not say which of the sorted orders.

    Parameters
    ----------
    A : Shaped[np.ndarray, "K K"]
        G o C, symmetric: floats, or an object array of ints and Fractions.

    Returns
    -------
    bool
        False leaves the question open.

    Raises
    ------
    InputError
        If A is not square, symmetric and finite.

    Notes
    -----
    claim T5 (docs/theory.md).
    """
    A = _checked(A, A.dtype == object)
    e = np.diagonal(A)
    for j, k in np.argwhere(e[:, None] > e[None, :]):
        others = (e <= e[j]) & (np.arange(len(e)) != j) & (np.arange(len(e)) != k)
        pull = (A[k] - A[j])[others]
        if e[j] - e[k] < 2 * pull[pull > 0].sum():
            return False
    return True


def _checked(A: np.ndarray, exact: bool) -> np.ndarray:
    if A.ndim != 2 or A.shape[0] != A.shape[1] or A.size == 0:
        raise InputError(f"A of shape {A.shape}: expected (K, K) with K >= 1")
    A = as_fractions(A) if exact else np.asarray(A, dtype=np.float64)
    if not exact and not np.isfinite(A).all():
        raise InputError("A has entries that are NaN or infinite: expected finite numbers")
    # Rounded Gram products need not be symmetric to the last bit.
    off = np.abs(A - A.T).max()
    if off > (0 if exact else 1e-9 * np.abs(A).max()):
        raise InputError(f"A differs from its transpose by {float(off):.3g}: expected symmetry")
    return A


def _loss(A: np.ndarray, p: np.ndarray, order: np.ndarray) -> Number:
    ordered = A[np.ix_(order, order)]
    tails = ordered[::-1, ::-1].cumsum(axis=0).cumsum(axis=1).diagonal()[::-1]
    total = (p[:-1] * tails[1:]).sum()
    return total if A.dtype == object else float(total)


def _by_subsets(A: np.ndarray, p: np.ndarray, exact: bool) -> tuple[np.ndarray, Number, int]:
    K = len(A)
    atoms = np.arange(K)
    masks = np.arange(1 << K)
    member = (masks[:, None] >> atoms) & 1
    size = member.sum(axis=1)
    indicator = member.astype(A.dtype)
    q = np.append(p[:1] * 0, p[:-1])
    f = q[(K - size) % K] * ((indicator @ A) * indicator).sum(axis=1)
    f[0] = 0
    counts = np.ones(1 << K, dtype=object)
    first = np.zeros(1 << K, dtype=np.int64)
    tolerance = 0 if exact else _rounding(A)
    for s in range(1, K + 1):
        layer = masks[size == s]
        without = layer[:, None] ^ (1 << atoms)
        values = np.where(member[layer] == 1, f[without], np.inf)
        least = values.min(axis=1)
        first[layer] = values.argmin(axis=1)
        ties = values <= (least + tolerance)[:, None]
        counts[layer] = np.where(ties, counts[without], 0).sum(axis=1)
        f[layer] = f[layer] + least
    order, mask = [], (1 << K) - 1
    while mask:
        order.append(int(first[mask]))
        mask ^= 1 << order[-1]
    loss = f[-1] if exact else float(f[-1])
    return np.array(order), loss, int(counts[-1])


def _by_exchange(A: np.ndarray, p: np.ndarray, exact: bool) -> BestOrder:
    K = len(A)
    order = np.argsort(-np.diagonal(A), kind="stable")
    loss, improved, rounds = _loss(A, p, order), True, 0
    tolerance = 0 if exact else _rounding(A)
    while improved:
        improved, rounds = False, rounds + 1
        for i, j in combinations(range(K), 2):
            trial = order.copy()
            trial[[i, j]] = order[[j, i]]
            trial_loss = _loss(A, p, trial)
            if trial_loss < loss - tolerance:
                order, loss, improved = trial, trial_loss, True
    certificate = Certificate(
        quantity="min of L_ND over the orders of the factorisation",
        value=loss,
        kind="upper bound",
        method=f"exchange of pairs from the energy order, K = {K} > {MOST_ATOMS} atoms",
        error=0.0 if exact else _rounding(A),
        details={"rounds": str(rounds)},
    )
    return BestOrder(order, loss, None, certificate)


def _rounding(A: np.ndarray) -> float:
    return len(A) * _EPS * float(np.abs(A).sum())
