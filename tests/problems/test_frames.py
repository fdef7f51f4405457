import math
from itertools import combinations

import numpy as np
import pytest

from osae_theory.errors import InputError
from osae_theory.problems import (
    DiracHadamard,
    EquiangularFrame,
    HarmonicFrame,
    VandermondeFrame,
    check_dictionary,
    coherence,
    welch_bound,
)

RNG = np.random.default_rng(0)
EQUIANGULAR = [(2, 3), (3, 4), (6, 7), (3, 6), (7, 14), (9, 18), (15, 30), (7, 28)]


def smallest_singular_value(D, size):
    """Over all subsets of `size` columns; 0 iff some subset is dependent."""
    subsets = np.array(list(combinations(range(D.shape[1]), size)))
    stacked = D[:, subsets].transpose(1, 0, 2)
    return np.linalg.svd(stacked, compute_uv=False)[:, -1].min()


def spark(D):
    """Least number of dependent columns, by rank over all subsets."""
    for size in range(1, D.shape[1] + 1):
        if size > D.shape[0] or smallest_singular_value(D, size) < 1e-10:
            return size
    return math.inf


def integer_harmonic_frame(d, K):
    angles = np.outer(np.arange(1, d // 2 + 1), 2 * np.pi * np.arange(K) / K)
    return math.sqrt(2 / d) * np.vstack([np.cos(angles), np.sin(angles)])


@pytest.mark.theory
@pytest.mark.parametrize("d", range(2, 7))
@pytest.mark.parametrize("extra", [0, 1, 2, 4, 6])
def test_any_d_atoms_of_a_harmonic_frame_are_independent(d, extra):
    D = HarmonicFrame(d, d + extra).draw(RNG)
    assert smallest_singular_value(D, d) > 1e-4


@pytest.mark.theory
@pytest.mark.parametrize(("K", "expected"), [(6, 3), (8, 4)])
def test_integer_frequencies_would_not_give_full_spark_at_d_4(K, expected):
    assert spark(integer_harmonic_frame(4, K)) == expected
    assert spark(HarmonicFrame(4, K).draw(RNG)) == 5


@pytest.mark.theory
@pytest.mark.parametrize(("d", "K"), [(1, 4), (2, 6), (3, 8), (4, 9), (5, 9)])
def test_any_d_atoms_of_a_vandermonde_frame_are_independent(d, K):
    assert smallest_singular_value(VandermondeFrame(d, K).draw(RNG), d) > 1e-5


def test_vandermonde_frames_are_ill_conditioned():
    smallest = [smallest_singular_value(VandermondeFrame(d, d).draw(RNG), d) for d in (5, 10, 20)]
    assert smallest[0] > 20 * smallest[1] > 400 * smallest[2]


@pytest.mark.parametrize(("d", "K"), [(1, 3), (2, 2), (4, 7), (5, 5), (80, 100)])
def test_a_harmonic_frame_is_tight_and_has_unit_columns(d, K):
    D = HarmonicFrame(d, K).draw(RNG)
    check_dictionary(D)
    np.testing.assert_allclose(D @ D.T, K / d * np.eye(d), atol=1e-12)


def test_a_harmonic_frame_refuses_fewer_atoms_than_dimensions():
    with pytest.raises(InputError, match="K = 3: expected at least d = 4"):
        HarmonicFrame(4, 3)


@pytest.mark.theory
@pytest.mark.parametrize(("d", "K"), EQUIANGULAR)
def test_equiangular_cosines_all_equal_the_welch_bound(d, K):
    D = EquiangularFrame(d, K).draw(RNG)
    assert D.shape == (d, K)
    check_dictionary(D)
    cosines = np.abs(D.T @ D)[~np.eye(K, dtype=bool)]
    np.testing.assert_allclose(cosines, welch_bound(d, K), atol=1e-14)


@pytest.mark.theory
def test_the_simplex_has_coherence_1_over_d_and_atoms_that_sum_to_0():
    D = EquiangularFrame(2, 3).draw(RNG)
    assert coherence(D) == pytest.approx(0.5, abs=1e-15)
    np.testing.assert_allclose(D.sum(axis=1), 0.0, atol=1e-15)


@pytest.mark.parametrize(
    ("d", "K"), [(1, 2), (2, 4), (4, 8), (5, 10), (8, 16), (13, 26), (7, 21), (3, 3), (8, 28)]
)
def test_equiangular_frames_elsewhere_are_refused_with_a_list_of_what_exists(d, K):
    with pytest.raises(InputError, match=rf"\({d}, {K}\): expected K = d \+ 1.*\(7, 28\)"):
        EquiangularFrame(d, K)


@pytest.mark.parametrize("d", [1, 2, 4, 8, 64])
def test_dirac_hadamard_is_two_bases_of_coherence_1_over_sqrt_d(d):
    kind = DiracHadamard(d)
    D = kind.draw(RNG)
    assert D.shape == (kind.d, kind.K) == (d, 2 * d)
    np.testing.assert_array_equal(D[:, :d], np.eye(d))
    np.testing.assert_allclose(D[:, d:].T @ D[:, d:], np.eye(d), atol=1e-14)
    assert coherence(D) == pytest.approx(1 / math.sqrt(d), abs=1e-15)


@pytest.mark.parametrize("d", [3, 6, 12, 100])
def test_dirac_hadamard_refuses_other_than_powers_of_two(d):
    with pytest.raises(InputError, match=f"d = {d}: expected a power of two"):
        DiracHadamard(d)


@pytest.mark.parametrize("kind", [HarmonicFrame, VandermondeFrame, EquiangularFrame])
@pytest.mark.parametrize(("d", "K", "name"), [(0, 3, "d"), (-1, 3, "d"), (2, 0, "K")])
def test_frames_refuse_sizes_below_1(kind, d, K, name):
    with pytest.raises(InputError, match=f"{name} = .*at least 1"):
        kind(d, K)


@pytest.mark.parametrize(
    "kind", [HarmonicFrame(3, 7), VandermondeFrame(3, 5), EquiangularFrame(3, 6), DiracHadamard(4)]
)
def test_frames_are_the_same_whatever_the_generator(kind):
    first, second = kind.draw(np.random.default_rng(1)), kind.draw(np.random.default_rng(2))
    np.testing.assert_array_equal(first, second)
