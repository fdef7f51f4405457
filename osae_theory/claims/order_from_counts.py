"""C: the Ord of sorting by frequency or by energy, from pairwise inversions, and the N it takes.

Statement. For every permutation of K latents

    1 - Ord = 12 / (K (K^2 - 1)) sum_{i<j} (j - i) 1[j stands before i],

so that for any law of the supports E Ord follows from pairs: with a = P(i only), b = P(j only),
n the uses in N independent samples and ties broken at random, P(j before i) = P(n_i < n_j)
+ P(n_i = n_j) / 2 exactly. Where atom i is used more than atom j this is at most rho^N / 2,
rho = 1 - (sqrt(a) - sqrt(b))^2, and no smaller rho will do; by energy it is at most
exp(-N D^2 / (2 (v + c D))), Bernstein's bound. Either gives an N for E Ord >= 1 - eps.

Source: claim C; Ord is Wang et al. (2025)'s. Verdict: holds. Tight: the identity and the exact
expectations; the bounds in their rate (frequency), about 2 (frequency) and 4 (energy) times the
truth for the paper's toy model.

>>> finding = ORDER_FROM_COUNTS.check(20)
>>> finding.confirmed, finding.certificate["permutations up to K = 7 that break the identity"]
(True, 0)
>>> finding.certificate["K = 4, m = 2, N = 4: E Ord by pairs"]
Fraction(231136861661, 411505920000)
"""

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from itertools import permutations, product
from math import comb, sqrt

import numpy as np
from jaxtyping import Float
from scipy import special, stats

from osae_theory.claims.base import Assumption, Claim, Finding, Number, fewer
from osae_theory.errors import InputError, check_integer
from osae_theory.metrics.expected_order import (
    disorder_bound_by_energy,
    disorder_bound_by_frequency,
    expected_orderedness,
    inversions_by_energy,
    inversions_by_frequency,
    inversions_of,
    least_samples,
)
from osae_theory.metrics.permutations import orderedness_of_permutation
from osae_theory.problems import inclusion_matrix
from osae_theory.seeds import Axis, generator

Support = tuple[int, ...]
Law = Mapping[Support, Fraction]

MOST_PERMUTED = 7
_EPS = float(np.finfo(np.float64).eps)
_ROUNDING = 1e-10  # far above that of the sums, far below what is compared


def weighted_inversions(mu: tuple[int, ...]) -> int:
    """Return sum_{i<j} (j - i) 1[mu_i > mu_j] of a permutation."""
    return sum(j - i for j in range(len(mu)) for i in range(j) if mu[i] > mu[j])


def exact_orderedness(mu: tuple[int, ...]) -> Fraction:
    """Return Ord by its definition, 1 - 6 sum (j - mu_j)^2 / (K (K^2 - 1))."""
    K = len(mu)
    squares = sum((j - place) ** 2 for j, place in enumerate(mu))
    return 1 - Fraction(6 * squares, K * (K**2 - 1))


def identity_failures(K: int) -> int:
    """Return for how many permutations of K the identity fails."""
    whole = Fraction(12, K * (K**2 - 1))
    return sum(
        1 - exact_orderedness(mu) != whole * weighted_inversions(mu)
        for mu in permutations(range(K))
    )


def successive_law(weights: tuple[Fraction, ...], m: int) -> dict[Support, Fraction]:
    """Return the law of the supports of successive sampling, exactly, by all sequences."""
    law: dict[Support, Fraction] = {}
    for sequence in permutations(range(len(weights)), m):
        probability, left = Fraction(1), sum(weights, Fraction(0))
        for atom in sequence:
            probability *= weights[atom] / left
            left -= weights[atom]
        support = tuple(sorted(sequence))
        law[support] = law.get(support, Fraction(0)) + probability
    return law


def enumerated_orderedness(law: Law, K: int, n_samples: int) -> Fraction:
    """Return E Ord of sorting by frequency: all draws of N supports, all ways to break ties."""
    chances: Counter[tuple[int, ...]] = Counter({(0,) * K: Fraction(1)})  # pyright: ignore[reportArgumentType]
    for _ in range(n_samples):
        after: Counter[tuple[int, ...]] = Counter()
        for (counts, p), (support, q) in product(chances.items(), law.items()):
            used = tuple(n + (k in support) for k, n in enumerate(counts))
            after[used] += p * q  # pyright: ignore[reportArgumentType]
        chances = after
    total, keys = Fraction(0), list(permutations(range(K)))
    for counts, p in chances.items():
        for key in keys:
            order = sorted(range(K), key=lambda k, n=counts, tie=key: (-n[k], tie[k]))
            places = tuple(int(x) for x in np.argsort(order))
            total += p * exact_orderedness(places) / len(keys)
    return total


