"""T1: where sparsity does not bind, the minimisers of L_ND are the principal directions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.minimisers import alternating, nested_loss, pca_minimiser
from osae_theory.prefixes import PrefixLaw
from osae_theory.strategies import prefix_laws, seeds


def spectrum(sigma, d, N, seed=0):
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (d, N))
    S = np.zeros((d, N))
    S[np.arange(len(sigma)), np.arange(len(sigma))] = sigma
    return U @ S @ V.T, U


@pytest.mark.theory
@given(seed=seeds(), d=st.integers(1, 5), N=st.integers(1, 6), data=st.data())
def test_the_loss_at_the_principal_directions_is_the_eckart_young_value(seed, d, N, data):
    law = data.draw(prefix_laws(1, d))
    X = np.random.default_rng(seed).standard_normal((d, N))
    found = pca_minimiser(X, law.K, law)
    sigma2 = np.append(np.linalg.svd(X, compute_uv=False) ** 2, np.zeros(law.K))
    loop = sum(p * sigma2[n:].sum() for n, p in enumerate(law.probabilities, start=1))
    assert found.certificate.value == pytest.approx(loop, abs=1e-12)
    assert found.loss == pytest.approx(loop, abs=1e-12)
    assert abs(found.loss - loop) <= found.certificate.error
    assert nested_loss(X, found.codes, found.dictionary, law) == found.loss


@pytest.mark.theory
def test_descent_from_many_starts_finds_the_principal_directions_and_nothing_lower():
    X, U = spectrum([5.0, 4.0, 3.0, 1.0], 5, 8)
    law = PrefixLaw.geometric(3, 0.5)
    exact, found = pca_minimiser(X, 3, law), alternating(X, 3, 3, law, n_starts=6)
    assert exact.unique
    assert exact.loss <= found.loss + 1e-10
    assert found.loss == pytest.approx(exact.loss, rel=1e-9)
    for D in (exact.dictionary, found.dictionary):
        np.testing.assert_allclose(np.abs(np.diag(U[:, :3].T @ D)), 1.0, atol=1e-4)


@pytest.mark.theory
@pytest.mark.parametrize(
    ("sigma", "K", "unique"),
    [
        ([3.0, 2.0, 1.0], 3, True),
        ([3.0, 2.0, 1.0], 2, True),
        ([3.0, 3.0, 1.0], 2, False),
        ([3.0, 1.0, 1.0], 2, False),
        ([3.0, 2.0, 2.0], 1, True),
        ([3.0, 2.0, 0.0], 3, False),
    ],
)
def test_uniqueness_asks_for_distinct_singular_values_up_to_the_one_after_the_last(
    sigma, K, unique
):
    X, _ = spectrum(sigma, 3, 4)
    assert pca_minimiser(X, K, PrefixLaw.uniform(K)).unique is unique


@pytest.mark.theory
def test_equal_singular_values_or_a_gap_in_the_law_leave_another_minimiser():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    for X, law in (
        (np.eye(2), PrefixLaw.uniform(2)),
        (np.diag([2.0, 1.0]), PrefixLaw.full(2)),
    ):
        found = pca_minimiser(X, 2, law)
        assert not found.unique
        D = found.dictionary @ turn
        assert nested_loss(X, D.T @ X, D, law) == pytest.approx(found.loss, abs=1e-12)


@pytest.mark.theory
def test_in_one_dimension_even_no_data_leaves_only_the_sign_free():
    found = pca_minimiser(np.zeros((1, 3)), 1, PrefixLaw.uniform(1))
    assert found.unique
    assert not pca_minimiser(np.zeros((2, 3)), 1, PrefixLaw.uniform(1)).unique


def test_more_atoms_than_dimensions_and_a_law_on_other_atoms_are_refused():
    with pytest.raises(InputError, match="K = 3: expected at most d = 2"):
        pca_minimiser(np.eye(2), 3, PrefixLaw.uniform(3))
    with pytest.raises(InputError, match="prefix law on 1 atoms"):
        pca_minimiser(np.eye(2), 2, PrefixLaw.uniform(1))
