import math

import numpy as np
import pytest

from osae_theory.errors import InputError
from osae_theory.problems.geometry import (
    check_dictionary,
    coherence,
    gaussian_columns,
    haar_basis,
    unit_columns,
    welch_bound,
)


def loop_coherence(D):
    K = D.shape[1]
    cosines = [abs(D[:, i] @ D[:, j]) for i in range(K) for j in range(i)]
    return max(cosines, default=0.0)


@pytest.mark.parametrize("seed", range(5))
def test_coherence_agrees_with_a_loop_over_pairs(seed):
    D = gaussian_columns(4, 7, np.random.default_rng(seed))
    assert coherence(D) == pytest.approx(loop_coherence(D), abs=1e-15)


def test_coherence_sees_opposite_atoms_and_is_0_for_one_atom():
    assert coherence(np.array([[1.0, -1.0], [0.0, 0.0]])) == 1.0
    assert coherence(np.array([[1.0], [0.0]])) == 0.0


def test_welch_bound_has_its_known_values():
    assert welch_bound(2, 3) == pytest.approx(0.5)
    assert welch_bound(3, 6) == pytest.approx(1 / math.sqrt(5))
    assert welch_bound(7, 28) == pytest.approx(1 / 3)
    assert welch_bound(1, 5) == 1.0
    assert welch_bound(5, 5) == 0.0
    assert welch_bound(5, 1) == 0.0


@pytest.mark.theory
@pytest.mark.parametrize(("d", "K"), [(2, 5), (4, 9), (10, 12)])
def test_no_gaussian_dictionary_is_below_the_welch_bound(d, K):
    rng = np.random.default_rng(0)
    assert min(coherence(gaussian_columns(d, K, rng)) for _ in range(200)) > welch_bound(d, K)


def test_welch_bound_refuses_sizes_below_1():
    with pytest.raises(InputError, match="d = 0"):
        welch_bound(0, 3)
    with pytest.raises(InputError, match="K = 0"):
        welch_bound(3, 0)


def test_check_dictionary_passes_unit_columns():
    assert check_dictionary(haar_basis(5, np.random.default_rng(0))) is None


def test_check_dictionary_names_the_first_bad_column_and_its_norm():
    D = np.eye(4)
    D[:, 2] *= 1.5
    D[:, 3] *= 3.0
    with pytest.raises(InputError, match=r"column 2 has norm 1\.5: expected unit norm"):
        check_dictionary(D)


def test_check_dictionary_takes_norms_off_by_less_than_its_tolerance_only():
    check_dictionary(np.eye(3) * (1 + 5e-9))
    with pytest.raises(InputError, match="column 0"):
        check_dictionary(np.eye(3) * (1 + 2e-8))


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), (0, 3), (3, 0)])
def test_check_dictionary_refuses_arrays_that_are_not_matrices(shape):
    with pytest.raises(InputError, match=r"expected two axes \(d, K\)"):
        check_dictionary(np.ones(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_check_dictionary_refuses_numbers_that_are_not_finite(value):
    D = np.eye(3)
    D[1, 2] = value
    with pytest.raises(InputError, match=r"dictionary\[1, 2\]"):
        check_dictionary(D)


def test_unit_columns_keeps_directions():
    M = np.array([[3.0, 0.0], [4.0, -2.0]])
    np.testing.assert_allclose(unit_columns(M), [[0.6, 0.0], [0.8, -1.0]], atol=1e-15)


@pytest.mark.parametrize("d", [1, 2, 6])
def test_haar_basis_is_orthonormal(d):
    Q = haar_basis(d, np.random.default_rng(d))
    np.testing.assert_allclose(Q.T @ Q, np.eye(d), atol=1e-14)
