"""Exact and certified instances of the exact penalty: A's numbers beside those of L_ND.

`exact_ray_threshold` is for m = 1; `three_planes` is an instance with m = 2 on which F provably has
D* as its minimiser while L_ND, under every law tried, has an exact lower point.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations, product
from math import floor
from typing import Any

import numpy as np
import sympy
from jaxtyping import Shaped

from osae_theory.claims.exact import Instance, Law, columns
from osae_theory.claims.theorem_3_1_sparsity import SMALL, five_cycle
from osae_theory.claims.vanishing_truncation import expansion
from osae_theory.minimisers.alternating import alternating
from osae_theory.minimisers.exact_penalty import penalty_descent
from osae_theory.minimisers.order import best_order
from osae_theory.minimisers.penalty_thresholds import hyperplane_bound
from osae_theory.minimisers.rational import exact_codes, rational_unit_vector
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import SparseCodingProblem, problem_from_arrays
from osae_theory.problems.geometry import unit_columns

NO_LOWER = 1e-9
"""Relative difference of losses from which on a lower point counts as found."""
_HALF = Fraction(1, 2)


def exact_ray_threshold(instance: Instance) -> Fraction:
    """Return lambda_0^2 for unit rays in the plane, m = 1, q uniform on {1..K-1}, exactly.

    Raises
    ------
    ArithmeticError
        If it is not rational.
    """
    K = instance.K
    w = [Fraction(K - 1 - j, K - 1) for j in range(K)]
    least = sum((1 - v for v in w), Fraction(0))
    squares = []
    for slots in product(range(K), repeat=K):
        groups = [[n for n in range(K) if slots[n] == j] for j in range(K)]
        left = [_left_over(instance.X[:, group]) for group in groups]
        residual = sympy.Add(*left)
        truncated = sympy.Add(
            *(
                _rational(v) * part + _rational((1 - v) * len(group))
                for v, part, group in zip(w, left, groups, strict=True)
            )
        )
        gain = sympy.nsimplify(_rational(least) - truncated)
        if gain.is_positive:
            squares.append(sympy.radsimp(sympy.expand(residual) / sympy.expand(gain**2)))
    square = sympy.Min(*squares)
    if not isinstance(square, sympy.Rational):
        raise ArithmeticError(f"lambda_0^2 = {square}: expected a rational number")
    return Fraction(int(square.p), int(square.q))


def _left_over(X: Shaped[np.ndarray, "2 n"]) -> Any:
    """Return the lesser eigenvalue of X X^T, exactly."""
    if X.shape[1] < 2:
        return sympy.Integer(0)
    moment = X @ X.T
    trace, det = moment[0, 0] + moment[1, 1], moment[0, 0] * moment[1, 1] - moment[0, 1] ** 2
    return (_rational(trace) - sympy.sqrt(_rational(trace * trace - 4 * det))) / 2


def _rational(x: Fraction | int) -> Any:
    return sympy.Rational(*Fraction(x).as_integer_ratio())


def three_planes() -> Instance:
    """Return (d, K, m) = (3, 3, 2), three samples a pair, nonnegative, and q = (1, 1, 0)/2."""
    D = columns(
        (1, 0, 0),
        (Fraction(7, 25), Fraction(24, 25), 0),
        (Fraction(7, 25), 0, Fraction(24, 25)),
    )
    scales = (Fraction(6, 5), Fraction(11, 10), Fraction(1))
    codes = [
        [a * scales[i] if k == i else b * scales[j] if k == j else 0 for k in range(3)]
        for i, j in combinations(range(3), 2)
        for a, b in ((1, 1), (1, 2), (2, 1))
    ]
    return Instance(D, columns(*codes), (_HALF, _HALF, Fraction(0)), m=2)


LAWS: tuple[Law, ...] = (
    (Fraction(1, 3),) * 3,
    (Fraction(6, 11), Fraction(3, 11), Fraction(2, 11)),
    (Fraction(4, 7), Fraction(2, 7), Fraction(1, 7)),
    *((eps / 2, eps / 2, 1 - eps) for eps in (Fraction(1, 10**n) for n in (1, 2, 3))),
)
"""The laws of nested dropout tried on `three_planes`: uniform, Zipf, geometric, and near l = K."""


def nested_dropout(instance: Instance, law: Law) -> tuple[Fraction, Fraction]:
    """Return the least L_ND at D*, over orders and encoders, and L_ND at another point, exactly.

    The point is where descent ends, or that of T4's expansion, whichever is lower, its atoms
    rounded to rational ones.
    """
    at_truth = Instance(instance.D, instance.Y, law, instance.m).least_at_truth()
    order, D = list(at_truth.order), instance.D.astype(np.float64)
    problem = problem_from_arrays(D[:, order], instance.Y[order].astype(np.float64))
    X, share = problem.data, float(1 - law[-1])
    truncation = PrefixLaw(np.array([*law[:-1], 0], dtype=np.float64) / share)
    velocity = expansion(problem, truncation).velocity
    start = [problem.dictionary]
    float_law = PrefixLaw(np.array(law, dtype=np.float64))
    found = alternating(X, instance.K, instance.m, float_law, 2, initial=start)
    losses = []
    for atoms, codes in (
        (unit_columns(problem.dictionary + share * velocity), problem.codes),
        (found.dictionary, found.codes),
    ):
        rational = np.stack([rational_unit_vector(a, 10**6) for a in atoms.T], axis=1)
        supports = np.sort(np.argsort(-np.abs(codes), axis=0, kind="stable")[: instance.m].T)
        Y = exact_codes(instance.X, rational, supports, law)
        losses.append(Instance(instance.D, instance.Y, law, 2).loss(Y, rational))
    return at_truth.loss, min(losses)


@dataclass(frozen=True)
class Certified:
    """`three_planes`, where F provably gives D* and nested dropout does not under any law tried.

    Attributes
    ----------
    bound : float
        What lambda_0 is at least.
    weight : Fraction
        A lambda below it.
    value : Fraction
        lambda L*: F at D*, and its minimum.
    orders : int
        In how many orders it is attained.
    lowest : float
        The lowest F that descents found at that lambda, over `value`, less 1.
    losses : tuple of pairs of Fractions
        For each of `LAWS`: the least L_ND at D*, and L_ND at a lower point.
    """

    bound: float
    weight: Fraction
    value: Fraction
    orders: int
    lowest: float
    losses: tuple[tuple[Fraction, Fraction], ...]

    @property
    def separates(self) -> bool:
        """Whether F gives D* in one order, and L_ND has a lower point than D* under each law."""
        recovered = 0 < self.weight < self.bound and self.orders == 1 and self.lowest > -NO_LOWER
        return recovered and all(lower < at_truth for at_truth, lower in self.losses)


@cache
def certified() -> Certified:
    """Return the comparison on `three_planes`, worked out once a process."""
    instance = three_planes()
    D, Y = instance.D.astype(np.float64), instance.Y.astype(np.float64)
    truncation = PrefixLaw(np.array(instance.law, dtype=np.float64))
    bound = float(hyperplane_bound(D, Y, truncation).value)
    weight = Fraction(floor(1000 * bound), 1000)
    order = best_order((instance.D.T @ instance.D) * (instance.Y @ instance.Y.T), instance.law)
    value = weight * Fraction(order.loss)
    found = penalty_descent(D @ Y, 3, 2, truncation, float(weight), 6, initial=[D])
    losses = tuple(nested_dropout(instance, law) for law in LAWS)
    lowest = found.loss / float(value) - 1
    return Certified(bound, weight, value, order.n_optimal or 0, lowest, losses)


def small_cycle() -> tuple[SparseCodingProblem, PrefixLaw]:
    """Return N1's instance with N = 55, (d, K, m) = (4, 5, 2), in the best order for q uniform."""
    instance = five_cycle(*SMALL)
    D, Y = instance.D.astype(np.float64), instance.Y.astype(np.float64)
    truncation = PrefixLaw(np.append(np.full(4, 0.25), 0.0), "q")
    order = best_order((D.T @ D) * (Y @ Y.T), truncation).order
    return problem_from_arrays(D[:, order], Y[order]), truncation
