"""T3f: with noise, the minimisers of L_ND are near D*, in energy order, by an explicit bound.

Statement. X = D* Y* + R, ||R||_F <= eta, codes as in T3, and D* by energy is the best map of the
rays of D* Y* to slots (e_1 > ... > e_K); F* = sum_k (1 - w_k) e_k is what it costs, Gamma > 0 the
gap to the second-best map. If b = 4 eta sqrt(F*) + 4 eta^2 < Gamma, every minimiser of L_ND for X
has

    sum_k w_k e_k sin^2 angle(d_k, d_k*) <= b.

Gamma >= min{(p_K - mu) e_K, min_i p_i (e_i - e_{i+1})} where mu < p_K.

Source: claim T3f. Verdict: holds. Tight: an upper bound; random noise uses a small share of it.

>>> finding = RAY_NOISE.check(50)
>>> finding.confirmed, finding.certificate["of which within the bound, in energy order"]
(True, 50)
"""

import numpy as np
from jaxtyping import Float

from osae_theory.claims.base import Assumption, Claim, Finding, fewer
from osae_theory.claims.ray_instances import (
    ALL_USED,
    DISTINCT_ENERGIES,
    FULL_SUPPORT,
    LOW_COHERENCE,
    ONE_SPARSE,
    Instance,
    energies_of,
    instances,
    used_in_order,
)
from osae_theory.minimisers.rays import ray_minimiser
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import SparseCodingProblem, coherence, problem_from_arrays

_SLACK = 1e-9


def noise_free_loss(instance: Instance) -> float:
    """Return F* = sum_k (1 - w_k) e_k, energies descending: L_ND at (D*, Y*) without noise."""
    problem, law = instance
    return float((1 - law.survival) @ -np.sort(-energies_of(problem)))


def noise_bound(instance: Instance, eta: float) -> float:
    """Return b = 4 eta sqrt(F*) + 4 eta^2."""
    return 4 * eta * noise_free_loss(instance) ** 0.5 + 4 * eta**2


def noise_at_bound(instance: Instance, bound: float) -> float:
    """Return the eta with 4 eta sqrt(F*) + 4 eta^2 = bound."""
    base = noise_free_loss(instance)
    return ((base + bound) ** 0.5 - base**0.5) / 2


def map_gap(instance: Instance) -> float:
    """Return Gamma, the gap of the noise-free data; 0 unless D* by energy is the one best map."""
    problem, law = instance
    found = ray_minimiser(problem.dictionary @ problem.codes, law)
    return found.gap if found.maps == (tuple(range(problem.K)),) else 0.0


def gap_bound(instance: Instance) -> float:
    """Return min{(p_K - mu) e_K, min_i p_i (e_i - e_{i+1})}, a lower bound of Gamma."""
    problem, law = instance
    e, p = -np.sort(-energies_of(problem)), law.probabilities
    merged = (p[-1] - coherence(problem.dictionary)) * e[-1]
    return float(min(merged, (p[:-1] * (e[:-1] - e[1:])).min(initial=np.inf)))


def weighted_angles(
    D: Float[np.ndarray, "d K"], problem: SparseCodingProblem, law: PrefixLaw
) -> float:
    """Return sum_k w_k e_k sin^2 angle(d_k, d_k*), d_k* the k-th true atom by energy."""
    order = used_in_order(problem)
    true, slots = problem.dictionary[:, order], D[:, : len(order)]
    # ||d - <d,d*> d*||^2 and not 1 - <d,d*>^2, which cancels at small angles.
    off = slots - true * (slots * true).sum(axis=0)
    weights = law.survival[: len(order)] * energies_of(problem)[order]
    return float(weights @ (off**2).sum(axis=0))


def noise_norm(instance: Instance) -> float:
    """Return ||R||_F, 0 without noise."""
    noise = instance[0].noise
    return 0.0 if noise is None else float(np.linalg.norm(noise))


def noise_is_small(instance: Instance) -> bool:
    """Return whether 4 eta sqrt(F*) + 4 eta^2 < Gamma for eta = ||R||_F, the instance's noise."""
    return noise_bound(instance, noise_norm(instance)) < map_gap(instance)


def truth_is_best(instance: Instance) -> bool:
    """Return whether D* by energy is the best map of the noise-free rays, and the only one."""
    return map_gap(instance) > 0


