import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles

from osae_theory.errors import InputError
from osae_theory.metrics.coverage import cluster_span, clusters, feature_uniqueness
from osae_theory.metrics.matching import match

seeds = st.integers(0, 2**32 - 1)


def clustered(d, sizes, spread, rng):
    """Return unit atoms in clusters about orthonormal centres."""
    centres, _ = np.linalg.qr(rng.standard_normal((d, len(sizes))))
    atoms = np.repeat(centres, sizes, axis=1)
    atoms += spread * rng.standard_normal(atoms.shape) / np.sqrt(d)
    return atoms / np.linalg.norm(atoms, axis=0)


def components_in_loops(D, threshold):
    """Return the components as sets, by merging what is linked until nothing changes."""
    unit = D / np.linalg.norm(D, axis=0)
    groups = [{j} for j in range(D.shape[1])]
    merged = True
    while merged:
        merged = False
        for a in range(len(groups)):
            for b in range(a):
                if any(
                    abs(unit[:, i] @ unit[:, j]) > threshold for i in groups[a] for j in groups[b]
                ):
                    groups[b] |= groups.pop(a)
                    merged = True
                    break
            if merged:
                break
    return groups


def span_by_angles(D_true, D, partners, threshold):
    total = 0.0
    for group in components_in_loops(D_true, threshold):
        own = D_true[:, sorted(group)]
        latents = [partners[j] for j in sorted(group) if partners[j] >= 0]
        rank = np.linalg.matrix_rank(own)
        if len(group) > 1 and rank == len(D_true):
            return math.nan
        if latents:
            angles = subspace_angles(own, D[:, latents])
            total += len(group) * np.sum(np.cos(angles) ** 2) / rank
    return total / D_true.shape[1]


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    spread=st.floats(0.05, 1.5),
    lost=st.integers(0, 3),
    seed=seeds,
)
def test_the_recovered_spans_equal_those_by_principal_angles(sizes, spread, lost, seed):
    rng = np.random.default_rng(seed)
    d, K = 8, sum(sizes)
    D_true = clustered(d, sizes, spread, rng)
    off = np.abs(np.abs(D_true.T @ D_true) - 0.5)
    assume(off.min() > 1e-6)
    D = D_true + 0.5 * rng.standard_normal((d, K))
    partners = rng.permutation(K)
    partners[:lost] = -1
    found = cluster_span(D_true, D, partners)
    np.testing.assert_allclose(found, span_by_angles(D_true, D, partners, 0.5), rtol=1e-9)


@given(K=st.integers(1, 12), d=st.integers(2, 6), threshold=st.floats(0.1, 0.9), seed=seeds)
def test_clusters_equal_plain_merging(K, d, threshold, seed):
    D = np.random.default_rng(seed).standard_normal((d, K))
    found = clusters(D, threshold)
    groups = {frozenset(np.flatnonzero(found == group)) for group in range(found.max() + 1)}
    assert groups == {frozenset(group) for group in components_in_loops(D, threshold)}


@settings(max_examples=20)
@given(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=2), seed=seeds)
def test_atoms_mixed_within_their_cluster_span_it_and_atoms_mixed_across_do_not(sizes, seed):
    rng = np.random.default_rng(seed)
    sizes = [*sizes, 2, 2]
    D_true = clustered(20, sizes, 0.3, rng)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    assert np.array_equal(clusters(D_true)[:, None] == clusters(D_true), labels[:, None] == labels)
    mixing = rng.standard_normal((len(labels), len(labels))) * (labels[:, None] == labels)
    assume(np.linalg.cond(mixing) < 1e3)
    partners = np.arange(len(labels))
    assert cluster_span(D_true, D_true @ mixing, partners) == pytest.approx(1, abs=1e-9)
    swapped = partners.copy()
    swapped[[-1, -3]] = partners[[-3, -1]]
    # Two clusters of two lose about a half each.
    loss = 1 - cluster_span(D_true, D_true @ mixing, swapped)
    assert loss > 1 / len(labels)


