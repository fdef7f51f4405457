"""T3e: the global minimum of L_ND for m = 1, by assigning whole rays to slots.

Statement. X = D* Y* with 1-sparse columns of energies e_k. Over unit-norm D and any E

    min L_ND = ||X||^2 - max over set partitions of the atoms of sum_j w_j lambda_(j),

lambda_(1) >= lambda_(2) >= ... the top eigenvalues of the blocks' sum_k e_k d_k* d_k*^T, at most K
blocks; dynamic programming takes O(K 3^K). For a fixed D,
min over E of L_ND = sum_k e_k (1 - max_j w_j <d_j,d_k*>^2).

Source: claim T3e. Verdict: holds, for every law. Tight: equalities.

>>> finding = RAY_MINIMUM.check(50)
>>> finding.confirmed, finding.certificate["maps of samples to slots compared"]
(True, 7130)
"""

from itertools import product

import numpy as np
from jaxtyping import Float

from osae_theory.claims.base import Claim, Finding, fewer
from osae_theory.claims.ray_instances import (
    NO_NOISE,
    ONE_SPARSE,
    Instance,
    draw_instance,
    energies_of,
)
from osae_theory.minimisers.alternating import best_codes
from osae_theory.minimisers.losses import nested_loss
from osae_theory.minimisers.rays import best_encoder_loss, cluster_energies, ray_minimiser
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems.geometry import gaussian_columns

_SLACK = 1e-10


def set_partitions(K: int) -> list[list[int]]:
    """Return every partition of K atoms, a block as the whole number with its atoms' bits."""
    partitions: list[list[int]] = [[]]
    for k in range(K):
        bit = 1 << k
        partitions = [
            grown
            for blocks in partitions
            for grown in (
                *([*blocks[:b], blocks[b] | bit, *blocks[b + 1 :]] for b in range(len(blocks))),
                [*blocks, bit],
            )
        ]
    return partitions


def minimum_over_partitions(instance: Instance) -> float:
    """Return ||X||^2 - max over set partitions of sum_j w_j lambda_(j), one after another."""
    problem, law = instance
    energies = energies_of(problem)
    captured = cluster_energies(problem.dictionary, energies)
    values = (
        law.survival[: len(blocks)] @ -np.sort(-captured[blocks])
        for blocks in set_partitions(problem.K)
    )
    return float(energies.sum() - max(values))


def minimum_over_assignments(X: Float[np.ndarray, "d N"], law: PrefixLaw) -> tuple[float, int]:
    """Return min L_ND over every map of samples to slots, and how many maps there are.

    A slot's atom is the first singular vector of its samples. Samples of one ray may go to
    different slots: nothing is assumed of the data but m = 1.
    """
    N = X.shape[1]
    moments = np.einsum("dn,en->nde", X, X)
    members = (np.arange(1 << N)[:, None] >> np.arange(N)) & 1
    tops = np.linalg.eigvalsh(np.tensordot(members.astype(float), moments, axes=1))[:, -1]
    slots = np.array(list(product(range(law.K), repeat=N)))
    saved = np.zeros(len(slots))
    for j, w in enumerate(law.survival):
        saved += w * tops[(slots == j) @ (1 << np.arange(N))]
    return float(np.vdot(X, X) - saved.max()), len(slots)


def draw_small(rng: np.random.Generator) -> Instance:
    """Return a random instance of 2 or 3 atoms and at most 6 samples, now and then with gaps.

    One law in three misses some prefixes: the statement holds for those too.
    """
    problem, law = draw_instance(rng, most=3)
    if rng.random() < 1 / 3:
        kept = law.probabilities * (rng.random(law.K) < 0.5)
        law = PrefixLaw(kept / kept.sum()) if kept.any() else PrefixLaw.full(law.K)
    return problem, law


def fixed_dictionary_error(
    instance: Instance, rng: np.random.Generator, minimum: float
) -> tuple[float, float]:
    """Return the error of the formula for a random D, and how far that D is below the minimum."""
    problem, law = instance
    D = gaussian_columns(problem.d, law.K, rng)
    by_formula = best_encoder_loss(D, problem.dictionary, energies_of(problem), law)
    codes = best_codes(problem.data, D, 1, law)
    by_codes = nested_loss(problem.data, codes, D, law)
    return abs(by_formula - by_codes), minimum - by_formula


def check(n_examples: int) -> Finding:
    """Compare the minimum by rays, by partitions and by exhaustive assignment of the samples."""
    n_examples = fewer(n_examples, 4)
    rng = np.random.default_rng(35)
    rows, n_maps = [], 0
    for _ in range(n_examples):
        instance = draw_small(rng)
        problem, law = instance
        scale = float(np.vdot(problem.data, problem.data))
        exact, maps = minimum_over_assignments(problem.data, law)
        found = ray_minimiser(problem.data, law)
        partitions = minimum_over_partitions(instance)
        formula, below = fixed_dictionary_error(instance, rng, exact)
        rows.append(
            np.array([abs(found.loss - exact), abs(partitions - exact), formula, below]) / scale
        )
        n_maps += maps
    by_rays, by_partitions, by_formula, below = (float(x) for x in np.max(rows, axis=0))
    error = max(by_rays, by_partitions, by_formula)
    return Finding(
        confirmed=error < _SLACK and below < _SLACK,
        certificate={
            "maps of samples to slots compared": n_maps,
            "largest |minimum by rays - exhaustive|, relative to ||X||^2": by_rays,
            "largest |minimum by partitions - exhaustive|, relative to ||X||^2": by_partitions,
            "largest error of the formula for fixed D, relative to ||X||^2": by_formula,
            "largest (minimum - loss of a random D), relative to ||X||^2": below,
        },
        error=error,
        n_examples=n_examples,
    )


RAY_MINIMUM = Claim(
    id="T3e",
    title="exact global minimum, m = 1",
    source="this project",
    statement=(
        "If X = D* Y* with 1-sparse columns, min L_ND = ||X||^2 - max over set partitions of the"
        " atoms, into at most K blocks, of sum_j w_j lambda_(j), with lambda_(1) >= lambda_(2) >="
        " ... the top eigenvalues of the blocks' sum_k e_k d_k* d_k*^T; for fixed D the minimum"
        " over E is sum_k e_k (1 - max_j w_j <d_j,d_k*>^2). Every law."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "A sample with code z in slot j loses ||x||^2 - 2 w_j z <d_j,x> + w_j z^2, least at"
        " z = <d_j,x>: ||x||^2 - w_j <d_j,x>^2, which gives the formula for fixed D. The best d_j"
        " is a top eigenvector. In the shares e_jk of a ray's energy sum_j w_j lambda_max(M_j) is"
        " convex, so it is largest where each ray is whole, and sorted blocks are best by"
        " rearrangement. The check assigns every sample to every slot,"
        " rays unknown, on random instances of 2 or 3 atoms and up to 6 samples."
    ),
    check=check,
    assumptions=(NO_NOISE, ONE_SPARSE),
)
