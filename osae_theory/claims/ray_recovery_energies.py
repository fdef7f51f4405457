"""T3d: where energies differ, coherence above p_K can still leave recovery intact (m = 1).

Statement. As T3, energies sorted, rho_i = e_{i+1} / e_i, S_i = sum_{k>i} e_k / e_i, and gamma_i
the positive root of

    S_i g^2 + (1 - (1 - mu) rho_i - mu S_i) g - mu^2 = 0.

If max_{i<K} gamma_i < p_K, the minimisers of L_ND are exactly D* by energy, up to signs. Always
gamma_i <= mu, so this asks for no more than T3.

Source: claim T3d. Verdict: holds. Tight: for K = 2 it is P1's threshold, an equivalence; for
K > 2 sufficient only (B1 is the sharp one).

>>> finding = RAY_RECOVERY_ENERGIES.check(200)
>>> finding.confirmed, finding.certificate["of which recovered in energy order"]
(True, 200)
>>> finding.certificate["of which mu >= p_K"]
35
"""

import numpy as np
from jaxtyping import Float

from osae_theory.claims.base import Assumption, Claim, Finding, fewer
from osae_theory.claims.lemma_3_1 import threshold
from osae_theory.claims.ray_instances import (
    ALL_USED,
    DISTINCT_ENERGIES,
    FULL_SUPPORT,
    LOW_COHERENCE,
    NO_NOISE,
    ONE_SPARSE,
    RECOVERED,
    Instance,
    energies_of,
    instances,
    recovery_error,
)
from osae_theory.errors import InputError, check_real
from osae_theory.problems import coherence

_SLACK = 1e-12


def gammas(energies: Float[np.ndarray, " K"], mu: float) -> Float[np.ndarray, " leaders"]:
    """Return gamma_1, ..., gamma_{K-1}: the most a follower of atom i earns, per unit energy.

    Parameters
    ----------
    energies : Float[np.ndarray, " K"]
        Positive, in any order.
    mu : float
        Coherence, in [0, 1].

    Returns
    -------
    Float[np.ndarray, " leaders"]
        K - 1 numbers in [0, mu], those of the atoms in descending energy.

    Raises
    ------
    InputError
        If an energy is not positive or mu is outside its range.
    """
    check_real("mu", mu, at_least=0, at_most=1 + 1e-9)
    if not (energies > 0).all():
        raise InputError(f"energies {energies}: expected all above 0")
    e = -np.sort(-energies)
    rho, S = e[1:] / e[:-1], np.cumsum(e[::-1])[::-1][1:] / e[:-1]
    b = 1 - (1 - mu) * rho - mu * S
    root = np.sqrt(b * b + 4 * S * mu * mu)
    # Of the two forms of the root, the one in which nothing cancels.
    away = np.where(b > 0, b + root, 1.0)
    return np.where(b > 0, 2 * mu * mu / away, (root - b) / (2 * S))


def largest_gamma(instance: Instance) -> float:
    """Return max_i gamma_i of D* and the energies of Y*; 0 for a single atom."""
    problem, _ = instance
    return float(gammas(energies_of(problem), coherence(problem.dictionary)).max(initial=0.0))


LOW_GAMMA = Assumption(
    "max_i gamma_i < p_K",
    lambda instance: bool(
        (energies_of(instance[0]) > 0).all()
        and largest_gamma(instance) < instance[1].probabilities[-1]
    ),
)
ASSUMPTIONS = (NO_NOISE, ONE_SPARSE, ALL_USED, FULL_SUPPORT, DISTINCT_ENERGIES, LOW_GAMMA)
_BEYOND_T3 = Assumption("mu(D*) >= p_K", lambda instance: not LOW_COHERENCE.test(instance))


def threshold_difference(rng: np.random.Generator) -> float:
    """Return |gamma_1 - threshold of P1| for two random atoms."""
    rho, cosine = (float(x) for x in rng.uniform(0.01, 1.0, 2))
    return abs(float(gammas(np.array([1.0, rho]), cosine)[0]) - threshold(cosine, rho))


def check(n_examples: int) -> Finding:
    """Recover D* from the exact minimiser of n_examples instances, an eighth of them beyond T3."""
    n_examples = fewer(n_examples, 4)
    n_beyond = n_examples // 8
    drawn = [
        *instances(n_examples - n_beyond, ASSUMPTIONS, seed=34, decay=0.5),
        *instances(n_beyond, (_BEYOND_T3, *ASSUMPTIONS), seed=35, decay=0.25),
    ]
    errors = np.array([recovery_error(instance) for instance in drawn])
    mu = np.array([coherence(problem.dictionary) for problem, _ in drawn])
    last = np.array([law.probabilities[-1] for _, law in drawn])
    excess = float((np.array([largest_gamma(instance) for instance in drawn]) - mu).max())
    rng = np.random.default_rng(34)
    difference = max(threshold_difference(rng) for _ in range(n_examples))
    recovered = int((errors < RECOVERED).sum())
    return Finding(
        confirmed=recovered == len(drawn) == n_examples and max(excess, difference) < _SLACK,
        certificate={
            "instances that meet the hypotheses": len(drawn),
            "of which recovered in energy order": recovered,
            "of which mu >= p_K": int((mu >= last).sum()),
            "of which K > d": sum(problem.K > problem.d for problem, _ in drawn),
            "largest distance of an atom from D*": float(errors.max()),
            "largest max_i gamma_i - mu": excess,
            "largest |gamma_1 - threshold of P1|, K = 2": difference,
        },
        error=float(max(errors.max(), difference)),
        n_examples=n_examples,
    )


RAY_RECOVERY_ENERGIES = Claim(
    id="T3d",
    title="recovery with spread energies, m = 1",
    source="this project",
    statement=(
        "If X = D* Y* with 1-sparse nonzero columns, every atom used, distinct energies, a law of"
        " full support and max_{i<K} gamma_i < p_K, the minimisers of L_ND are exactly D* in"
        " descending energy, up to signs. Here e_1 > ... > e_K, rho_i = e_{i+1} / e_i,"
        " S_i = sum_{k>i} e_k / e_i, and gamma_i is the positive root of"
        " S_i g^2 + (1 - (1 - mu) rho_i - mu S_i) g - mu^2 = 0 (0 if mu = 0); always"
        " gamma_i <= mu."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "Convexity in the shares e_jk lets each ray go whole into one slot. In a slot led by atom"
        " i, lambda is at most the top eigenvalue of (1 - mu) diag(e) + mu sqrt(e) sqrt(e)^T, which"
        " solves 1 = mu sum_k e_k / (lambda - (1 - mu) e_k). Put lambda = e_i (1 + g S), S the"
        " energy of the followers over e_i, and replace each e_k in a denominator by rho e_i, the"
        " largest of them: the root of S g^2 + (1 - (1 - mu) rho - mu S) g - mu^2 = 0 bounds what a"
        " follower earns per unit of energy. It grows with S and rho, which are at most S_i and"
        " rho_i; at g = mu the left side is mu (1 - mu)(1 - rho) >= 0, so gamma_i <= mu. With"
        " gamma_i in the place of mu the end of T3's proof stands. For K = 2, S = rho, and the"
        " equation is that of P1's threshold."
    ),
    check=check,
    assumptions=ASSUMPTIONS,
)
