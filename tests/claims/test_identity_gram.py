"""I1: the Gram form of L_ND, and the bounds that give it a minimiser."""

import doctest
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from osae_theory.claims import identity_gram
from osae_theory.claims.identity_gram import (
    IDENTITY_GRAM,
    integer_instance,
    inverse_pair_weights,
    loss_by_gram,
    loss_by_prefixes,
    optimal_codes,
    pair_weights,
    survival_weights,
)
from osae_theory.errors import InputError
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems.geometry import gaussian_columns
from osae_theory.strategies import prefix_laws, seeds

pytestmark = pytest.mark.theory


def test_the_check_confirms_it_exactly():
    finding = IDENTITY_GRAM.check(30)
    assert finding.confirmed
    assert finding.certificate["largest |loop over prefixes - Gram form|"] == Fraction(0)
    assert finding.certificate["laws with lambda_min(W) >= min p / 4 proved exactly"] == 30
    assert finding.n_examples == 30
    assert finding.error < 1e-12


def test_the_docstring_example_runs():
    assert doctest.testmod(identity_gram).failed == 0


def test_no_examples_are_refused():
    with pytest.raises(InputError, match="n_examples = 0"):
        IDENTITY_GRAM.check(0)


@given(seeds())
@example(0)
def test_both_forms_agree_exactly_on_whole_numbers(seed):
    X, Y, D, p = integer_instance(np.random.default_rng(seed))
    assert sum(p) == 1
    assert loss_by_prefixes(X, Y, D, p) == loss_by_gram(X, Y, D, p)


def test_a_hand_made_loss():
    # x = 1, D = (1, 1), z = (0, 4): residuals 1 and -3.
    X, Y, D = (np.array(a, dtype=object) for a in ([[1]], [[0], [4]], [[1, 1]]))
    p = np.array([Fraction(1, 4), Fraction(3, 4)])
    assert loss_by_prefixes(X, Y, D, p) == Fraction(1 + 3 * 9, 4) == loss_by_gram(X, Y, D, p)


def test_weights_of_the_smaller_index_would_not_be_confirmed(monkeypatch):
    monkeypatch.setattr(identity_gram, "pair_weights", lambda w: np.maximum(w[:, None], w[None, :]))
    assert not IDENTITY_GRAM.check(10).confirmed


def test_codes_ten_times_as_large_would_not_be_confirmed(monkeypatch):
    monkeypatch.setattr(identity_gram, "optimal_codes", lambda x, D, W: 10 * optimal_codes(x, D, W))
    assert not IDENTITY_GRAM.check(20).confirmed


@given(prefix_laws(full_support=True))
def test_the_inverse_of_w_is_tridiagonal(law):
    inverse = inverse_pair_weights(law.probabilities)
    W = pair_weights(law.survival)
    # The entries of the inverse grow as 1 / p, and so does its rounding.
    tolerance = 1e-12 / law.probabilities.min()
    np.testing.assert_allclose((W @ inverse).astype(float), np.eye(law.K), atol=tolerance)
    assert np.count_nonzero(np.triu(inverse, 2)) == 0


@given(prefix_laws(min_K=2, full_support=True), seeds())
def test_codes_of_a_minimiser_are_bounded_and_least(law, seed):
    rng = np.random.default_rng(seed)
    m = int(rng.integers(1, law.K + 1))
    D = gaussian_columns(3, law.K, rng)
    S = np.sort(rng.choice(law.K, m, replace=False))
    x = rng.standard_normal(3)
    z = np.zeros(law.K)
    z[S] = optimal_codes(x, D[:, S], pair_weights(law.survival)[np.ix_(S, S)])
    least = law.probabilities.min()
    assert np.linalg.norm(z) <= 2 * np.linalg.norm(x) / math.sqrt(least)

    def loss(codes):
        return loss_by_prefixes(x[:, None], codes[:, None], D, law.probabilities)

    other = z.copy()
    other[S] += 0.1 * rng.standard_normal(m)
    assert loss(other) >= loss(z) - 1e-12 * (x @ x + z @ z)


def test_without_full_support_w_is_singular_and_the_assumption_says_so():
    law = PrefixLaw.groups(3, (1, 3))
    assert np.linalg.eigvalsh(pair_weights(law.survival))[0] == pytest.approx(0, abs=1e-15)
    D = np.eye(3)
    assert IDENTITY_GRAM.unmet((D, law)) == [IDENTITY_GRAM.assumptions[1].text]
    assert IDENTITY_GRAM.unmet((D, PrefixLaw.uniform(3))) == []


def test_without_unit_norm_the_schur_bound_fails_and_the_assumption_says_so():
    law, D = PrefixLaw.uniform(2), np.array([[1.0, 0.0], [0.0, 0.1]])
    W = pair_weights(law.survival)
    assert np.linalg.eigvalsh(W * (D.T @ D))[0] < np.linalg.eigvalsh(W)[0]
    assert len(IDENTITY_GRAM.unmet((D, law))) == 1


@pytest.mark.parametrize("K", [1, 2, 7])
def test_the_uniform_law_has_the_stated_least_eigenvalue(K):
    least = np.linalg.eigvalsh(pair_weights(PrefixLaw.uniform(K).survival))[0]
    assert least == pytest.approx(1 / (4 * K * math.cos(math.pi / (2 * K + 1)) ** 2), rel=1e-12)


@given(st.integers(1, 8))
def test_survival_weights_are_those_of_the_prefix_law(K):
    p = np.array([Fraction(2 * (j + 1), K * (K + 1)) for j in range(K)])
    law = PrefixLaw(p.astype(float))
    np.testing.assert_allclose(survival_weights(p).astype(float), law.survival, rtol=1e-14)
