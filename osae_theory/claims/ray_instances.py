"""Instances with one atom a sample (m = 1), their hypotheses, and whether L_ND recovers D*.

An instance of the claims T3, T3a, T3d, T3e and T3f is a pair (problem, law): a
`SparseCodingProblem` with 1-sparse codes, and the `PrefixLaw`.
"""

from collections.abc import Iterator, Sequence
from itertools import count, islice

import numpy as np
from jaxtyping import Float

from osae_theory.claims.base import Assumption
from osae_theory.claims.exact import meets
from osae_theory.minimisers.rays import RayMinimiser, ray_minimiser
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import SparseCodingProblem, coherence, problem_from_arrays
from osae_theory.problems.geometry import gaussian_columns, unit_columns
from osae_theory.seeds import Axis, generator

Instance = tuple[SparseCodingProblem, PrefixLaw]

RECOVERED = 1e-6
"""Largest distance of an atom from the true one, up to sign, that counts as recovery."""


def energies_of(problem: SparseCodingProblem) -> Float[np.ndarray, " K"]:
    """Return e_j = ||Y*_j.||^2, the energy of each atom."""
    return (problem.codes**2).sum(axis=1)


def used_in_order(problem: SparseCodingProblem) -> list[int]:
    """Return the atoms that some sample uses, from 0, in descending energy."""
    energies = energies_of(problem)
    return [int(k) for k in np.argsort(-energies, kind="stable") if energies[k] > 0]


ONE_SPARSE = Assumption(
    "every sample uses exactly one atom",
    lambda instance: bool((np.count_nonzero(instance[0].codes, axis=0) == 1).all()),
)
NO_NOISE = Assumption("X = D* Y* without noise", lambda instance: instance[0].noise is None)
ALL_USED = Assumption(
    "every atom is used", lambda instance: bool((energies_of(instance[0]) > 0).all())
)
FULL_SUPPORT = Assumption(
    "every prefix length 1..K has positive probability",
    lambda instance: instance[1].K == instance[0].K and instance[1].has_full_support,
)
DISTINCT_ENERGIES = Assumption(
    "the energies of the used atoms are distinct",
    lambda instance: bool(
        (np.diff(energies_of(instance[0])[used_in_order(instance[0])]) < 0).all()
    ),
)
LOW_COHERENCE = Assumption(
    "mu(D*) < p_K = P(l = K)",
    lambda instance: bool(coherence(instance[0].dictionary) < instance[1].probabilities[-1]),
)


def draw_instance(
    rng: np.random.Generator, n_unused: int = 0, decay: float = 1.0, most: int = 5
) -> Instance:
    """Return a random instance with K = 2..most atoms, which may exceed d, and a random law.

    Parameters
    ----------
    rng : np.random.Generator
        Source of everything.
    n_unused : int
        How many atoms, at random, no sample uses; fewer than K.
    decay : float
        Factor, in (0, 1], by which the codes of an atom are smaller than those of the one
        before, so that energies spread.
    most : int
        Largest K.
    """
    K = int(rng.integers(max(2, n_unused + 1), most + 1))
    d = int(rng.integers(2, most + 2))
    atoms = gaussian_columns(d, K, rng)
    if d >= K:
        # Near an orthonormal set, so that low coherence is not rare.
        atoms = unit_columns(np.eye(d)[:, :K] + rng.uniform(0, 1) * atoms)
    used = rng.permutation(K)[n_unused:]
    atom_of_sample = np.append(used, rng.choice(used, size=int(rng.integers(1, 4))))
    codes = np.zeros((K, atom_of_sample.size))
    values = rng.uniform(0.3, 1.5, atom_of_sample.size) * decay**atom_of_sample
    signs = rng.choice([-1, 1], atom_of_sample.size)
    codes[atom_of_sample, np.arange(atom_of_sample.size)] = signs * values
    # No probability so small that two orders differ by less than the arithmetic sees.
    law = PrefixLaw(0.95 * rng.dirichlet(np.full(K, rng.choice([0.5, 2.0]))) + 0.05 / K)
    return problem_from_arrays(atoms, codes), law.mixed_with_full(float(rng.uniform(0, 0.95)))


def instances(
    n: int,
    assumptions: Sequence[Assumption],
    seed: int,
    n_unused: int = 0,
    decay: float = 1.0,
    most: int = 5,
) -> Iterator[Instance]:
    """Yield exactly n random instances that meet every assumption, drawing until there are."""
    drawn = (
        draw_instance(generator(seed, Axis.VALUES, index), n_unused, decay, most)
        for index in count()
    )
    yield from islice((instance for instance in drawn if meets(assumptions, instance)), n)


def recovery_error(instance: Instance, minimiser: RayMinimiser | None = None) -> float:
    """Return how far the exact minimiser's atoms are from D*, by energy and up to signs.

    Parameters
    ----------
    instance : (problem, law)
        Without noise, m = 1.
    minimiser : RayMinimiser, optional
        The global minimiser; found when not given.

    Returns
    -------
    float
        The largest ||d_k - (+-)d_k*|| over the used atoms, where d_k stands in slot k; infinite
        unless every minimiser gives the k-th ray by energy slot k to itself.
    """
    problem, law = instance
    found = ray_minimiser(problem.data, law) if minimiser is None else minimiser
    order = used_in_order(problem)
    if found.maps != (tuple(range(len(order))),):
        return float("inf")
    true, slots = problem.dictionary[:, order], found.dictionary[:, : len(order)]
    apart = [np.linalg.norm(slots - sign * true, axis=0) for sign in (1, -1)]
    return float(np.minimum(*apart).max())
