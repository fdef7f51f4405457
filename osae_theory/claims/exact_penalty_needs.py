"""A'': what fails when an assumption of A does not hold, for every lambda.

Statement. (1) If X = D* Y* and J v = 0 for some v with <g, v> != 0, v along the supports of Y*
filled up to m and g the gradient of L_q, then for signed codes (D*, Y*) is for no lambda > 0 a
local minimiser of F; one sample too few can do that. (2) If q_l = 0 for some l < K, exchanging
slots l and l + 1 changes F nowhere: no lambda decides their order. Source: claim A''.
Verdict: holds; the instances are exact.

>>> found = EXACT_PENALTY_NEEDS.check(1)
>>> found.confirmed, found.error
(True, 0.0)
>>> for name in ("L_q at (D*, Y*), best order", "L_q at another factorisation"):
...     print(name, found.certificate[f"one sample on the pair (1,2): {name}"])
L_q at (D*, Y*), best order 539/50
L_q at another factorisation 32894/3125
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import permutations

import numpy as np
from jaxtyping import Shaped
from sympy import QQ
from sympy.polys.matrices import DomainMatrix

from osae_theory.claims.base import Claim, Finding, Number
from osae_theory.claims.exact import Instance, as_fractions, columns, squared_norm
from osae_theory.claims.exact_penalty_instances import three_planes
from osae_theory.claims.vanishing_truncation import injective
from osae_theory.errors import check_integer
from osae_theory.minimisers.penalty_thresholds import hyperplane_bound
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays

TURN = Fraction(1, 5)
"""How far the plane of the pair (1,2) is turned about its one sample."""


def few_samples(n_on_last_pair: int) -> Instance:
    """Return `three_planes`' atoms with three samples on two pairs, one or more on (1,2).

    Codes are (1,1), (1,2), (2,1) on the pairs (1,3) and (2,3), and the first of these on (1,2).
    """
    values = ((1, 1), (1, 2), (2, 1))
    codes = [
        [a if k == i else b if k == j else 0 for k in range(3)]
        for (i, j), n in (((0, 1), n_on_last_pair), ((0, 2), 3), ((1, 2), 3))
        for a, b in values[:n]
    ]
    return replace(three_planes(), Y=columns(*codes))


def inverse(A: Shaped[np.ndarray, "K K"]) -> Shaped[np.ndarray, "K K"]:
    """Return the inverse of an exact matrix."""
    entries = [[QQ(x.numerator, x.denominator) for x in row] for row in A]
    found = DomainMatrix(entries, A.shape, QQ).inv().to_list()
    return as_fractions(
        [[Fraction(int(x.numerator), int(x.denominator)) for x in r] for r in found]
    )


def turned_contributions(instance: Instance, turn: Fraction) -> list[Shaped[np.ndarray, "d N"]]:
    """Return d_j Y_j. for each j of another factorisation of the data, exactly; D* at turn 0.

    The rows of D*^-1 are normals of the planes of pairs. That of (1,2) is turned about its one
    sample, the first; then d_j Y_j. = Q_j X, Q_j = N^-1 e_j e_j^T N for the new normals N, and
    neither the atoms nor their lengths are needed.
    """
    N = inverse(instance.D)
    first, second = instance.Y[0, 0], instance.Y[1, 0]
    N[2] = N[2] + turn * (second * N[0] - first * N[1])
    back, codes = inverse(N), N @ instance.X
    return [np.multiply.outer(back[:, j], codes[j]) for j in range(3)]


def truncated_losses(
    contributions: Sequence[Shaped[np.ndarray, "d N"]], q: Sequence[Fraction]
) -> dict[tuple[int, ...], Fraction]:
    """Return L_q of an exact factorisation in each order, from what its atoms contribute."""
    losses = {}
    for order in permutations(range(len(contributions))):
        left = sum(contributions[k] for k in order)
        total = Fraction(0)
        for place, k in enumerate(order):
            left = left - contributions[k]
            total += q[place] * squared_norm(left)
        losses[order] = total
    return losses


def two_sparse(contributions: Sequence[Shaped[np.ndarray, "d N"]]) -> bool:
    """Return whether no sample has more than two contributions that are not zero."""
    used = sum((c != 0).any(axis=0).astype(int) for c in contributions)
    return bool((np.asarray(used) <= 2).all())


def check(n_examples: int) -> Finding:
    """Verify both instances; there is nothing to draw, so `n_examples` is ignored."""
    check_integer("n_examples", n_examples, 1)
    one, two = few_samples(1), few_samples(2)
    here, there = turned_contributions(one, Fraction(0)), turned_contributions(one, TURN)
    least = min(truncated_losses(here, one.law).values())
    other = min(truncated_losses(there, one.law).values())
    exact = all(squared_norm(sum(parts) - one.X) == 0 for parts in (here, there))
    floats = [(i.D.astype(np.float64), i.Y.astype(np.float64)) for i in (one, two)]
    free = [injective(problem_from_arrays(D, Y)) for D, Y in floats]
    truncation = PrefixLaw(np.array(one.law, dtype=np.float64))
    bound = float(hyperplane_bound(*floats[1], truncation).value)
    certificate: dict[str, Number] = {
        "one sample on the pair (1,2): L_q at (D*, Y*), best order": least,
        "one sample on the pair (1,2): L_q at another factorisation": other,
        "two samples on it: lambda_0 is certified above 0": int(bound > 0),
    }
    undecided = True
    for name, q, (i, j) in (("q_2 = 0", (1, 0, 0), (1, 2)), ("q_1 = 0", (0, 1, 0), (0, 1))):
        losses = truncated_losses(here, [Fraction(x) for x in q])
        tied = sum(loss == losses[exchanged(order, i, j)] for order, loss in losses.items())
        certificate[f"{name}: least L_q at (D*, Y*)"] = min(losses.values())
        certificate[f"{name}: of 6 orders, those level with their exchange"] = tied
        undecided = undecided and tied == len(losses)
    confirmed = exact and two_sparse(there) and other < least and free == [False, True]
    return Finding(bool(confirmed and bound > 0 and undecided), certificate)


def exchanged(order: tuple[int, ...], i: int, j: int) -> tuple[int, ...]:
    """Return an order with places i and j exchanged."""
    places = list(order)
    places[i], places[j] = places[j], places[i]
    return tuple(places)


EXACT_PENALTY_NEEDS = Claim(
    id="A''",
    title="what A needs",
    source="this project, after A",
    statement=(
        "(1) If X = D* Y* and J v = 0 for some v with <g, v> not 0, v a direction in which"
        " signed codes move on the supports of Y* filled up to m, g the gradient of L_q at (D*,"
        " Y*), then (D*, Y*) is for no lambda > 0 a local minimiser of F. (2) If q_l = 0 for an"
        " l < K, exchanging slots l and l + 1 leaves F as it is at every point, so no lambda"
        " decides their order."
    ),
    verdict="holds",
    evidence="exact certificate",
    story=(
        "(1) Along v the residual is of the second order in the step, and L_q changes by <g, v>"
        " in the first; -v is as good as v, so one of the two lowers F whatever lambda is."
        " Exact: A's atoms (1,0,0), (7,24,0)/25, (7,0,24)/25, q = (1/2,1/2,0), codes (1,1),"
        " (1,2), (2,1) on the pairs (1,3) and (2,3) and one sample, (1,1), on (1,2). The plane"
        " of the pair (1,2) can turn about that sample, so the factorisation is not unique, and"
        " J has a kernel. In the best order (D*, Y*) has L_q = 539/50; with the plane turned by"
        " 1/5 of n_1 - n_2 (n_j the rows of D*^-1) there is an exact factorisation with"
        " 32894/3125, which is less: F prefers it for every lambda. A second sample on the pair"
        " makes J injective, and lambda_0 is then certified to be positive (`hyperplane_bound`).\n"
        "(2) L_l is the one prefix loss that tells slots l and l + 1 apart. A's proof also uses"
        " the full support to bound the codes; without it assume a bound that Y* obeys, and the"
        " minimisers are still D* in the orders of least L_q, two at least. Exact, on the same"
        " data: q = (1,0,0) and q = (0,1,0).\n"
        "The other assumptions: without one factorisation there is no D* to be found (P2d), and"
        " with the residual squared no lambda serves at m >= 2, for almost any data (N1, B)."
    ),
    check=check,
)
