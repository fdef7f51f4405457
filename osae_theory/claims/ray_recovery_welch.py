"""T3c: no named law meets mu < p_K with an overcomplete dictionary, so T3 needs another law.

Statement. If K > d then mu(D*) >= sqrt((K - d) / (d (K - 1))) > 1/K (Welch), and every law that
does not increase has p_K <= 1/K. So for uniform, Zipf and geometric laws T3 never applies to an
overcomplete dictionary, and where the energies are equal D* is in no order a minimiser of L_ND.

Source: claim T3c. Verdict: holds. Tight: Welch's bound is attained by equiangular tight frames,
and p_K = 1/K by the uniform law.

>>> finding = RAY_RECOVERY_WELCH.check(100)
>>> finding.confirmed, finding.error
(True, 0.0)
>>> print(finding.certificate["least (Welch bound)^2 K^2 for d < K <= 200"])
40000/39601
"""

from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
from jaxtyping import Shaped

from osae_theory.claims.base import Assumption, Claim, Finding
from osae_theory.claims.exact import FULL_SUPPORT, Instance, Law, as_fractions, uniform
from osae_theory.claims.lemma_3_1 import merged_point
from osae_theory.errors import check_integer
from osae_theory.minimisers.rational import rational_unit_vector

OVERCOMPLETE = Assumption("K > d", lambda instance: instance.K > instance.D.shape[0])
NON_INCREASING = Assumption(
    "P(l = j) does not increase with j, as for uniform, Zipf and geometric laws",
    lambda instance: all(a >= b for a, b in pairwise(instance.law)),
)
ONE_SPARSE = Assumption(
    "every sample uses exactly one atom",
    lambda instance: bool((np.count_nonzero(instance.Y, axis=0) == 1).all()),
)
EQUAL_ENERGIES = Assumption(
    "all atoms have the same energy", lambda instance: len(set(instance.energies)) == 1
)


def welch_squared(d: int, K: int) -> Fraction:
    """Return the square of Welch's bound, (K - d) / (d (K - 1)), for K > d."""
    return Fraction(K - d, d * (K - 1))


def named_laws(K: int) -> dict[str, Law]:
    """Return exact uniform, Zipf and geometric laws on {1..K}."""
    weights = {
        "zipf(1)": [Fraction(1, j) for j in range(1, K + 1)],
        "geometric(9/10)": [Fraction(9, 10) ** j for j in range(K)],
        "geometric(1/2)": [Fraction(1, 2) ** j for j in range(K)],
    }
    return {"uniform": uniform(K)} | {
        name: tuple(x / sum(row) for x in row) for name, row in weights.items()
    }


def draw_overcomplete(rng: np.random.Generator) -> Instance:
    """Return rational atoms, K = d + 1..d + 3, one sample of norm 1 on each, and a named law."""
    d = int(rng.integers(2, 4))
    K = d + int(rng.integers(1, 4))
    atoms = [rational_unit_vector(v, denominator=8) for v in rng.standard_normal((K, d))]
    laws = list(named_laws(K).values())
    law = laws[int(rng.integers(len(laws)))]
    return Instance(np.array(atoms, dtype=object).T, as_fractions(np.eye(K, dtype=int)), law, 1)


def closest_pair(D: Shaped[np.ndarray, "d K"]) -> tuple[Fraction, tuple[int, int]]:
    """Return the cosine of largest modulus of two atoms, exactly, and the pair."""
    pairs = combinations(range(D.shape[1]), 2)
    return max((((D[:, i] * D[:, j]).sum(), (i, j)) for i, j in pairs), key=_modulus)


def _modulus(found: tuple[Fraction, tuple[int, int]]) -> Fraction:
    return abs(found[0])


def saved_by_merging(instance: Instance) -> Fraction:
    """Return by how much L_ND falls from D* when its closest pair goes into slot 1 together."""
    D, K = instance.D, instance.K
    cosine, (i, j) = closest_pair(D)
    rest = [k for k in range(K) if k not in (i, j)]
    slots = {k: place for place, k in enumerate(rest, start=1)} | {i: 0, j: 0}
    bisector = D[:, i] + (1 if cosine >= 0 else -1) * D[:, j]
    directions = np.column_stack([bisector, *(D[:, k] for k in rest)])
    merged, _ = merged_point(
        instance.X, directions, tuple(slots[k] for k in range(K)), instance.law
    )
    return instance.loss() - merged


def is_beyond(instance: Instance) -> bool:
    """Return whether p_K <= 1/K < mu, mu is at least Welch's bound, and merging saves mu - p_K."""
    d, K = instance.D.shape
    mu, last = abs(closest_pair(instance.D)[0]), instance.law[-1]
    ordered = welch_squared(d, K) <= mu * mu and last <= Fraction(1, K) < mu
    return ordered and saved_by_merging(instance) == mu - last > 0


def check(n_examples: int) -> Finding:
    """Verify Welch > 1/K in integers for K <= 200, and merge on n_examples / 4 exact instances."""
    check_integer("n_examples", n_examples, 1)
    rng = np.random.default_rng(35)
    n_merged = max(1, n_examples // 4)
    beyond = sum(is_beyond(draw_overcomplete(rng)) for _ in range(n_merged))
    ratio = min(welch_squared(d, K) * K * K for K in range(2, 201) for d in range(1, K))
    return Finding(
        confirmed=ratio > 1 and beyond == n_merged,
        certificate={
            "least (Welch bound)^2 K^2 for d < K <= 200": ratio,
            "exact overcomplete instances, equal energies": n_merged,
            "of which merging the closest pair saves mu - p_K > 0": beyond,
        },
        n_examples=n_merged,
    )


RAY_RECOVERY_WELCH = Claim(
    id="T3c",
    title="T3 and overcomplete dictionaries",
    source="this project",
    statement=(
        "If K > d, mu(D*) >= sqrt((K - d) / (d (K - 1))) > 1/K, and a law that does not increase"
        " has p_K <= 1/K: with such a law T3 never applies, and if moreover all atoms have the"
        " same energy (m = 1), D* is in no order a minimiser of L_ND."
    ),
    verdict="holds",
    evidence="exact certificate",
    story=(
        "K^2 (K - d) >= K^2 > (K - 1)^2 >= d (K - 1) for d < K, which is Welch's bound above 1/K."
        " The least of K numbers that sum to 1 is at most 1/K, and it is the last if they do not"
        " increase. So mu > p_K, and by T3b merging the closest pair lowers L_ND by mu - p_K a unit"
        " of energy. Distinct energies may still be recovered (T3d, B1): mu < p_K is then not"
        " necessary. Otherwise recovery needs a law with its mass on the last prefix."
    ),
    check=check,
    assumptions=(OVERCOMPLETE, ONE_SPARSE, FULL_SUPPORT, NON_INCREASING, EQUAL_ENERGIES),
    references=("Welch (1974)",),
)
