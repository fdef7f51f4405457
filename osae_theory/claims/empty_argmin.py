"""Lemma 3.1 for data that D* did not generate: argmin L_K can be empty, argmin L_ND is not.

Statement: for any data X, any minimiser of L_ND also minimises L_K. Source: Wang et al. (2025),
Lemma 3.1, which does not ask for X = D* Y*. Verdict: fails at d = K = 3, m = 2: L_K has infimum 0
and no minimiser. Tight: it cannot happen if X = D* Y*, as then L_K = 0 at (D*, Y*).

>>> found = EMPTY_ARGMIN.check(1)
>>> found.confirmed, found.error
(True, 0.0)
>>> print(found.certificate["L_K at eps = 1/100"], found.certificate["largest code at eps = 1/100"])
7/20001 201
"""

from fractions import Fraction
from itertools import combinations

import numpy as np
from jaxtyping import Shaped
from sympy import Matrix

from osae_theory.claims.base import Assumption, Claim, Finding, Number
from osae_theory.claims.exact import Law, as_fractions, columns, rank, squared_norm, uniform
from osae_theory.minimisers.rational import exact_codes, survival_of

SHARED = (0, 0, 1)
DIRECTIONS = ((1, 0, 0), (0, 1, 0), (1, 1, 0))
COEFFICIENTS = ((1, 1), (1, -1), (1, 2), (2, 1))
WIDTHS = (Fraction(1, 10), Fraction(1, 100), Fraction(1, 1000))

Group = tuple[Shaped[np.ndarray, "3 2"], Shaped[np.ndarray, "3 n"]]


def plane_samples(
    directions: tuple[tuple[int, int, int], ...] = DIRECTIONS,
    coefficients: tuple[tuple[int, int], ...] = COEFFICIENTS,
) -> list[Group]:
    """Return, for each u, a basis (u, e_3) of its plane and the samples a u + b e_3 on it."""
    mixes = columns(*coefficients)
    bases = [columns(u, SHARED) for u in directions]
    return [(basis, basis @ mixes) for basis in bases]


def obstruction(groups: list[Group]) -> dict[str, Number]:
    """Return the ranks on which L_K = 0 fails, for K = 3 atoms and m = 2.

    Three atoms span at most 3 pair-planes. A plane other than P_u meets P_u in a line and holds
    at most one of its directions, so with more than 3 directions P_u is a pair-plane. Three
    different P_u are then all of them, and each atom, on two of them, is on their common line.
    """
    bases = [basis for basis, _ in groups]
    joint = [rank(np.hstack(pair)) for pair in combinations(bases, 2)]
    # 2 + 2 - joint is the dimension of what two planes share; e_3 is in all of them.
    shared = np.hstack([basis[:, 1:] for basis in bases])
    return {
        "planes": len(groups),
        "pair-planes of 3 atoms": len(list(combinations(range(3), 2))),
        "fewest distinct directions on a plane": min(_n_directions(X) for _, X in groups),
        "least joint rank of two planes": min(joint),
        "rank of the lines that two planes share": rank(shared),
    }


def is_unattainable(numbers: dict[str, Number]) -> bool:
    """Return whether `obstruction`'s numbers exclude L_K = 0: all atoms would be parallel."""
    planes, pairs, directions, joint, shared = numbers.values()
    enough = directions > pairs  # pyright: ignore[reportOperatorIssue]
    return bool(planes == pairs and enough and joint == 3 and shared == 1)


def near_minimiser(groups: list[Group], eps: Fraction) -> tuple[Fraction, Fraction]:
    """Return L_K at D_eps, proportional to (e_3, e_3 - eps e_1, e_3 + eps e_2), and a code.

    A sample's loss is its squared distance from the nearest of three pair-planes, and needs no
    unit norm. The code is the largest on e_3, the one atom that has norm 1 here.
    """
    D = columns(SHARED, (-eps, 0, 1), (0, eps, 1))
    X = np.hstack([samples for _, samples in groups])
    full: Law = (Fraction(0), Fraction(0), Fraction(1))
    fits = [
        exact_codes(X, D, np.tile(pair, (X.shape[1], 1)), full)
        for pair in combinations(range(3), 2)
    ]
    loss, largest = Fraction(0), Fraction(0)
    for n in range(X.shape[1]):
        errors = [squared_norm(X[:, n] - D @ Y[:, n]) for Y in fits]
        least = min(errors)
        loss += least
        largest = max(largest, abs(fits[errors.index(least)][0, n]))
    return loss, largest


def has_minimiser(law: Law) -> bool:
    """Return whether W is positive definite, which bounds the codes where L_ND is near its least.

    Then L_ND has a minimiser: continuous, over unit atoms and bounded codes, for each support.
    """
    w = survival_of(as_fractions(law))
    return bool(Matrix(np.minimum(w[:, None], w[None, :]).tolist()).is_positive_definite)


def check_data(groups: list[Group], law: Law) -> Finding:
    """Return whether L_K comes near 0 and is not 0 anywhere, while L_ND has a minimiser."""
    numbers = obstruction(groups)
    certificate, confirmed = dict(numbers), is_unattainable(numbers) and has_minimiser(law)
    for eps in WIDTHS:
        loss, code = near_minimiser(groups, eps)
        confirmed &= loss == 7 * eps**2 / (2 + eps**2) and code == 2 / eps + 1
        certificate |= {f"L_K at eps = {eps}": loss, f"largest code at eps = {eps}": code}
    return Finding(confirmed=confirmed, certificate=certificate)


def check(n_examples: int) -> Finding:
    """Verify the instance; there is nothing to draw, so `n_examples` is ignored."""
    return check_data(plane_samples(), uniform(3))


def _n_directions(X: Shaped[np.ndarray, "d n"]) -> int:
    kept: list[int] = []
    for n in range(X.shape[1]):
        if all(rank(X[:, [k, n]]) == 2 for k in kept):
            kept.append(n)
    return len(kept)


EMPTY_ARGMIN = Claim(
    id="P5",
    title="Lemma 3.1 on any data",
    source="Wang et al. (2025), Lemma 3.1",
    statement="For any X and any law of full support, any minimiser of L_ND minimises L_K.",
    verdict="fails",
    evidence="exact certificate",
    story=(
        "d = K = 3, m = 2, X = {a u + b e_3 : u in {e_1, e_2, e_1 + e_2}, (a,b) in {(1,1), (1,-1),"
        " (1,2), (2,1)}}. Each of the three planes span(u, e_3) holds four directions, and another"
        " plane holds at most one of them; so L_K = 0 makes them the three pair-planes of D, all"
        " atoms lie on their common line e_3, and no pair spans a plane: L_K > 0 for every (D, E)."
        " But D_eps, proportional to (e_3, e_3 - eps e_1, e_3 + eps e_2), has"
        " L_K = 7 eps^2 / (2 + eps^2), with codes up to 2/eps + 1. So argmin L_K is empty. L_ND,"
        " whose W is positive definite, bounds its codes and has a minimiser (I1), which is then"
        " no minimiser of L_K.\n"
        "Instead: if X = D* Y*, or if codes are bounded, argmin L_K is not empty; that does not"
        " save the lemma (P1), but its approximate form holds (T2)."
    ),
    check=check,
    assumptions=(
        Assumption(
            "every prefix length 1..K has positive probability",  # of an exact law
            lambda law: sum(law) == 1 and min(law) > 0,
        ),
    ),
)
