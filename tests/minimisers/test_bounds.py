"""Lower bounds of min L_ND: below what is exact, below what descent finds, above Eckart-Young."""

import sys
from types import SimpleNamespace

import cvxpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.minimisers import (
    alternating,
    convex_lower_bound,
    eckart_young_bound,
    nested_loss,
    pca_minimiser,
    ray_minimiser,
)
from osae_theory.minimisers.bounds import _moved_into_the_cone, _solve
from osae_theory.prefixes import PrefixLaw
from osae_theory.strategies import prefix_laws, seeds


def sparse_data(seed, d, K, m, N):
    rng = np.random.default_rng(seed)
    D = rng.standard_normal((d, K))
    D /= np.linalg.norm(D, axis=0)
    Y = rng.uniform(0.5, 1.5, (K, N))
    Y[np.argsort(rng.random(Y.shape), axis=0) >= m] = 0.0
    return D @ Y


@pytest.mark.theory
@given(seed=seeds(), law=prefix_laws(1, 4), data=st.data())
def test_no_point_is_below_the_eckart_young_bound_and_pca_is_on_it(seed, law, data):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((4, 5))
    D = rng.standard_normal((4, law.K))
    D /= np.linalg.norm(D, axis=0)
    bound = eckart_young_bound(X, law)
    assert bound.kind == "lower bound"
    assert nested_loss(X, rng.standard_normal((law.K, 5)), D, law) >= bound.value
    assert pca_minimiser(X, law.K, law).loss == pytest.approx(bound.value, abs=1e-12)


@pytest.mark.theory
@settings(max_examples=12)
@given(seed=seeds(), law=prefix_laws(2, 4), d=st.integers(1, 3), R=st.integers(2, 5))
def test_for_one_atom_a_sample_the_bound_is_below_the_exact_minimum(seed, law, d, R):
    X = sparse_data(seed, d, R, 1, R + 1)
    bound = convex_lower_bound(X, law.K, 1, law)
    exact = ray_minimiser(X, law)
    assert bound.value <= exact.certificate.value + exact.certificate.error + bound.error
    assert bound.value >= eckart_young_bound(X, law).value


@pytest.mark.theory
@settings(max_examples=6)
@given(seed=seeds(), law=prefix_laws(2, 4), d=st.integers(2, 3))
def test_for_two_atoms_a_sample_the_bound_is_below_every_descent(seed, law, d):
    X = sparse_data(seed, d, law.K, 2, 5)
    bound = convex_lower_bound(X, law.K, 2, law)
    found = alternating(X, law.K, 2, law, n_starts=5, max_steps=100)
    assert bound.value <= found.loss + bound.error
    assert bound.value >= eckart_young_bound(X, law).value
    assert float(bound.details["duality gap"]) < 1e-4 * np.vdot(X, X)


@pytest.mark.theory
@pytest.mark.parametrize(("d", "K", "m", "N"), [(3, 4, 1, 6), (3, 4, 2, 6), (4, 4, 2, 6)])
def test_using_sparsity_closes_part_of_the_gap_that_eckart_young_leaves(d, K, m, N):
    X, law = sparse_data(0, d, K, m, N), PrefixLaw.uniform(K)
    lowest = alternating(X, K, m, law, n_starts=10).loss
    floor = float(eckart_young_bound(X, law).value)
    bound = float(convex_lower_bound(X, K, m, law).value)
    assert floor + 0.25 * (lowest - floor) < bound <= lowest


@pytest.mark.theory
def test_for_two_rays_that_merge_the_bound_is_tight():
    c, law = 0.6, PrefixLaw(np.array([0.7, 0.3]))
    X = np.array([[1.0, c], [0.0, 0.8]])
    bound = convex_lower_bound(X, 2, 1, law)
    assert bound.value == pytest.approx(1 - c, abs=1e-7)
    assert bound.value <= 1 - c
    # Eckart-Young: the second prefix costs nothing to a matrix of rank 2.
    assert float(bound.details["Eckart-Young"]) == pytest.approx(0.7 * (1 - c))


@pytest.mark.theory
def test_orthonormal_atoms_with_uncorrelated_codes_leave_no_gap():
    X, law = np.diag([3.0, 2.0, 1.0]), PrefixLaw.uniform(3)
    exact = ray_minimiser(X, law).loss
    assert convex_lower_bound(X, 3, 1, law).value == pytest.approx(exact, abs=1e-12)


@pytest.mark.theory
def test_in_more_dimensions_than_rays_the_bound_is_that_of_their_span():
    X, law = sparse_data(2, 2, 3, 1, 3), PrefixLaw.uniform(3)
    lifted = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 2)))[0] @ X
    plain, same = (convex_lower_bound(data, 3, 1, law).value for data in (X, lifted))
    assert plain == pytest.approx(same, abs=1e-6)


@pytest.mark.theory
def test_a_dual_point_outside_its_cone_is_moved_into_it_by_the_least_multiple_of_the_identity():
    rng = np.random.default_rng(0)
    half = rng.standard_normal((3, 3))
    matrix = half + half.T
    rows, columns = np.tril_indices(3)
    packed = matrix[rows, columns] * np.where(rows == columns, 1.0, np.sqrt(2))
    z = np.concatenate([[-5.0], [0.2, -0.1], packed])
    moved = _moved_into_the_cone(z, SimpleNamespace(zero=1, nonneg=2, psd=[3]))
    shift = -np.linalg.eigvalsh(matrix)[0]
    assert shift > 0.1
    np.testing.assert_allclose(moved - z, shift * np.array([0, 1, 1, 1, 0, 1, 0, 0, 1]), atol=1e-12)


def test_a_solver_that_gives_up_is_an_error_and_no_bound():
    variable = cvxpy.Variable()
    with pytest.raises(ArithmeticError, match="CLARABEL ended as"):
        _solve(cvxpy.Problem(cvxpy.Maximize(variable), [variable >= 0]))


def test_too_many_supports_or_rays_are_refused():
    with pytest.raises(InputError, match=r"expected at most 1500 for C\(K, m\) m"):
        convex_lower_bound(np.eye(2), 100, 2, PrefixLaw.uniform(100))
    with pytest.raises(InputError, match="data on more than 3 rays"):
        convex_lower_bound(np.eye(20), 20, 2, PrefixLaw.uniform(20))


def test_without_cvxpy_the_extra_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(ImportError, match=r"osae-theory\[theory\]"):
        convex_lower_bound(np.eye(2), 2, 1, PrefixLaw.uniform(2))
