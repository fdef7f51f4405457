from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.problems import ZipfSupports, inclusion, inclusion_matrix, inclusion_probabilities
from osae_theory.strategies import seeds


def enumerated(weights, m):
    """P(i and j in the support), by all sequences of m atoms, in fractions."""
    K = len(weights)
    found = [[Fraction(0)] * K for _ in range(K)]
    for sequence in permutations(range(K), m):
        p, left = Fraction(1), sum(weights)
        for atom in sequence:
            p *= weights[atom] / left
            left -= weights[atom]
        for i in sequence:
            for j in sequence:
                found[i][j] += p
    return np.array(found, dtype=np.float64)


@pytest.mark.theory
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=5), st.integers(1, 5))
def test_it_is_the_sum_over_all_sequences(weights, m):
    m = min(m, len(weights))
    exact = enumerated([Fraction(w) for w in weights], m)
    np.testing.assert_allclose(inclusion_matrix(np.array(weights, float), m), exact, rtol=1e-12)


@pytest.mark.theory
@given(seeds(), st.integers(2, 12))
def test_its_diagonal_is_the_sum_over_subsets_and_its_rows_sum_to_m_times_it(seed, K):
    rng = np.random.default_rng(seed)
    weights, m = np.exp(3 * rng.standard_normal(K)), int(rng.integers(1, K + 1))
    found = inclusion_matrix(weights, m)
    use = np.diagonal(found)
    np.testing.assert_allclose(use, inclusion_probabilities(weights, m), rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), m * use, rtol=1e-12)
    np.testing.assert_allclose(found, found.T, rtol=1e-13)


@pytest.mark.theory
def test_at_the_papers_size_supports_hold_m_atoms_and_a_finer_rule_changes_nothing(monkeypatch):
    weights = np.arange(1.0, 101.0) ** -1.2
    found = inclusion_matrix(weights, 5)
    assert np.trace(found) == pytest.approx(5, abs=1e-12)
    monkeypatch.setattr(inclusion, "_STEP", 0.2)
    np.testing.assert_allclose(inclusion_matrix(weights, 5), found, rtol=1e-12)


def test_the_supports_drawn_have_these_probabilities():
    n = 20_000
    drawn = ZipfSupports(3, 1.2).draw(30, n, np.random.default_rng(0))
    uses = np.zeros((n, 30))
    np.put_along_axis(uses, drawn, 1.0, axis=1)
    expected = inclusion_matrix(np.arange(1.0, 31.0) ** -1.2, 3)
    sigma = np.sqrt(expected * (1 - expected) / n)
    assert (np.abs(uses.T @ uses / n - expected) < 5 * sigma).all()


@pytest.mark.parametrize("weights", [[3.0, 2.0, 1.0], [1e-200, 1.0, 1e90]])
def test_where_all_atoms_are_used_every_entry_is_1(weights):
    np.testing.assert_allclose(inclusion_matrix(np.array(weights), 3), np.ones((3, 3)), rtol=1e-12)


@pytest.mark.parametrize(
    ("weights", "m", "message"),
    [
        ([1.0, 0.0], 1, r"weights\[1\]"),
        ([1e-200, 1.0, 1e150], 1, "ratio of at least 1e-300"),
        ([1.0, 2.0], 3, "m = 3"),
        ([1.0, 2.0], 0, "m = 0"),
    ],
)
def test_bad_arguments_are_refused(weights, m, message):
    with pytest.raises(InputError, match=message):
        inclusion_matrix(np.array(weights), m)
