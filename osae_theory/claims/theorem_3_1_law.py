"""Theorem 3.1 with the law on {1..m}, as printed: L_ND then finds principal directions, not D*.

Statement: X = D* Y*, spark(D*) > 2m, Y* nonnegative with m-sparse columns, atoms by
non-increasing frequency, p of full support on {1..m}: then every global minimiser of L_ND has
D = D*. Source: Wang et al. (2025), section 2.2 for the law and Theorem 3.1. Verdict: fails at
m = 1 and m = 2; tight in that the first m atoms are the principal directions and the others free.

>>> found = THEOREM_3_1_LAW.check(1)
>>> found.confirmed, found.error
(True, 0.0)
>>> print(found.certificate["m = 1: L_ND at D*, best codes"], found.certificate["m = 1: min L_ND"])
16/25 2/5
>>> print(found.certificate["m = 2: L_ND at D*, best codes"], found.certificate["m = 2: min L_ND"])
15/2 5
"""

from fractions import Fraction

import numpy as np
from jaxtyping import Shaped

from osae_theory.claims.base import Claim, Finding, Number
from osae_theory.claims.exact import (
    FREQUENCY_ORDER,
    NONNEGATIVE_SPARSE,
    SUPPORT_TO_M,
    UNIQUE_CODES,
    UNIT_NORM,
    Instance,
    columns,
    meets,
    nested_loss,
    squared_norm,
)
from osae_theory.claims.lemma_3_1 import two_atoms
from osae_theory.errors import InputError
from osae_theory.minimisers.rational import exact_codes

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


def least_loss_at_truth(instance: Instance) -> Fraction:
    """Return the least L_ND at D*, over all encoders: the law sees the first m atoms alone."""
    m = instance.m
    D, law = instance.D[:, :m], instance.law[:m]
    everywhere = np.tile(np.arange(m), (instance.X.shape[1], 1))
    return nested_loss(instance.X, exact_codes(instance.X, D, everywhere, law), D, law)


def refute(instance: Instance, directions: Shaped[np.ndarray, "d d"]) -> dict[str, Number]:
    """Return the least L_ND at D* and over all D, and how many atoms the loss does not see."""
    return {
        "L_ND at D*, best codes": least_loss_at_truth(instance),
        "min L_ND": least_loss(instance, directions),
        "atoms that L_ND does not see": sum(p == 0 for p in instance.law),
    }


def check_instances(*pairs: tuple[Instance, np.ndarray]) -> Finding:
    """Return whether each instance meets the hypotheses, and D* is not a minimiser there."""
    certificate: dict[str, Number] = {}
    confirmed = all(meets(HYPOTHESES, instance) for instance, _ in pairs)
    for instance, directions in pairs if confirmed else ():
        numbers = refute(instance, directions)
        at_truth, least, unseen = numbers.values()
        confirmed &= unseen == instance.K - instance.m
        confirmed &= least < at_truth  # pyright: ignore[reportOperatorIssue]
        certificate |= {f"m = {instance.m}: {name}": value for name, value in numbers.items()}
    return Finding(confirmed=bool(confirmed), certificate=certificate)


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
        " and 2: 5 with (1,1,1,1)/2 first, at least 15/2 at D*.\n"
        "Instead: the law must reach l = K, as the paper's proof takes it to; then T3, T4 and N1"
        " say what holds."
    ),
    check=check,
    assumptions=HYPOTHESES,
    references=("Eckart & Young (1936), Psychometrika 1(3)",),
)