def only_probabilities(law: Law, i: int, j: int) -> tuple[Fraction, Fraction]:
    """Return P(i in the support and j not), and the other way round."""
    i_only = sum((p for S, p in law.items() if i in S and j not in S), Fraction(0))
    j_only = sum((p for S, p in law.items() if j in S and i not in S), Fraction(0))
    return i_only, j_only


def exact_inversion(i_only: Fraction, j_only: Fraction, n_samples: int) -> Fraction:
    """Return P(n_i < n_j) + P(n_i = n_j) / 2 by the trinomial law."""
    neither, N = 1 - i_only - j_only, n_samples
    total = Fraction(0)
    for x in range(N + 1):
        for y in range(x, N + 1 - x):
            p = comb(N, x) * comb(N - x, y) * i_only**x * j_only**y * neither ** (N - x - y)
            total += p / 2 if x == y else p
    return total


def orderedness_by_pairs(law: Law, K: int, n_samples: int) -> Fraction:
    """Return E Ord of sorting by frequency from pairwise inversion probabilities, exactly."""
    pairs = [(i, j) for j in range(K) for i in range(j)]
    weighted = sum(
        ((j - i) * exact_inversion(*only_probabilities(law, i, j), n_samples) for i, j in pairs),
        Fraction(0),
    )
    return 1 - Fraction(12, K * (K**2 - 1)) * weighted


def matrix_of(law: Law, K: int) -> Float[np.ndarray, "K K"]:
    """Return the inclusion matrix of a law."""
    found = np.zeros((K, K))
    for support, p in law.items():
        found[np.ix_(support, support)] += float(p)
    return found


def inversion_by_energy_in_full(only_i: float, only_j: float, both: float, n_samples: int) -> float:
    """Return P(e_i < e_j) + P(=) / 2 for half-normal values: E I_{1/2}(n_i / 2, n_j / 2).

    Given the uses, e_i and e_j are independent chi-squared variables. O(N^3); an oracle.
    """
    N, total = n_samples, 0.0
    for x, y, z in product(range(N + 1), repeat=3):
        if x + y + z > N:
            continue
        chance = stats.multinomial.pmf(
            [x, y, z, N - x - y - z], N, [only_i, only_j, both, 1 - only_i - only_j - both]
        )
        n_i, n_j = x + z, y + z
        if min(n_i, n_j) > 0:
            total += chance * special.betainc(n_i / 2, n_j / 2, 0.5)
        else:
            total += chance * (0.5 if n_i == n_j else float(n_i == 0))
    return float(total)


def random_weights(rng: np.random.Generator, K: int) -> tuple[Fraction, ...]:
    """Return K falling rational weights."""
    return tuple(Fraction(int(w)) for w in np.sort(rng.integers(1, 30, K))[::-1])


def _exact_example(seed: int) -> tuple[bool, float]:
    """Return whether enumeration, pairs and bound agree for a random small law, and the error."""
    rng = generator(seed, Axis.SUPPORTS)
    K, n_samples = int(rng.integers(2, 5)), int(rng.integers(1, 5))
    law = successive_law(random_weights(rng, K), int(rng.integers(1, K)))
    by_pairs = orderedness_by_pairs(law, K, n_samples)
    same = by_pairs == enumerated_orderedness(law, K, n_samples)
    inclusion = matrix_of(law, K)
    computed = expected_orderedness(inversions_by_frequency(inclusion, n_samples))
    within = float(1 - by_pairs) <= disorder_bound_by_frequency(inclusion, n_samples) + _ROUNDING
    return same and within, abs(computed - float(by_pairs))


