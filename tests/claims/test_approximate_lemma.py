"""T2: Lemma 3.1 up to an error that the data bound."""

import doctest
from fractions import Fraction

import numpy as np
import pytest

from osae_theory.claims import approximate_lemma
from osae_theory.claims.approximate_lemma import APPROXIMATE_LEMMA, exact_p1, three_terms
from osae_theory.minimisers.losses import prefix_losses
from osae_theory.minimisers.rays import ray_minimiser
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays

pytestmark = pytest.mark.theory

D_P1 = np.array([[1.0, 0.6], [0.0, 0.8]])


def test_the_check_confirms_both_inequalities():
    finding = APPROXIMATE_LEMMA.check(40)
    assert finding.confirmed
    assert finding.certificate["P1: p_K (L_K(D,Y) - L_K(D0,Y0))"] == Fraction(1, 5)
    assert finding.certificate["P1: its bound"] == Fraction(3, 10)
    assert finding.certificate["P1: its bound by singular values"] == Fraction(3, 10)
    assert 0 < finding.certificate["largest left side / bound, where Lemma 3.1 fails"] <= 1
    assert finding.error < 1e-12


def test_the_docstring_example_runs():
    assert doctest.testmod(approximate_lemma).failed == 0


def test_exact_and_numerical_sides_agree_on_p1():
    law = PrefixLaw.uniform(2)
    best = ray_minimiser(D_P1, law)
    numerical = three_terms(D_P1, (best.dictionary, best.codes), (D_P1, np.eye(2)), law)
    np.testing.assert_allclose(numerical, [float(v) for v in exact_p1()], rtol=1e-12)


def test_a_point_that_does_not_minimise_l_nd_violates_the_first_inequality(monkeypatch):
    law = PrefixLaw.uniform(2)
    poor = (np.array([[0.0, 1.0], [1.0, 0.0]]), np.zeros((2, 2)))
    left, middle, _ = three_terms(D_P1, poor, (D_P1, np.eye(2)), law)
    assert left > middle

    class Poor:
        def __init__(self, X, law):
            self.dictionary = np.eye(len(X), law.K) + np.eye(len(X), law.K)[:, ::-1] * 0
            self.dictionary[0, self.dictionary.sum(axis=0) == 0] = 1.0
            self.codes = np.zeros((law.K, X.shape[1]))

    monkeypatch.setattr(approximate_lemma, "ray_minimiser", Poor)
    assert not APPROXIMATE_LEMMA.check(10).confirmed


def test_as_p_k_nears_1_the_minimiser_nears_zero_reconstruction_loss():
    errors = []
    for last in (0.5, 0.6, 0.9):
        law = PrefixLaw(np.array([1 - last, last]))
        best = ray_minimiser(D_P1, law)
        point = (best.dictionary, best.codes)
        left, _, right = three_terms(D_P1, point, (D_P1, np.eye(2)), law)
        assert left <= right
        errors.append(left / last)
    assert errors[0] > errors[-1]
    assert errors[-1] == pytest.approx(0, abs=1e-12)


def test_with_no_mass_on_the_last_prefix_a_common_minimiser_does_not_save_the_lemma():
    # X = diag(2,1), m = K = 2: PCA minimises L_1 and L_2, but under p = (1,0) d_2 is free.
    X, law = np.diag([2.0, 1.0]), PrefixLaw(np.array([1.0, 0.0]))
    free = (np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 0.0]]))
    plain = (np.eye(2), X)
    ours, theirs = (prefix_losses(X, Y, D) for D, Y in (free, plain))
    assert law.probabilities @ ours == law.probabilities @ theirs == 1
    assert ours[-1] > theirs[-1] == 0
    assert three_terms(X, free, plain, law) == pytest.approx((0, 0, 0), abs=1e-12)


def test_the_examples_with_more_atoms_a_sample_violate_the_lemma_now_and_then():
    found = APPROXIMATE_LEMMA.check(60)
    assert found.confirmed
    assert found.certificate["examples with m = 2 or 3"] == 6
    assert 0 < found.certificate["the same with m = 2 or 3"] <= 1


def test_the_assumption_is_data_without_noise():
    clean = problem_from_arrays(D_P1, np.eye(2))
    noisy = problem_from_arrays(D_P1, np.eye(2), np.full((2, 2), 0.1))
    assert APPROXIMATE_LEMMA.unmet((clean, PrefixLaw.uniform(2))) == []
    assert len(APPROXIMATE_LEMMA.unmet((noisy, PrefixLaw.uniform(2)))) == 1
