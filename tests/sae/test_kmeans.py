import math

import numpy as np
import pytest

from osae_theory.errors import InputError
from osae_theory.sae import kmeans_atoms
from osae_theory.seeds import Axis, generator


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def by_loops(x, K, seed, n_samples, n_iterations):
    """Spherical k-means as it is defined, sample by sample."""
    places = generator(seed, Axis.KMEANS).permutation(len(x))[:n_samples]
    rows = [unit(x[i]) for i in places if np.linalg.norm(x[i]) > 0]
    atoms = [row.copy() for row in rows[:K]]
    for _ in range(n_iterations):
        sums = [np.zeros(x.shape[1]) for _ in range(K)]
        for row in rows:
            cosines = [math.fsum(row * atom) for atom in atoms]
            sums[cosines.index(max(cosines))] += row
        for k, total in enumerate(sums):
            if np.linalg.norm(total) > 0:
                atoms[k] = unit(total)
    return np.array(atoms)


@pytest.mark.parametrize(("n_samples", "n_iterations"), [(60, 1), (60, 3), (25, 30)])
def test_the_means_are_those_of_the_definition(n_samples, n_iterations):
    x = np.random.default_rng(0).standard_normal((80, 4))
    x[::5] = 0
    found = kmeans_atoms(x, 6, 2, n_samples=n_samples, n_iterations=n_iterations)
    np.testing.assert_allclose(found, by_loops(x, 6, 2, n_samples, n_iterations), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-12)


def test_well_separated_directions_are_found_whatever_their_lengths():
    rng = np.random.default_rng(1)
    truth = np.eye(5)
    x = truth[rng.integers(5, size=400)] * rng.uniform(0.1, 9, (400, 1))
    x += 0.01 * rng.standard_normal(x.shape)
    best = max(
        (kmeans_atoms(x, 5, seed) for seed in range(20)),
        key=lambda atoms: (x @ atoms.T).max(axis=1).sum(),
    )
    np.testing.assert_allclose(np.sort((best @ truth.T).max(axis=1)), 1, atol=1e-2)
    assert sorted((best @ truth.T).argmax(axis=1)) == [0, 1, 2, 3, 4]


def test_the_seed_decides_and_the_unit_of_the_data_does_not():
    x = np.random.default_rng(0).standard_normal((300, 6))
    assert np.array_equal(kmeans_atoms(x, 8, 1), kmeans_atoms(x, 8, 1))
    assert np.array_equal(kmeans_atoms(x, 8, 1), kmeans_atoms(4 * x, 8, 1))
    assert not np.array_equal(kmeans_atoms(x, 8, 1), kmeans_atoms(x, 8, 2))


def test_a_cluster_that_is_left_empty_keeps_its_direction():
    # Two equal samples: the second start loses every sample to the first.
    x = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    for seed in range(6):
        found = kmeans_atoms(x, 3, seed)
        assert sorted(map(tuple, found)) == [(0.0, 1.0), (1.0, 0.0), (1.0, 0.0)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: kmeans_atoms(x, 7, 0), "k-means on 6 samples: expected at least K = 7"),
        (lambda x: kmeans_atoms(x, 3, 0, n_samples=2), "k-means on 2 samples"),
        (lambda x: kmeans_atoms(x, 0, 0), "n_atoms = 0"),
        (lambda x: kmeans_atoms(x, 2, -1), "seed = -1"),
        (lambda x: kmeans_atoms(x, 2, 0, n_iterations=0), "n_iterations = 0"),
        (lambda x: kmeans_atoms(x * np.nan, 2, 0), "x"),
    ],
)
def test_what_has_no_clusters_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(np.vstack([np.eye(6), np.zeros((3, 6))]))
