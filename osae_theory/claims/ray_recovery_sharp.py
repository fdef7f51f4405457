"""T3b: for equal energies, m = 1 recovers D* if and only if mu < p_K.

Statement. X = D* Y*, 1-sparse nonzero columns, all atoms of the same energy, full support. The
minimisers of L_ND are exactly D*, in any order and up to signs, if and only if
mu(D*) < p_K = P(l = K).

Source: claim T3b. Verdict: holds. Tight: it is an equivalence; at mu = p_K the merged point and
D* tie exactly.

>>> finding = RAY_RECOVERY_SHARP.check(100)
>>> for name in ("at D*", "closest pair merged", "min"):
...     print(*[finding.certificate[f"L_ND {name}, p_2 = {p}"] for p in ("1/2", "3/5", "7/10")])
1/2 2/5 3/10
2/5 2/5 2/5
2/5 2/5 3/10
"""

from fractions import Fraction

import numpy as np

from osae_theory.claims.base import Assumption, Claim, Finding, Number
from osae_theory.claims.exact import columns
from osae_theory.claims.lemma_3_1 import merged_point, two_atoms
from osae_theory.claims.ray_instances import (
    ALL_USED,
    FULL_SUPPORT,
    NO_NOISE,
    ONE_SPARSE,
    Instance,
    draw_instance,
    energies_of,
)
from osae_theory.errors import check_integer
from osae_theory.minimisers.exact_rays import exact_planar_minimum
from osae_theory.minimisers.rays import ray_minimiser
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import coherence, problem_from_arrays

_ALL_ORDERS = 24  # of K = 4 atoms, the most drawn here
_SLACK = 1e-9

EQUAL_ENERGIES = Assumption(
    "all atoms have the same energy",
    lambda instance: bool(np.ptp(energies_of(instance[0])) <= _SLACK * energies_of(instance[0])[0]),
)
ASSUMPTIONS = (NO_NOISE, ONE_SPARSE, ALL_USED, FULL_SUPPORT, EQUAL_ENERGIES)


def planar_losses(p_2: Fraction) -> tuple[Fraction, Fraction, Fraction]:
    """Return L_ND at D*, with its pair merged, and at the minimum: P1's atoms, mu = 3/5."""
    atoms = two_atoms()
    law = (1 - p_2, p_2)
    merged, _ = merged_point(atoms.X, columns((2, 1)), (0, 0), law)
    apart, _ = merged_point(atoms.X, atoms.D, (0, 1), law)
    least = exact_planar_minimum(atoms.X, [1, 1], law).value
    return apart, merged, Fraction(least)


def planar_threshold_holds(p_2: Fraction) -> bool:
    """Return whether D* is better than the merged pair exactly when mu = 3/5 < p_2."""
    apart, merged, least = planar_losses(p_2)
    return least == min(apart, merged) and (apart < merged) == (Fraction(3, 5) < p_2)


def equalised(instance: Instance, margin: float) -> Instance:
    """Return an instance with energies 1 and p_K = mu + margin, the law otherwise in proportion.

    The margin is cut where p_K would leave [mu / 2, (1 + mu) / 2].
    """
    problem, law = instance
    mu = coherence(problem.dictionary)
    last = float(np.clip(mu + margin, mu / 2, (1 + mu) / 2))
    p = np.append(law.probabilities[:-1] / law.probabilities[:-1].sum() * (1 - last), last)
    return problem_from_arrays(problem.dictionary, np.eye(problem.K)), PrefixLaw(p)


def recovered_in_some_order(instance: Instance) -> tuple[bool, float]:
    """Return whether D* alone minimises L_ND, and the relative error of its loss if so.

    It does if the optimal maps of rays to slots are the K! permutations and no others.
    """
    problem, law = instance
    found = ray_minimiser(problem.data, law, max_maps=_ALL_ORDERS + 1)
    alone = all(len(set(slots)) == problem.K for slots in found.maps)
    at_truth = float((1 - law.survival).sum())
    deviation = abs(float(found.certificate.value) - at_truth) if alone else 0.0
    return alone, deviation / problem.K


def check(n_examples: int) -> Finding:
    """Compare both sides of the threshold, exactly on P1's atoms, then on random instances."""
    check_integer("n_examples", n_examples, 1)
    rng = np.random.default_rng(33)
    fractions = {name: Fraction(name) for name in ("1/2", "3/5", "7/10")}
    exact = {name: planar_losses(p_2) for name, p_2 in fractions.items()}
    below = above = wrong = 0
    deviation = 0.0
    for index in range(n_examples):
        margin = float(10 ** rng.uniform(-6, -0.3)) * (1 if index % 2 else -1)
        instance = equalised(draw_instance(rng, most=4), margin)
        expected = bool(coherence(instance[0].dictionary) < instance[1].probabilities[-1])
        recovered, error = recovered_in_some_order(instance)
        wrong += recovered != expected
        below, above = below + expected, above + (not expected)
        deviation = max(deviation, error)
    certificate: dict[str, Number] = {}
    for name, losses in exact.items():
        for what, loss in zip(("at D*", "closest pair merged", "min"), losses, strict=True):
            certificate[f"L_ND {what}, p_2 = {name}"] = loss
    return Finding(
        confirmed=wrong == 0
        and deviation < _SLACK
        and all(planar_threshold_holds(p_2) for p_2 in fractions.values()),
        certificate=certificate
        | {
            "instances with mu < p_K": below,
            "instances with mu > p_K": above,
            "instances that disagree with the equivalence": wrong,
            "largest deviation of min L_ND from sum (1 - w_k) e, relative": deviation,
        },
        error=deviation,
        n_examples=n_examples,
    )


RAY_RECOVERY_SHARP = Claim(
    id="T3b",
    title="mu < p_K is sharp, m = 1",
    source="this project",
    statement=(
        "If X = D* Y* with 1-sparse nonzero columns, all atoms of the same energy, and the law"
        " has full support, then the minimisers of L_ND are exactly D*, in any order and up to"
        " signs, if and only if mu(D*) < p_K."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "If mu < p_K: T3, where equal energies leave the order free. If mu >= p_K: put the"
        " closest pair into slot 1, along the bisector; its lambda is (1 + mu) e. The others move"
        " up, into slots 2..K-1, and slot K is empty. Against D* this earns mu e more and loses"
        " w_K e = p_K e, so it is no worse, and it is not D*. The random instances have"
        " p_K = mu +- delta, delta from 1e-6 to 1/2, and every map of rays to slots is"
        " compared; P1's atoms, mu = 3/5, are valued exactly below, at and above p_2 = 3/5."
    ),
    check=check,
    assumptions=ASSUMPTIONS,
)
