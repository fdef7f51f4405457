"""Exact arithmetic for the claims: losses, rank, and Theorem 3.1's instances and hypotheses.

Exact matrices are numpy object arrays of Fractions, made by `as_fractions` or `columns`; sums
and products of such arrays are exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Shaped
from sympy import QQ
from sympy.polys.matrices import DomainMatrix

from osae_theory.claims.base import Assumption
from osae_theory.errors import InputError
from osae_theory.minimisers.exact_encoders import BestEncoder, exact_best_encoder
from osae_theory.minimisers.rational import as_fractions, check_probabilities, survival_of
from osae_theory.uniqueness.spark import spark_exhaustive

Law = tuple[Fraction, ...]


def columns(*vectors: Sequence[Any]) -> Shaped[np.ndarray, "d K"]:
    """Return the exact matrix with the given columns, sequences of ints and Fractions.

    Raises
    ------
    InputError
        If an entry is neither an int nor a Fraction.
    """
    return as_fractions(vectors).T


def uniform(K: int) -> Law:
    """Return the exact uniform law of the prefix length on {1..K}."""
    return (Fraction(1, K),) * K


def squared_norm(A: Shaped[np.ndarray, "..."]) -> Fraction:
    """Return ||A||_F^2 of an exact array."""
    return Fraction((A * A).sum())


def rank(A: Shaped[np.ndarray, "d K"]) -> int:
    """Return the rank of an exact matrix, by elimination over the rationals (SymPy)."""
    entries = [[QQ(x.numerator, x.denominator) for x in row] for row in A]
    return DomainMatrix(entries, A.shape, QQ).rank()


def spark(D: Shaped[np.ndarray, "d K"]) -> int:
    """Return spark(D) of an exact matrix; K + 1 if its columns are independent."""
    return int(spark_exhaustive(D.tolist()).value)


def prefix_losses(
    X: Shaped[np.ndarray, "d N"], Y: Shaped[np.ndarray, "K N"], D: Shaped[np.ndarray, "d K"]
) -> list[Fraction]:
    """Return the exact L_1, ..., L_K, with L_l = ||X - D Lambda_l Y||_F^2."""
    return [squared_norm(X - D[:, :length] @ Y[:length]) for length in range(1, len(Y) + 1)]


def nested_loss(
    X: Shaped[np.ndarray, "d N"],
    Y: Shaped[np.ndarray, "K N"],
    D: Shaped[np.ndarray, "d K"],
    law: Sequence[Fraction],
) -> Fraction:
    """Return the exact nested-dropout loss L_ND, computed in two ways that must agree.

    By its definition, sum_l p_l L_l, and by identity I1,
    ||X||^2 - 2 sum_j w_j <d_j, X Y_j.> + <W o G, C>.

    Parameters
    ----------
    X, Y, D : exact matrices
        Data, codes after Top_m, and a dictionary with columns of norm exactly 1.
    law : sequence of Fraction
        P(l = 1), ..., P(l = K).

    Raises
    ------
    InputError
        If the law is not one on {1..K}, or a column of D is not of norm 1.
    ArithmeticError
        If the two ways disagree.

    Notes
    -----
    Section 2.2 of the paper; claim I1 (docs/theory.md).
    """
    p = check_probabilities(law, D.shape[1])
    for k, norm in enumerate((D * D).sum(axis=0)):
        if norm != 1:
            raise InputError(f"dictionary column {k} has squared norm {norm}: expected exactly 1")
    by_prefixes = (p * np.array(prefix_losses(X, Y, D), dtype=object)).sum()
    w = survival_of(p)
    W = np.minimum(w[:, None], w[None, :])
    by_gram = squared_norm(X) - 2 * (w * (Y * (D.T @ X)).sum(axis=1)).sum()
    by_gram += (W * (D.T @ D) * (Y @ Y.T)).sum()
    if by_prefixes != by_gram:
        raise ArithmeticError(f"L_ND is {by_prefixes} by prefixes and {by_gram} by identity I1")
    return by_prefixes


@dataclass(frozen=True, eq=False)
class Instance:
    """An exact instance of Theorem 3.1: what generated the data, and the law of the prefix.

    Attributes
    ----------
    D : Shaped[np.ndarray, "d K"]
        D*, exact.
    Y : Shaped[np.ndarray, "K N"]
        Y*, exact.
    law : tuple of Fraction
        P(l = 1), ..., P(l = K).
    m : int
        The sparsity that Top_m allows.
    """

    D: Shaped[np.ndarray, "d K"]
    Y: Shaped[np.ndarray, "K N"]
    law: Law
    m: int

    @property
    def K(self) -> int:
        """Number of atoms."""
        return self.D.shape[1]

    @property
    def X(self) -> Shaped[np.ndarray, "d N"]:
        """The data, X = D* Y*."""
        return self.D @ self.Y

    @property
    def frequencies(self) -> list[int]:
        """How many samples use each atom."""
        return [int(n) for n in np.count_nonzero(self.Y, axis=1)]

    @property
    def energies(self) -> list[Fraction]:
        """e_j = ||Y*_j.||^2, the energy of each atom."""
        return [Fraction(e) for e in (self.Y * self.Y).sum(axis=1)]

    def loss(
        self,
        Y: Shaped[np.ndarray, "K N"] | None = None,
        D: Shaped[np.ndarray, "d K"] | None = None,
    ) -> Fraction:
        """Return L_ND of codes Y and dictionary D, by default those that generated the data."""
        codes = self.Y if Y is None else Y
        return nested_loss(self.X, codes, self.D if D is None else D, self.law)

    def ordered_loss(self, order: Sequence[int]) -> Fraction:
        """Return L_ND of D*, Y* with the atoms in the given order, from 0."""
        return self.loss(self.Y[list(order)], self.D[:, list(order)])

    def least_at_truth(self, orders: Sequence[tuple[int, ...]] | None = None) -> BestEncoder:
        """Return the least L_ND at D* over all encoders and the given orders, or all orders.

        No more than at (D*, Y*): an encoder is free to leave Y*. Signs change nothing.
        """
        return exact_best_encoder(self.X, self.D, self.m, self.law, orders)


UNIT_NORM = Assumption(
    "the columns of D* have norm exactly 1",
    lambda instance: bool(((instance.D * instance.D).sum(axis=0) == 1).all()),
)
UNIQUE_CODES = Assumption("spark(D*) > 2m", lambda instance: spark(instance.D) > 2 * instance.m)
NONNEGATIVE_SPARSE = Assumption(
    "Y* is nonnegative with m-sparse columns",
    lambda instance: bool(
        (instance.Y >= 0).all() and np.count_nonzero(instance.Y, axis=0).max() <= instance.m
    ),
)
FREQUENCY_ORDER = Assumption(
    "the atoms stand in non-increasing frequency",
    lambda instance: instance.frequencies == sorted(instance.frequencies, reverse=True),
)
FULL_SUPPORT = Assumption(
    "every prefix length 1..K has positive probability",
    lambda instance: _is_law(instance) and min(instance.law) > 0,
)
SUPPORT_TO_M = Assumption(
    "the prefix lengths 1..m, and no others, have positive probability",
    lambda instance: (
        _is_law(instance)
        and min(instance.law[: instance.m]) > 0
        and not any(instance.law[instance.m :])
    ),
)
THEOREM_3_1: tuple[Assumption, ...] = (
    UNIT_NORM,
    UNIQUE_CODES,
    NONNEGATIVE_SPARSE,
    FREQUENCY_ORDER,
    FULL_SUPPORT,
)
"""The hypotheses of Theorem 3.1, each a test of an `Instance`."""


def meets(assumptions: Sequence[Assumption], instance: Any) -> bool:
    """Return whether an instance meets all the given hypotheses."""
    return all(assumption.test(instance) for assumption in assumptions)


def _is_law(instance: Instance) -> bool:
    return len(instance.law) == instance.K and sum(instance.law) == 1
