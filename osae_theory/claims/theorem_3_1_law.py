"""Theorem 3.1 with the law on {1..m}, as printed: L_ND then finds principal directions, not D*.

Statement: X = D* Y*, spark(D*) > 2m, Y* nonnegative with m-sparse columns, atoms by
non-increasing frequency, p of full support on {1..m}: then every global minimiser of L_ND has
D = D*. Source: Wang et al. (2025), section 2.2 for the law and Theorem 3.1. Verdict: fails at
m = 1 and m = 2; tight in that the first m atoms are the principal directions and the others free.

>>> found = THEOREM_3_1_LAW.check(1)
>>> found.confirmed, found.error
(True, 0.0)
>>> for m in (1, 2):
...     at_truth = found.certificate[f"m = {m}: L_ND at D*, least over orders and encoders"]
...     print(at_truth, found.certificate[f"m = {m}: min L_ND"])
16/25 2/5
36/7 5
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Shaped

from osae_theory.claims.base import Claim, Finding, Formal, Number
from osae_theory.claims.exact import (
    FREQUENCY_ORDER,
    NONNEGATIVE_SPARSE,
    SUPPORT_TO_M,
    UNIQUE_CODES,
    UNIT_NORM,
    Instance,
    columns,
    meets,
    squared_norm,
)
from osae_theory.claims.lemma_3_1 import two_atoms
from osae_theory.errors import InputError

HYPOTHESES = (UNIT_NORM, UNIQUE_CODES, NONNEGATIVE_SPARSE, FREQUENCY_ORDER, SUPPORT_TO_M)


def one_sparse() -> tuple[Instance, Shaped[np.ndarray, "d d"]]:
    """Return P1's two atoms with all mass on l = 1 = m, and their principal directions."""
    atoms = two_atoms()
    return Instance(atoms.D, atoms.Y, (Fraction(1), Fraction(0)), 1), columns((2, 1), (-1, 2))


