"""Uniqueness "via greedy methods" from mu (m-1) < 1: false; mu (2m-1) < 1 is the condition.

Statement: mu(D) (m-1) < 1 ensures that m-sparse representations in D are unique. Source: Wang et
al. (2025), section 2.3. Verdict: fails at m = 2, for nonnegative codes too. Instead
mu(D) (2m-1) < 1, which is tight: the four corners of a regular simplex in R^3 have
mu (2m-1) = 1 at m = 2, and sum to 0.

>>> found = GREEDY_UNIQUENESS.check(100)
>>> found.confirmed
True
>>> print(found.certificate["mu(D) (m-1)"], found.certificate["||d_1 + d_2 - d_3 - d_4||^2"])
16/25 0
"""

from fractions import Fraction
from itertools import combinations
from math import isqrt
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from osae_theory.claims.base import Assumption, Claim, Finding, Formal, Number
from osae_theory.claims.exact import columns, spark, squared_norm
from osae_theory.errors import check_integer
from osae_theory.problems.geometry import coherence, haar_basis, unit_columns

ROUNDING = 1e-12


def four_atoms() -> Shaped[np.ndarray, "3 4"]:
    """Return (+-3/5, 0, 4/5), (0, +-3/5, 4/5) as exact columns."""
    a, b = Fraction(3, 5), Fraction(4, 5)
    return columns((a, 0, b), (-a, 0, b), (0, a, b), (0, -a, b))


def simplex() -> Shaped[np.ndarray, "3 4"]:
    """Return the corners of a regular simplex in R^3, of squared norm 3, as exact columns."""
    return columns((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))


def squared_coherence(D: Shaped[np.ndarray, "d K"]) -> Fraction:
    """Return mu(D)^2 of an exact matrix with nonzero columns of any length."""
    gram = (D.T @ D).tolist()
    pairs = combinations(range(len(gram)), 2)
    return max(Fraction(gram[i][j] ** 2, gram[i][i] * gram[j][j]) for i, j in pairs)


def meets_coherence(D: Any, factor: int) -> bool:
    """Return whether mu(D) * factor < 1, exactly for an exact D."""
    if D.dtype == object:
        return squared_coherence(D) * factor**2 < 1
    return coherence(D) * factor < 1


def refute(D: Shaped[np.ndarray, "d K"], m: int) -> dict[str, Number]:
    """Return the printed and the corrected condition's squares, the spark and a dependence.

    d_1 + d_2 = d_3 + d_4 is one point with two nonnegative 2-sparse codes.
    """
    mu = squared_coherence(D)
    root = Fraction(_exact_root(mu.numerator), _exact_root(mu.denominator))
    first, second = D[:, 0] + D[:, 1], D[:, 2] + D[:, 3]
    return {
        "mu(D) (m-1)": root * (m - 1),
        "mu(D) (2m-1)": root * (2 * m - 1),
        "spark(D)": spark(D),
        "||d_1 + d_2 - d_3 - d_4||^2": squared_norm(first - second),
        "||d_1 + d_2||^2": squared_norm(first),
    }


def draw_incoherent(rng: np.random.Generator) -> tuple[Float[np.ndarray, "d K"], int]:
    """Return unit atoms and m with mu (2m-1) < 1: part of a basis, pushed towards more atoms."""
    while True:
        m, d = int(rng.integers(1, 4)), int(rng.integers(6, 11))
        noise = rng.standard_normal((d, d)) * rng.uniform(0, 0.5 / m)
        bases = (haar_basis(d, rng) + noise, haar_basis(d, rng)[:, : int(rng.integers(0, 3))])
        D = unit_columns(np.hstack(bases)[:, -(2 * m + 2) :])
        if meets_coherence(D, 2 * m - 1):
            return D, m


