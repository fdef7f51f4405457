"""T3a: atoms that no sample uses do not hinder recovery; they may end up as anything.

Statement. As T3, but only K' <= K atoms are used: if their coherence is below w_K', the
minimisers of L_ND have exactly those atoms, in descending energy up to signs, in slots 1..K';
slots K'+1..K are arbitrary.

Source: claim T3a. Verdict: holds. Tight: for equal energies coherence below w_K' is necessary,
by T3b's merging of the closest pair.

>>> finding = RAY_RECOVERY_PARTIAL.check(100)
>>> finding.confirmed, finding.certificate["of which recovered in slots 1..K'"]
(True, 100)
"""

import numpy as np

from osae_theory.claims.base import Assumption, Claim, Finding, fewer
from osae_theory.claims.ray_instances import (
    DISTINCT_ENERGIES,
    FULL_SUPPORT,
    NO_NOISE,
    ONE_SPARSE,
    RECOVERED,
    Instance,
    energies_of,
    instances,
    recovery_error,
    used_in_order,
)
from osae_theory.minimisers.rays import best_encoder_loss, ray_minimiser
from osae_theory.problems import coherence
from osae_theory.problems.geometry import gaussian_columns

_SLACK = 1e-9


def used_coherence_is_low(instance: Instance) -> bool:
    """Return whether mu of the K' used atoms is below w_K' = P(l >= K')."""
    problem, law = instance
    used = used_in_order(problem)
    return bool(coherence(problem.dictionary[:, used]) < law.survival[len(used) - 1])


LOW_USED_COHERENCE = Assumption("mu(used atoms of D*) < w_K'", used_coherence_is_low)
ASSUMPTIONS = (NO_NOISE, ONE_SPARSE, FULL_SUPPORT, DISTINCT_ENERGIES, LOW_USED_COHERENCE)


def recovery_and_rest(instance: Instance, rng: np.random.Generator) -> tuple[float, float]:
    """Return the distance of slots 1..K' from D*, and how far the other slots move min_E L_ND."""
    problem, law = instance
    found = ray_minimiser(problem.data, law)
    used = used_in_order(problem)
    D = gaussian_columns(problem.d, problem.K, rng)
    D[:, : len(used)] = problem.dictionary[:, used]
    with_any_rest = best_encoder_loss(
        D, problem.dictionary[:, used], energies_of(problem)[used], law
    )
    moved = abs(with_any_rest - float(found.certificate.value))
    return recovery_error(instance, found), moved / float(np.vdot(problem.data, problem.data))


def check(n_examples: int) -> Finding:
    """Recover the used atoms of n_examples instances that leave one or two of K unused."""
    n_examples = fewer(n_examples, 2)
    rng = np.random.default_rng(31)
    one = instances(n_examples - n_examples // 2, ASSUMPTIONS, seed=31, n_unused=1)
    two = instances(n_examples // 2, ASSUMPTIONS, seed=32, n_unused=2)
    drawn = [*one, *two]
    errors, moved = np.array([recovery_and_rest(instance, rng) for instance in drawn]).T
    recovered = int((errors < RECOVERED).sum())
    beyond = sum(
        bool(coherence(problem.dictionary) >= law.probabilities[-1]) for problem, law in drawn
    )
    return Finding(
        confirmed=recovered == len(drawn) == n_examples and bool(moved.max() < _SLACK),
        certificate={
            "instances that meet the hypotheses": len(drawn),
            "of which recovered in slots 1..K'": recovered,
            "of which mu(D*) >= p_K": beyond,
            "largest distance of a used atom from D*": float(errors.max()),
            "largest change of min L_ND with the rest at random, relative to ||X||^2": float(
                moved.max()
            ),
        },
        error=float(max(errors.max(), moved.max())),
        n_examples=n_examples,
    )


RAY_RECOVERY_PARTIAL = Claim(
    id="T3a",
    title="recovery with unused atoms, m = 1",
    source="this project",
    statement=(
        "If X = D* Y* with 1-sparse nonzero columns that use K' <= K atoms of distinct energies,"
        " and those have coherence below w_K' = P(l >= K'), the law of full support, then the"
        " minimisers of L_ND have exactly these atoms in slots 1..K', in descending energy, up to"
        " signs, and anything in slots K'+1..K."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "As T3: an atom that leads no slot earns at most mu e_k < w_K' e_k, one that leads slot j"
        " at most max(w_j, mu) e_k. Either way the K' atoms earn no more than in slots 1..K', and"
        " less if one of them leads none of these, as w_K' > w_{K'+1}. A slot j > K' with any"
        " direction in it takes no sample away, since w_j <d_j,d_k*>^2 <= w_j < w_K'. The data"
        " never determine the other atoms: the paper's Theorem 3.1 needs every atom used."
    ),
    check=check,
    assumptions=ASSUMPTIONS,
)
