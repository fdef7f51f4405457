"""T3: with one atom a sample, L_ND recovers D* by energy whenever mu < p_K.

Statement. X = D* Y* with 1-sparse nonzero columns, every atom used, energies distinct, a law of
full support, and coherence mu(D*) < p_K = P(l = K). Then the minimisers of L_ND are exactly D*,
its atoms in descending energy, up to their signs.

Source: claim T3; it is what m = 1 leaves of Wang et al. (2025), Theorem 3.1. Verdict: holds.
Tight: for equal energies mu < p_K is necessary too (T3b); for others T3d and B1 ask for less.

>>> finding = RAY_RECOVERY.check(200)
>>> finding.confirmed, finding.error < 1e-12
(True, True)
>>> finding.certificate["of which recovered in energy order"]
200
"""

import numpy as np

from osae_theory.claims.base import Claim, Finding, fewer
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
from osae_theory.minimisers.rays import cluster_energies
from osae_theory.problems import coherence

ASSUMPTIONS = (NO_NOISE, ONE_SPARSE, ALL_USED, FULL_SUPPORT, DISTINCT_ENERGIES, LOW_COHERENCE)
_SLACK = 1e-12


def bound_failures(instance: Instance) -> int:
    """Return for how many sets of atoms lambda_max exceeds max e_k + mu (sum of the others)."""
    problem, _ = instance
    D, energies = problem.dictionary, energies_of(problem)
    members = (np.arange(1 << energies.size)[:, None] >> np.arange(energies.size)) & 1
    total, largest = members @ energies, (members * energies).max(axis=1)
    bound = largest + coherence(D) * (total - largest)
    return int((cluster_energies(D, energies) > bound + _SLACK * energies.sum()).sum())


def check(n_examples: int) -> Finding:
    """Recover D* from the exact minimiser of n_examples instances, and test the proof's lemma."""
    n_examples = fewer(n_examples, 4)
    drawn = list(instances(n_examples, ASSUMPTIONS, seed=3))
    errors = np.array([recovery_error(instance) for instance in drawn])
    failures = sum(bound_failures(instance) for instance in drawn)
    recovered = int((errors < RECOVERED).sum())
    return Finding(
        confirmed=recovered == len(drawn) == n_examples and failures == 0,
        certificate={
            "instances that meet the hypotheses": len(drawn),
            "of which recovered in energy order": recovered,
            "of which K > d": sum(problem.K > problem.d for problem, _ in drawn),
            "largest distance of an atom from D*": float(errors.max()),
            "clusters where lambda_max > max e_k + mu (sum of the others)": failures,
        },
        error=float(errors.max()),
        n_examples=n_examples,
    )


RAY_RECOVERY = Claim(
    id="T3",
    title="exact ordered recovery, m = 1",
    source="this project",
    statement=(
        "If X = D* Y* with 1-sparse nonzero columns, every atom used, distinct energies, a law of"
        " full support and mu(D*) < p_K, the minimisers of L_ND are exactly D* in descending"
        " energy, up to signs."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "A sample in slot j is best coded by <d_j,x>, so with e_jk the energy of atom k that slot j"
        " serves, sum_j e_jk = e_k, min L_ND = ||X||^2 - max sum_j w_j lambda_max(M_j) with"
        " M_j = sum_k e_jk d_k* d_k*^T. The non-zero spectrum of M_j is that of the matrix"
        " sqrt(e_jk e_ji) <d_k*,d_i*>, whose entries are at most those of"
        " (1 - mu) diag(e_j) + mu sqrt(e_j) sqrt(e_j)^T; so lambda_max(M_j) <= max_k e_jk"
        " + mu (sum of the others) (Perron and Frobenius, then Weyl).\n"
        "Call the atom of most energy in a slot its leader. An atom that leads none earns at most"
        " mu e_k < p_K e_k, and leaves a slot without a leader of its own, where it would have"
        " earned at least p_K e_k. So at the maximum each atom leads one slot, all its energy is"
        " there, since elsewhere it earns at most mu w_j, and rearrangement sorts the slots. The"
        " minimisers found are global: every map of rays to slots is compared, and convexity in"
        " e_jk makes maps enough.\n"
        "Full support is needed for the order only: where w_j = w_{j+1} two orders tie."
    ),
    check=check,
    assumptions=ASSUMPTIONS,
    references=("Rippel, Gelbart & Adams (2014), for orthonormal D*",),
)
