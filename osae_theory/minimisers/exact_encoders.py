"""The least L_ND at a given dictionary, over every encoder and every order, in exact arithmetic.

"L_ND at D*" means this: an encoder is free, so D* is to be judged with the codes that suit L_ND
best, on any supports, and not with the codes Y* that generated the data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, permutations

import numpy as np
from jaxtyping import Shaped

from osae_theory.errors import InputError
from osae_theory.minimisers.losses import check_sparsity
from osae_theory.minimisers.rational import (
    as_fractions,
    check_probabilities,
    check_unit_columns,
    survival_of,
)

MOST_ATOMS = 7  # 5,040 orders
_ROUNDING = 1e-9  # relative; that of a sum of floats is far below


@dataclass(frozen=True, eq=False)
class BestEncoder:
    """The least L_ND over all encoders, and over all orders of the atoms, exact.

    Attributes
    ----------
    loss : Fraction
        Its value.
    order : tuple of int
        The first order that attains it: the atom, from 0, in slot 1, in slot 2, and so on.
    codes : Shaped[np.ndarray, "K N"]
        Codes that attain it in that order, m-sparse, row j for slot j.
    n_optimal : int
        How many of the orders attain it.
    """

    loss: Fraction
    order: tuple[int, ...]
    codes: Shaped[np.ndarray, "K N"]
    n_optimal: int


def exact_best_encoder(
    X: Shaped[np.ndarray, "d N"],
    D: Shaped[np.ndarray, "d K"],
    m: int,
    probabilities: Sequence[Fraction],
    orders: Sequence[tuple[int, ...]] | None = None,
) -> BestEncoder:
    """Return the least L_ND at D over all encoders and over the given orders of its atoms.

    On a support the codes solve (W o G)_SS z = (w o D^T x)_S and save z^T (w o D^T x)_S; of the
    supports of at most m atoms the one that saves most is taken, sample by sample. Where the
    equations of a support are singular, as for parallel atoms under equal weights, a smaller one
    saves as much.

    Parameters
    ----------
    X, D : arrays of ints and Fractions
        Data, and a dictionary with columns of norm exactly 1.
    m : int
        Atoms a sample may use, 1..K.
    probabilities : sequence of Fraction
        P(l = 1), ..., P(l = K).
    orders : sequence of permutations of 0..K-1, optional
        The orders to compare; all K! of them if not given, for K <= 7.

    Raises
    ------
    InputError
        If an entry is not rational, a column not of norm 1, a size outside its range, an order
        no permutation, or K > 7 and no orders are given.

    Notes
    -----
    claim I1 (docs/theory.md). Floats only say which exact numbers to compare: a nearest float
    never reverses an order.
    """
    data, atoms = as_fractions(X), as_fractions(D)
    check_unit_columns(atoms)
    K = atoms.shape[1]
    check_sparsity(m, K)
    w = survival_of(check_probabilities(probabilities, K))
    if orders is None and K > MOST_ATOMS:
        raise InputError(f"K = {K} atoms: expected at most {MOST_ATOMS}, or the orders to compare")
    tried = list(permutations(range(K))) if orders is None else list(orders)
    for order in tried:
        if sorted(order) != list(range(K)):
            raise InputError(f"order = {order}: expected a permutation of 0..{K - 1}")
    savings = _Savings(data, atoms, w, m)
    totals = [savings.screened(order) for order in tried]
    floor = max(totals) - _ROUNDING * max(1.0, abs(max(totals)))
    exact = {
        order: savings.total(order)
        for order, total in zip(tried, totals, strict=True)
        if total >= floor
    }
    most = max(exact.values())
    best = next(order for order, total in exact.items() if total == most)
    energy = Fraction((data * data).sum())
    n_optimal = sum(total == most for total in exact.values())
    return BestEncoder(energy - most, best, savings.codes(best), n_optimal)


@dataclass(frozen=True, eq=False)
class _Solved:
    """The best codes of all samples on the atoms in some places, and what they save of ||x||^2."""

    places: tuple[int, ...]
    codes: np.ndarray
    saved: np.ndarray
    floats: np.ndarray


class _Savings:
    """What each sample saves on each support, worked out once for atoms and their places."""

    def __init__(self, X: np.ndarray, D: np.ndarray, w: np.ndarray, m: int) -> None:
        self.w, self.gram, self.overlaps = w, D.T @ D, D.T @ X
        K = len(w)
        self.places = [S for size in range(1, m + 1) for S in combinations(range(K), size)]
        self.known: dict[tuple[tuple[int, ...], ...], _Solved | None] = {}

    def supports(self, order: tuple[int, ...]) -> list[_Solved]:
        """Return what is saved on every support of an order whose equations are not singular."""
        found = []
        for places in self.places:
            key = (places, tuple(order[place] for place in places))
            if key not in self.known:
                self.known[key] = self._solved(*key)
            found.append(self.known[key])
        return [solved for solved in found if solved is not None]

    def _solved(self, places: tuple[int, ...], atoms: tuple[int, ...]) -> _Solved | None:
        weights = self.w[list(places)]
        system = np.minimum.outer(weights, weights) * self.gram[np.ix_(atoms, atoms)]
        target = weights[:, None] * self.overlaps[list(atoms)]
        inverse = _inverse(system)
        if inverse is None:
            return None
        codes = inverse @ target
        saved = (codes * target).sum(axis=0)
        return _Solved(places, codes, saved, saved.astype(np.float64))

    def screened(self, order: tuple[int, ...]) -> float:
        """Return what all samples save, up to rounding."""
        return float(np.max([s.floats for s in self.supports(order)], axis=0).sum())

    def chosen(self, order: tuple[int, ...]) -> list[_Solved]:
        """Return each sample's best support."""
        supports = self.supports(order)
        rows = np.array([s.floats for s in supports])
        best = []
        for n, most in enumerate(rows.max(axis=0)):
            ties = [supports[i] for i in np.flatnonzero(rows[:, n] == most)]
            saved = [s.saved[n] for s in ties]
            best.append(ties[saved.index(max(saved))])
        return best

    def total(self, order: tuple[int, ...]) -> Fraction:
        """Return what all samples save, exactly."""
        return sum((s.saved[n] for n, s in enumerate(self.chosen(order))), start=Fraction(0))

    def codes(self, order: tuple[int, ...]) -> np.ndarray:
        """Return the codes that save it."""
        codes = np.full((len(order), self.overlaps.shape[1]), Fraction(0), dtype=object)
        for n, support in enumerate(self.chosen(order)):
            codes[list(support.places), n] = support.codes[:, n]
        return codes


def _inverse(A: np.ndarray) -> np.ndarray | None:
    """Return the inverse of a small positive semidefinite exact matrix, None if it is singular."""
    size = len(A)
    work = np.concatenate([A, as_fractions(np.eye(size, dtype=int))], axis=1)
    for j in range(size):
        # No pivoting: a zero pivot of a semidefinite matrix means that it is singular.
        if work[j, j] == 0:
            return None
        work[j] = work[j] / work[j, j]
        for i in range(size):
            if i != j and work[i, j] != 0:
                work[i] = work[i] - work[i, j] * work[j]
    return work[:, size:]