def two_sparse() -> tuple[Instance, Shaped[np.ndarray, "d d"]]:
    """Return N1's five atoms, the basis twice with value 1, (1,1,1,1)/2 once with value 2."""
    half, nil = Fraction(1, 2), Fraction(0)
    D = columns((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (half,) * 4)
    basis = [[int(i == k) for i in range(5)] for k in range(4)]
    instance = Instance(D, columns(*basis, *basis, (0, 0, 0, 0, 2)), (half, half, nil, nil, nil), 2)
    return instance, columns((1, 1, 1, 1), (1, 1, -1, -1), (1, -1, 0, 0), (0, 0, 1, -1))


def least_loss(instance: Instance, directions: Shaped[np.ndarray, "d d"]) -> Fraction:
    """Return sum_l p_l (what the first l principal directions leave of X), the least L_ND.

    Top_m drops nothing from the first m atoms if the encoder puts no code elsewhere, so each
    L_l with l <= m is a rank-l approximation, and Eckart-Young bounds it.

    Raises
    ------
    InputError
        If the directions, of any length, are not all principal ones of X in falling order.
    """
    moment = instance.X @ instance.X.T
    values = [(u @ moment @ u) / (u @ u) for u in directions.T]
    gram = directions.T @ directions
    diagonal = not (gram - np.diag(np.diagonal(gram))).any()
    eigen = all(not (moment @ u - v * u).any() for u, v in zip(directions.T, values, strict=True))
    if not (diagonal and eigen and values == sorted(values, reverse=True)):
        raise InputError(
            f"directions with values {[str(v) for v in values]}: expected principal ones"
        )
    residual, total = instance.X, Fraction(0)
    for p, u in zip(instance.law, directions.T, strict=False):
        residual = residual - np.multiply.outer(u, u) @ residual / (u @ u)
        total += p * squared_norm(residual)
    return total


@dataclass(frozen=True)
class Numbers:
    """L_ND at D*, over all encoders, and at its minimum, where the law sees m atoms.

    Attributes
    ----------
    in_order : Fraction
        The least L_ND at D* in the order given, over all encoders.
    at_truth : Fraction
        The least over all orders of D* too.
    minimum : Fraction
        min L_ND over all dictionaries.
    unseen : int
        How many atoms L_ND does not see.
    """

    in_order: Fraction
    at_truth: Fraction
    minimum: Fraction
    unseen: int

    @property
    def is_refutation(self) -> bool:
        """Whether D* is in no order a minimiser, whatever the encoder."""
        return self.minimum < self.at_truth <= self.in_order

    def certificate(self, m: int) -> dict[str, Number]:
        """Return the numbers by what they are of."""
        return {
            f"m = {m}: L_ND at D* by frequency, least over encoders": self.in_order,
            f"m = {m}: L_ND at D*, least over orders and encoders": self.at_truth,
            f"m = {m}: min L_ND": self.minimum,
            f"m = {m}: atoms that L_ND does not see": self.unseen,
        }


def refute(instance: Instance, directions: Shaped[np.ndarray, "d d"]) -> Numbers:
    """Return the least L_ND at D* and over all D, and how many atoms the loss does not see."""
    return Numbers(
        in_order=instance.least_at_truth([tuple(range(instance.K))]).loss,
        at_truth=instance.least_at_truth().loss,
        minimum=least_loss(instance, directions),
        unseen=sum(p == 0 for p in instance.law),
    )


def check_instances(*pairs: tuple[Instance, np.ndarray]) -> Finding:
    """Return whether each instance meets the hypotheses, and D* is not a minimiser there."""
    certificate: dict[str, Number] = {}
    confirmed = all(meets(HYPOTHESES, instance) for instance, _ in pairs)
    for instance, directions in pairs if confirmed else ():
        numbers = refute(instance, directions)
        confirmed = confirmed and numbers.unseen == instance.K - instance.m
        confirmed = confirmed and numbers.is_refutation
        certificate |= numbers.certificate(instance.m)
    return Finding(confirmed=confirmed, certificate=certificate)


def check(n_examples: int) -> Finding:
    """Verify both instances; there is nothing to draw, so `n_examples` is ignored."""
    return check_instances(one_sparse(), two_sparse())


THEOREM_3_1_LAW = Claim(
    id="P2e",
    title="recovery with the law on {1..m}",
    source="Wang et al. (2025), section 2.2 and Theorem 3.1",
    statement=(
        "If X = D* Y*, spark(D*) > 2m, Y* is nonnegative with m-sparse columns, the atoms stand in"
        " non-increasing frequency and p has full support on {1..m}, every global minimiser of"
        " L_ND has D = D*."
    ),
    verdict="fails",
    evidence="exact certificate",
    story=(
        "A prefix of at most m atoms is not bound by Top_m, so the loss is that of a linear"
        " autoencoder with m latents: its minimisers start with the first m principal directions"
        " (T1), and atoms m+1..K do not occur in it. m = 1: D* = [(1,0), (3/5,4/5)], X = D*, all"
        " mass on l = 1: 2/5 along (2,1), at least 16/25 at D*. m = 2: D* = [e_1, ..., e_4,"
        " (1,1,1,1)/2], the e_i twice with value 1, the last once with value 2, p = 1/2 on l = 1"
        " and 2: 5 with (1,1,1,1)/2 first, a direction orthogonal to it second. At D* there is"
        " 15/2 by frequency and 36/7 at least, over all orders and encoders.\n"
        "Instead: the law must reach l = K, as the paper's proof takes it to; then T3, T4 and N1"
        " say what holds."
    ),
    check=check,
    assumptions=HYPOTHESES,
    references=("Eckart & Young (1936), Psychometrika 1(3)",),
    machine_checked_whole=True,
    machine_checked=(
        Formal(
            "Theorem31Law.v",
            "law_to_m_never_recovers",
            "the law on {1..m}, d = K = 2, m = 1: no minimiser has atoms of D* only",
        ),
    ),
)