def margin(D: Float[np.ndarray, "d K"], m: int) -> float:
    """Return how far the least singular value, squared, of 2m atoms is above 1 - (2m-1) mu.

    By Gershgorin's circles it is never below; so mu (2m-1) < 1 makes every 2m atoms
    independent, which is uniqueness of m-sparse codes.
    """
    subsets = np.array(list(combinations(range(D.shape[1]), 2 * m)))
    least = np.linalg.svd(D[:, subsets].transpose(1, 0, 2), compute_uv=False)[:, -1].min()
    return float(least) ** 2 - (1 - (2 * m - 1) * coherence(D))


def is_refutation(numbers: dict[str, Number], m: int) -> bool:
    """Return whether `refute`'s numbers meet the printed condition and deny uniqueness."""
    printed, corrected, number, difference, size = numbers.values()
    met = printed < 1 <= corrected  # pyright: ignore[reportOperatorIssue]
    return met and number <= 2 * m and difference == 0 and size != 0  # pyright: ignore[reportOperatorIssue]


def check(n_examples: int) -> Finding:
    """Verify the counterexample, the corrected condition on random atoms, and its sharpness."""
    check_integer("n_examples", n_examples, 1)
    rng = np.random.default_rng(23)
    numbers, edge = refute(four_atoms(), 2), simplex()
    smallest = min(margin(*draw_incoherent(rng)) for _ in range(n_examples))
    sharp = squared_coherence(edge) * 9 == 1 and not edge.sum(axis=1).any()
    return Finding(
        confirmed=is_refutation(numbers, 2) and sharp and smallest > -ROUNDING,
        certificate={
            **numbers,
            "simplex: mu(D)^2 (2m-1)^2": squared_coherence(edge) * 9,
            "simplex: ||d_1 + d_2 + d_3 + d_4||^2": squared_norm(edge.sum(axis=1)),
            "least sigma^2 of 2m atoms less 1 - (2m-1) mu": smallest,
        },
        error=ROUNDING,
        n_examples=n_examples,
    )


def _exact_root(n: int) -> int:
    root = isqrt(n)
    if root * root != n:
        raise ArithmeticError(f"{n} is not a square: the coherence is irrational")
    return root


GREEDY_UNIQUENESS = Claim(
    id="P3",
    title="uniqueness from mu (m-1) < 1",
    source="Wang et al. (2025), section 2.3",
    statement="If mu(D) (m-1) < 1, m-sparse representations in D are unique.",
    verdict="fails",
    evidence="exact certificate",
    story=(
        "D = [(+-3/5, 0, 4/5), (0, +-3/5, 4/5)], m = 2: mu = 16/25, so mu (m-1) < 1, but"
        " d_1 + d_2 = d_3 + d_4 = (0, 0, 8/5): one point, two nonnegative 2-sparse codes. What"
        " mu (m-1) < 1 gives is independence of any m atoms; uniqueness needs that of any 2m.\n"
        "Instead: mu(D) (2m-1) < 1. Then the Gram matrix of any 2m atoms is diagonally dominant,"
        " so spark(D) >= 1 + 1/mu > 2m, and orthogonal matching pursuit finds the codes. It is"
        " sharp: the regular simplex in R^3 has mu = 1/3 and d_1 + d_2 = -(d_3 + d_4)."
    ),
    check=check,
    assumptions=(
        Assumption(
            "mu(D) (m-1) < 1",  # of a pair (D, m), D of floats or exact
            lambda instance: meets_coherence(instance[0], instance[1] - 1),
        ),
    ),
    references=(
        "Donoho & Elad (2003), PNAS 100(5)",
        "Tropp (2004), IEEE Trans. Inf. Theory 50(10)",
    ),
    machine_checked_whole=True,
    machine_checked=(
        Formal(
            "GreedyUniqueness.v",
            "greedy_uniqueness_is_false_for_nonnegative_codes",
            "mu (m-1) < 1 does not make nonnegative m-sparse codes unique",
        ),
        Formal(
            "GreedyUniqueness.v",
            "greedy_uniqueness_is_false",
            "nor any others: the statement as printed is false",
        ),
        Formal(
            "GreedyUniqueness.v", "uniqueness_from_coherence", "mu (2m-1) < 1 does, for any d, K, m"
        ),
    ),
)
