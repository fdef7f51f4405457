import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.problems import (
    DICTIONARIES,
    ClusteredDictionary,
    CoherentDictionary,
    Dictionary,
    DiracHadamard,
    EquiangularFrame,
    GaussianDictionary,
    GroupedDictionary,
    HarmonicFrame,
    OrthonormalDictionary,
    OrthonormalUnion,
    SpreadDictionary,
    VandermondeFrame,
    check_dictionary,
    coherence,
    welch_bound,
)

EXAMPLES = {
    "gaussian": GaussianDictionary(5, 9),
    "orthonormal": OrthonormalDictionary(5, 3),
    "orthonormal_union": OrthonormalUnion(4, 3),
    "dirac_hadamard": DiracHadamard(4),
    "harmonic": HarmonicFrame(4, 7),
    "vandermonde": VandermondeFrame(4, 6),
    "equiangular": EquiangularFrame(7, 28),
    "clustered": ClusteredDictionary(4, 8, 3, 0.2),
    "coherent": CoherentDictionary(4, 7, 0.7),
    "grouped": GroupedDictionary(4, 7, 3, 0.6),
    "spread": SpreadDictionary(4, 7, 5),
}


def test_the_registry_holds_every_kind_under_its_name():
    assert set(DICTIONARIES) == set(EXAMPLES)
    for name, example in EXAMPLES.items():
        assert DICTIONARIES[name] is type(example)
        assert isinstance(example, Dictionary)


def test_the_registry_cannot_be_changed():
    with pytest.raises(TypeError):
        DICTIONARIES["mine"] = GaussianDictionary  # pyright: ignore[reportIndexIssue]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_kind_draws_unit_columns_of_its_shape(name):
    kind = EXAMPLES[name]
    D = kind.draw(np.random.default_rng(3))
    assert D.shape == (kind.d, kind.K)
    assert D.dtype == np.float64
    check_dictionary(D)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_generator_state_draws_the_same_bits(name):
    first = EXAMPLES[name].draw(np.random.default_rng(3))
    np.testing.assert_array_equal(first, EXAMPLES[name].draw(np.random.default_rng(3)))


@pytest.mark.parametrize(
    "name",
    ["gaussian", "orthonormal", "orthonormal_union", "clustered", "coherent", "grouped", "spread"],
)
def test_random_kinds_change_with_the_generator(name):
    first = EXAMPLES[name].draw(np.random.default_rng(3))
    assert not np.allclose(first, EXAMPLES[name].draw(np.random.default_rng(4)))


def test_descriptions_are_equal_and_hash_alike_when_their_fields_are():
    assert GaussianDictionary(3, 5) == GaussianDictionary(3, 5)
    assert hash(CoherentDictionary(3, 5, 0.9)) == hash(CoherentDictionary(3, 5, 0.9))
    assert GaussianDictionary(3, 5) != OrthonormalDictionary(5, 3)


def test_gaussian_atoms_have_the_mean_squared_cosine_of_uniform_directions():
    D = GaussianDictionary(10, 2000).draw(np.random.default_rng(0))
    cosines = (D[:, :1000] * D[:, 1000:]).sum(axis=0)
    # E cos^2 = 1/d; its variance is at most E cos^4 = 3 / (d (d + 2)).
    assert abs((cosines**2).mean() - 0.1) < 5 * math.sqrt(3 / 120 / 1000)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_orthonormal_atoms_are_orthonormal(d, K, seed):
    d, K = max(d, K), min(d, K)
    D = OrthonormalDictionary(d, K).draw(np.random.default_rng(seed))
    np.testing.assert_allclose(D.T @ D, np.eye(K), atol=1e-13)


def test_orthonormal_dictionary_refuses_more_atoms_than_dimensions():
    with pytest.raises(InputError, match="K = 5: expected at most d = 4"):
        OrthonormalDictionary(4, 5)


def test_a_union_is_of_orthonormal_and_different_bases():
    D = OrthonormalUnion(5, 3).draw(np.random.default_rng(1))
    bases = [D[:, i * 5 : (i + 1) * 5] for i in range(3)]
    for basis in bases:
        np.testing.assert_allclose(basis.T @ basis, np.eye(5), atol=1e-13)
    assert not np.allclose(bases[0], bases[1])
    assert not np.allclose(bases[1], bases[2])


@given(
    st.integers(2, 7),
    st.integers(2, 10),
    st.integers(2, 7),
    st.floats(1e-6, math.pi / 2),
    st.integers(0, 2**32 - 1),
)
def test_cluster_atoms_are_pairwise_at_the_given_angle(d, K, size, angle, seed):
    size = min(size, d, K)
    D = ClusteredDictionary(d, K, size, angle).draw(np.random.default_rng(seed))
    check_dictionary(D)
    # |a - b| = 2 sin(angle / 2) keeps its digits where the cosine loses them.
    for i in range(size):
        for j in range(i):
            chord = np.linalg.norm(D[:, i] - D[:, j])
            assert chord == pytest.approx(2 * math.sin(angle / 2), abs=1e-14)