@given(K=st.integers(1, 6), seed=seeds)
def test_without_clusters_the_span_is_the_mean_squared_cosine(K, seed):
    rng = np.random.default_rng(seed)
    D_true = np.linalg.qr(rng.standard_normal((8, K)))[0]
    D = rng.standard_normal((8, K))
    matching = match(D, D_true)
    found = cluster_span(D_true, D, np.argsort(matching.permutation))
    assert found == pytest.approx(np.mean(matching.similarities**2), rel=1e-12)


def test_latents_that_are_too_few_or_too_alike_span_part_of_a_cluster():
    D_true = np.array([[1.0, 0.8], [0.0, 0.6], [0.0, 0.0]])
    assert cluster_span(D_true, D_true, [0, 1]) == pytest.approx(1)
    assert cluster_span(D_true, D_true, [0, -1]) == pytest.approx(0.5)
    assert cluster_span(D_true, D_true, [0, 0]) == pytest.approx(0.5)
    assert cluster_span(D_true, D_true + 1e-9, [0, 1]) == pytest.approx(1)
    assert cluster_span(D_true, 0 * D_true, [0, 1]) == 0
    assert cluster_span(D_true, D_true[:, :0], [-1, -1]) == 0


def test_a_cluster_that_spans_the_space_says_nothing():
    D_true = np.array([[1.0, 0.8], [0.0, 0.6]])
    assert math.isnan(cluster_span(D_true, D_true, [0, 1]))
    assert cluster_span(D_true, D_true, [0, 1], threshold=0.9) == pytest.approx(1)
    assert cluster_span(np.ones((1, 1)), np.ones((1, 1)), [0]) == 1


def test_what_does_not_fit_the_true_dictionary_is_refused():
    D = np.eye(3)
    with pytest.raises(InputError, match="partners has length 2: expected 3"):
        cluster_span(D, D, [0, 1])
    with pytest.raises(InputError, match="expected latents from 0 to 2, or -1"):
        cluster_span(D, D, [0, 1, 3])
    with pytest.raises(InputError, match=r"threshold = 1\.5"):
        cluster_span(D, D, [0, 1, 2], threshold=1.5)
    with pytest.raises(InputError, match="the number of true atoms = 0"):
        cluster_span(D[:, :0], D, np.zeros(0, int))


def uniqueness_in_loops(D, D_true):
    nearest = set()
    for atom in D.T:
        scores = [abs(atom @ true) / np.linalg.norm(true) for true in D_true.T]
        nearest.add(int(np.argmax(scores)))
    return len(nearest) / D.shape[1]


@given(d=st.integers(1, 5), K=st.integers(1, 8), K_true=st.integers(1, 8), seed=seeds)
def test_uniqueness_equals_plain_loops(d, K, K_true, seed):
    rng = np.random.default_rng(seed)
    D, D_true = rng.standard_normal((d, K)), rng.standard_normal((d, K_true))
    assume(d > 1)  # on a line all atoms are equally near
    assert feature_uniqueness(D, D_true) == uniqueness_in_loops(D, D_true)


def test_latents_that_share_a_nearest_atom_count_once_and_zero_latents_have_none():
    D_true = np.eye(3)
    assert feature_uniqueness(D_true[:, [2, 0, 1]] * -3, D_true) == 1
    assert feature_uniqueness(D_true[:, [1, 1, 1, 0]], D_true) == 0.5
    assert feature_uniqueness(np.zeros((3, 4)), D_true) == 0
    assert feature_uniqueness(D_true * [1, 0, 0], D_true) == pytest.approx(1 / 3)


def test_dictionaries_without_atoms_have_no_uniqueness():
    with pytest.raises(InputError, match="the number of atoms of D = 0"):
        feature_uniqueness(np.zeros((3, 0)), np.eye(3))
    with pytest.raises(InputError, match="the number of atoms of D_true = 0"):
        feature_uniqueness(np.eye(3), np.zeros((3, 0)))