BEST_MAP = Assumption(
    "without the noise, D* by energy is the only best map of rays to slots", truth_is_best
)
SMALL_NOISE = Assumption("4 ||R||_F sqrt(F*) + 4 ||R||_F^2 < Gamma", noise_is_small)
ASSUMPTIONS = (ONE_SPARSE, ALL_USED, FULL_SUPPORT, DISTINCT_ENERGIES, BEST_MAP, SMALL_NOISE)


def with_noise(instance: Instance, bound: float, rng: np.random.Generator) -> Instance:
    """Return the instance with Gaussian noise of the norm eta at which b is the given bound."""
    problem, law = instance
    noise = rng.standard_normal(problem.data.shape)
    noise *= noise_at_bound(instance, bound) / np.linalg.norm(noise)
    return problem_from_arrays(problem.dictionary, problem.codes, noise), law


def measured_over_bound(instance: Instance) -> float:
    """Return sum_k w_k e_k sin^2 angle(d_k, d_k*) over b, at the noisy data's exact minimiser.

    The instance has noise.
    """
    problem, law = instance
    found = ray_minimiser(problem.data, law)
    measured = weighted_angles(found.dictionary, problem, law)
    return measured / noise_bound(instance, noise_norm(instance))


def check(n_examples: int) -> Finding:
    """Minimise L_ND exactly, each noisy sample its own ray, and compare with the bound."""
    n_examples = fewer(n_examples, 4)
    clean_hypotheses = (ONE_SPARSE, ALL_USED, FULL_SUPPORT, DISTINCT_ENERGIES, LOW_COHERENCE)
    rng = np.random.default_rng(36)
    ratios, gaps, met = [], [], 0
    for clean in instances(n_examples, clean_hypotheses, seed=36, most=4):
        gap = map_gap(clean)
        instance = with_noise(clean, float(rng.uniform(0.05, 0.99)) * gap, rng)
        met += noise_bound(instance, noise_norm(instance)) < gap
        ratios.append(measured_over_bound(instance))
        gaps.append(gap / gap_bound(clean))
    within = int((np.array(ratios) <= 1).sum())
    least_gap = min(gaps)
    return Finding(
        confirmed=within == met == n_examples and least_gap >= 1 - _SLACK,
        certificate={
            "noisy instances that meet the hypotheses": met,
            "of which within the bound, in energy order": within,
            "largest measured side / bound": max(ratios),
            "least Gamma / its lower bound": least_gap,
        },
        error=max(1 - least_gap, float(np.finfo(np.float64).eps)),
        n_examples=n_examples,
    )


RAY_NOISE = Claim(
    id="T3f",
    title="recovery with noise, m = 1",
    source="this project",
    statement=(
        "X = D* Y* + R, ||R||_F <= eta, the codes 1-sparse and nonzero, every atom used, energies"
        " e_1 > ... > e_K, a law of full support. A map of the rays of D* Y* to slots costs"
        " ||D* Y*||^2 - sum_j w_j lambda_j, lambda_j the top eigenvalue of sum e_k d_k* d_k*^T over"
        " the rays in slot j (T3e). Let D* by energy, ray k in slot k, be the best map, which costs"
        " F* = sum_k (1 - w_k) e_k, and Gamma the gap to the second-best map. If"
        " b = 4 eta sqrt(F*) + 4 eta^2 < Gamma, every minimiser of L_ND for X has"
        " sum_k w_k e_k sin^2 angle(d_k, d_k*) <= b. Where mu < p_K, D* by energy is the best map,"
        " and Gamma is at least min{(p_K - mu) e_K, min_i p_i (e_i - e_{i+1})}."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "sqrt(L_ND(D,Y)) is the norm of the stacked sqrt(p_l) (X - D Lambda_l Y), hence 1-Lipschitz"
        " in X. So at a minimiser for X the clean data cost at most (sqrt(F*) + 2 eta)^2 = F* + b."
        " By T3e they cost at least sum_k e_k (1 - w_s(k) <d_s(k),d_k*>^2), s the best slots, which"
        " is no less than the minimum of the map s; as b < Gamma, s is the best map, s(k) = k, and"
        " the sum is F* + sum_k w_k e_k sin^2. For Gamma: a map that is no permutation loses"
        " (p_K - mu) e_K or more (T3), a wrong permutation at least an adjacent exchange,"
        " p_i (e_i - e_{i+1}). Were another map the best, the minimiser would be near that one,"
        " however small the noise: e = (1, .9), angle .3, p_2 = .1 merges both rays. The minimisers"
        " here are global: at most 7 noisy samples are 7 rays,"
        " and every map of them is compared."
    ),
    check=check,
    assumptions=ASSUMPTIONS,
)