@pytest.mark.parametrize("K", [3, 4, 6])
def test_atoms_outside_the_cluster_are_orthonormal_and_orthogonal_to_it_when_they_fit(K):
    D = ClusteredDictionary(6, K, 3, 0.3).draw(np.random.default_rng(0))
    np.testing.assert_allclose(D[:, 3:].T @ D[:, 3:], np.eye(K - 3), atol=1e-13)
    np.testing.assert_allclose(D[:, :3].T @ D[:, 3:], 0.0, atol=1e-13)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((4, 8, 1, 0.3), "cluster_size = 1"),
        ((4, 8, 5, 0.3), "cluster_size = 5: expected at most d = 4"),
        ((4, 3, 4, 0.3), "cluster_size = 4: expected at most K = 3"),
        ((4, 8, 2, 0.0), r"angle = 0\.0"),
        ((4, 8, 2, 1.6), r"angle = 1\.6"),
        ((4, 8, 2, math.nan), "angle = nan"),
        ((0, 8, 2, 0.3), "d = 0"),
        ((4, 0, 2, 0.3), "K = 0"),
    ],
)
def test_clustered_dictionary_refuses_bad_fields(fields, message):
    with pytest.raises(InputError, match=message):
        ClusteredDictionary(*fields)


@pytest.mark.theory
@pytest.mark.parametrize(
    ("d", "K", "target"),
    [
        (6, 4, 0.0),
        (6, 4, 0.3),
        (5, 5, 0.999),
        (1, 1, 0.0),
        (2, 2, 0.5),
        (2, 3, 0.5),
        (2, 3, 0.8),
        (3, 6, 1 / math.sqrt(5)),
        (5, 10, 1 / 3),
        (16, 32, 0.25),
        (16, 32, 0.9),
        (80, 100, 0.2),
        (3, 5, 1 - 1e-9),
        (3, 5, 1 - 1e-16),
    ],
)
def test_the_prescribed_coherence_is_met(d, K, target):
    D = CoherentDictionary(d, K, target).draw(np.random.default_rng(0))
    check_dictionary(D)
    assert D.shape == (d, K)
    assert abs(coherence(D) - target) <= 1.001e-12


@given(st.integers(2, 5), st.integers(2, 8), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_any_coherence_that_lines_of_the_plane_reach_can_be_prescribed(d, K, share, seed):
    # K lines of the plane at equal angles; the search may stop a little above them.
    low = math.cos(math.pi / K) + 0.03
    target = low + share * (0.999 - low)
    D = CoherentDictionary(d, K, target).draw(np.random.default_rng(seed))
    check_dictionary(D)
    assert abs(coherence(D) - target) <= 1e-12


def test_only_one_atom_of_orthonormal_ones_is_turned():
    D = CoherentDictionary(6, 5, 0.4).draw(np.random.default_rng(2))
    cosines = np.sort(np.abs(D.T @ D)[np.triu_indices(5, k=1)])
    np.testing.assert_allclose(cosines[:-1], 0.0, atol=1e-14)


def test_a_coherence_that_the_search_does_not_reach_is_refused_with_what_it_reached():
    # Four lines of the plane cannot do better than cos(pi / 4), well above the Welch bound.
    assert welch_bound(2, 4) < 0.6
    with pytest.raises(InputError, match=r"at least 0\.707107.*Welch bound is 0\.57735"):
        CoherentDictionary(2, 4, 0.6).draw(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((2, 3, 0.4), r"coherence = 0\.4: expected at least the Welch bound 0\.5"),
        ((4, 3, -0.1), r"coherence = -0\.1"),
        ((4, 3, 1.0), r"coherence = 1\.0"),
        ((4, 3, math.nan), "coherence = nan"),
        ((4, 1, 0.5), r"coherence = 0\.5: expected 0 for a single atom"),
        ((1, 3, 0.9), "Welch bound 1 "),
        ((0, 3, 0.9), "d = 0"),
        ((3, 0, 0.9), "K = 0"),
    ],
)
def test_coherent_dictionary_refuses_bad_fields(fields, message):
    with pytest.raises(InputError, match=message):
        CoherentDictionary(*fields)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (GaussianDictionary, (0, 3), "d = 0"),
        (GaussianDictionary, (3, 0), "K = 0"),
        (OrthonormalDictionary, (0, 1), "d = 0"),
        (OrthonormalDictionary, (1, 0), "K = 0"),
        (OrthonormalUnion, (0, 2), "d = 0"),
        (OrthonormalUnion, (2, 0), "n_bases = 0"),
        (DiracHadamard, (0,), "d = 0"),
    ],
)
def test_sizes_below_1_are_refused(kind, fields, message):
    with pytest.raises(InputError, match=f"{message}: expected a whole number of at least 1"):
        kind(*fields)