def _bound_example(seed: int) -> float:
    """Return the largest disorder / bound of a random law, by frequency and by energy."""
    rng = generator(seed, Axis.VALUES)
    K = int(rng.integers(3, 9))
    m = int(rng.integers(1, K))
    weights = np.sort(np.exp(rng.normal(0, 1.5, K)))[::-1]
    inclusion, n_samples = inclusion_matrix(weights, m), int(10 ** rng.uniform(0, 3.5))
    found = [
        (1 - expected_orderedness(inversions(inclusion, n_samples)))
        / (bound(inclusion, n_samples) + _ROUNDING)
        for inversions, bound in (
            (inversions_by_frequency, disorder_bound_by_frequency),
            (inversions_by_energy, disorder_bound_by_energy),
        )
    ]
    return max(found)


def rate_ratio(n_samples: int) -> float:
    """Return log P(inverted) / (N log rho) for a = 1/4, b = 1/9; it tends to 1."""
    a, b = 1 / 4, 1 / 9
    inclusion = np.diag([a, b])
    chance = inversions_by_frequency(inclusion, n_samples)[0, 1]
    return float(np.log(chance) / (n_samples * np.log(1 - (sqrt(a) - sqrt(b)) ** 2)))


def toy_inclusion() -> Float[np.ndarray, "K K"]:
    """Return the inclusion matrix of the paper's toy: K = 100, m = 5, weights j^-1.2."""
    return inclusion_matrix(np.arange(1.0, 101.0) ** -1.2, 5)


@cache
def _toy_numbers() -> dict[str, Number]:
    inclusion, n_samples = toy_inclusion(), 100_000
    numbers: dict[str, Number] = {}
    for name, inversions, bound in (
        ("frequency", inversions_by_frequency, disorder_bound_by_frequency),
        ("energy", inversions_by_energy, disorder_bound_by_energy),
    ):
        numbers[f"toy, N = 100,000: E Ord by {name}"] = expected_orderedness(
            inversions(inclusion, n_samples)
        )
        numbers[f"toy, N = 100,000: 1 - bound by {name}"] = 1 - bound(inclusion, n_samples)
        numbers[f"toy: N with E Ord >= .99 by {name}, certified"] = least_samples(
            lambda N, bound=bound: bound(inclusion, N), 0.01
        )
    return numbers


def check(n_examples: int) -> Finding:
    """Go through permutations, enumerate small laws exactly, test the bounds on random laws."""
    check_integer("n_examples", n_examples, 1)
    broken = sum(identity_failures(K) for K in range(2, MOST_PERMUTED + 1))
    mu = np.array([2, 0, 3, 1, 4])
    metric = orderedness_of_permutation(mu) - expected_orderedness(inversions_of(mu))
    n_laws = -(-fewer(n_examples, 10) // 6)
    exact = [_exact_example(seed) for seed in range(n_laws)]
    ratios = [_bound_example(seed) for seed in range(n_laws)]
    law = successive_law(tuple(map(Fraction, (4, 3, 2, 1))), 2)
    by_pairs = orderedness_by_pairs(law, 4, 4)
    inclusion, (i, j) = matrix_of(law, 4), (0, 2)
    only_i, only_j = (float(p) for p in only_probabilities(law, i, j))
    in_full = inversion_by_energy_in_full(only_i, only_j, inclusion[i, j], 8)
    errors = [abs(metric), *[error for _, error in exact]]
    errors.append(abs(inversions_by_energy(inclusion, 8)[i, j] - in_full))
    error = max(*errors, _EPS)
    return Finding(
        confirmed=bool(
            broken == 0
            and all(right for right, _ in exact)
            and by_pairs == enumerated_orderedness(law, 4, 4)
            and max(ratios) <= 1
            and error < _ROUNDING
            and 1 < rate_ratio(1000) < rate_ratio(100) < 2
        ),
        certificate={
            "permutations up to K = 7 that break the identity": broken,
            "K = 4, m = 2, N = 4: E Ord by pairs": by_pairs,
            "random laws where pairs and enumeration agree exactly": sum(r for r, _ in exact),
            "largest disorder / bound over random laws": max(ratios),
            "log P / (N log rho) at N = 1000": rate_ratio(1000),
            **_toy_numbers(),
        },
        error=error,
        n_examples=n_laws,
    )


def is_inclusion_matrix(instance: Float[np.ndarray, "K K"]) -> bool:
    """Return whether an array can hold the probabilities P(i and j in the support)."""
    try:
        inversions_by_frequency(instance, 1)
    except InputError:
        return False
    return True


def is_falling(instance: Float[np.ndarray, "K K"]) -> bool:
    """Return whether the atoms of an inclusion matrix stand in falling order of use."""
    return bool((np.diff(np.diagonal(instance)) <= _ROUNDING).all())


ORDER_FROM_COUNTS = Claim(
    id="C",
    title="order from counts: what sorting reaches",
    source="this project",
    statement=(
        "(1) For every permutation of K latents 1 - Ord = 12 / (K (K^2 - 1)) sum_{i<j} (j - i)"
        " 1[j stands before i]. (2) Let the supports of N samples be independent, of any one law,"
        " true codes, n_k the uses of atom k, ties (unused atoms too) broken at random. Sorted by"
        " frequency, E Ord is 1 - 12 / (K (K^2 - 1)) sum_{i<j} (j - i) (P(n_i < n_j) +"
        " P(n_i = n_j) / 2); sorted by energy the same with e_k, the sum of the squared values."
        " (3) With a = P(i only), b = P(j only), a >= b, the bracket is at most rho^N / 2,"
        " rho = 1 - (sqrt(a) - sqrt(b))^2, and its N-th root tends to rho for b > 0. (4) By energy,"
        " values independent of the supports and each other with E v^(2k) <= (k!/2) E v^4 c^(k-2)"
        " for k >= 3 (half-normal: E v^2 = 1, E v^4 = 3, c = 2), it is at most"
        " exp(-N D^2 / (2 (V + c D))), D = E v^2 (a - b), V = E v^4 (P(i) + P(j)). So N with the"
        " sum of the bounds at most eps has E Ord >= 1 - eps."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "(1) Let I_ij = 1 if j stands before i, for i < j. The place of i is"
        " mu_i = i + sum_{j>i} I_ij - sum_{j<i} I_ji, so sum_i i (mu_i - i) = -sum_{i<j} (j - i)"
        " I_ij. And sum (i - mu_i)^2 = 2 sum i^2 - 2 sum i mu_i = 2 sum_{i<j} (j - i) I_ij. For Ord"
        " over some latents only, as where dead ones are left out, it holds with their ranks among"
        " those. All 5,912 permutations of K = 2..7 were gone through.\n"
        "(2) Expectations add up, whatever the pairs have to do with each other; ties broken by a"
        " random permutation invert with probability 1/2. n_i - n_j is a sum of N independent terms"
        " 1, -1, 0 of probabilities a, b, 1 - a - b. Random laws of K = 2..4 atoms and N = 1..4"
        " samples: enumeration of all draws and all ways to break ties gives the same fraction.\n"
        "(3) Tilt the terms by exp(-s x), exp(2s) = a/b: 1 and -1 then have equal weights sqrt(ab),"
        " of total mass rho. So the bracket is rho^N times the mean of exp(s S) (1[S < 0] +"
        " 1[S = 0] / 2) under a symmetric law, where the factor is at most 1 and the rest has mean"
        " 1/2. That S = 0 or -1 has probability of order 1 / sqrt(N) there gives the rate. At N = 0"
        " the bound is an equality.\n"
        "(4) |x|^k <= v_i^(2k) 1[i] + v_j^(2k) 1[j] for the term x of e_i - e_j, so"
        " E exp(-s x) <= 1 - s D + s^2 V / (2 (1 - c s)); s = D / (V + c D).\n"
        "What it says of the paper's toy (K = 100, m = 5, alpha = 1.2, half-normal; the inclusion"
        " probabilities by an integral to 1e-13): N = 1,000, 10,000, 100,000 true codes give"
        " E Ord .9324, .9892, .99873 by frequency and .8671, .9728, .99635 by energy. So at the"
        " paper's N = 100,000 sampling costs .0013 and .0037, and what trained SAEs lose beyond"
        " that, they lose otherwise (E). For rare atoms the variance of e_i - e_j is about"
        " E v^4 / (E v^2)^2 times that of n_i - n_j, so by energy it takes about three times the"
        " samples for half-normal values."
    ),
    check=check,
    assumptions=(
        Assumption(
            "the supports have an inclusion matrix P(i and j in the support) (the instance)",
            is_inclusion_matrix,
        ),
        Assumption("(3, 4) the atoms stand in falling order of use", is_falling),
    ),
    references=(
        "Efraimidis & Spirakis (2006), successive sampling",
        "Boucheron, Lugosi & Massart (2013), Theorem 2.10 (Bernstein)",
    ),
)
