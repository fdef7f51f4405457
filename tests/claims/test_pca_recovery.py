"""T1: when PCA, in order, is the one minimiser of the linear case."""

import doctest
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given

from osae_theory.claims import pca_recovery
from osae_theory.claims.pca_recovery import PCA_RECOVERY, distance_bound, exact_tie, random_law
from osae_theory.minimisers.losses import prefix_losses
from osae_theory.minimisers.pca import eckart_young, pca_minimiser
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays
from osae_theory.problems.geometry import gaussian_columns
from osae_theory.strategies import seeds

pytestmark = pytest.mark.theory


def test_the_check_confirms_both_directions():
    finding = PCA_RECOVERY.check(30)
    assert finding.confirmed
    assert finding.certificate["X = diag(2,1,1): L_ND of PCA"] == Fraction(3, 2)
    assert finding.certificate["X = diag(2,1,1): L_ND of the second minimiser"] == Fraction(3, 2)
    assert finding.certificate["its least 1 - |cosine| to the principal direction"] > 1e-3
    assert finding.error < 1e-11


def test_the_docstring_example_runs():
    assert doctest.testmod(pca_recovery).failed == 0


def test_a_gap_in_place_of_the_tie_breaks_the_second_minimiser():
    first, second = exact_tie(((2, 0, 0), (0, 1, 0), (0, 0, Fraction(1, 2))))
    assert first < second


def test_a_bound_without_the_gap_factor_would_not_be_confirmed(monkeypatch):
    def too_much(X, Y, D, law):
        return 3 * distance_bound(X, Y, D, law)

    monkeypatch.setattr(pca_recovery, "distance_bound", too_much)
    assert not PCA_RECOVERY.check(10).confirmed


def test_the_distance_bound_is_attained_by_the_second_principal_direction():
    X, law = np.diag([3.0, 2.0]), PrefixLaw.uniform(1)
    D, Y = np.array([[0.0], [1.0]]), np.array([[0.0, 3.0]])
    excess = float(law.probabilities @ prefix_losses(X, Y, D)) - eckart_young(
        np.array([3.0, 2.0]), law
    )
    assert excess == pytest.approx(distance_bound(X, Y, D, law), rel=1e-14)
    assert excess == pytest.approx(6.0)


@given(seeds())
def test_no_point_is_below_the_distance_bound(seed):
    rng = np.random.default_rng(seed)
    d, N = rng.integers(2, 6, 2)
    K = int(rng.integers(1, min(d, N) + 1))
    X, law = rng.standard_normal((d, N)), random_law(K, rng)
    D, Y = gaussian_columns(int(d), K, rng), 3 * rng.standard_normal((K, N))
    least = eckart_young(np.linalg.svd(X, compute_uv=False), law)
    loss = float(law.probabilities @ prefix_losses(X, Y, D))
    assert loss - least >= distance_bound(X, Y, D, law) - 1e-11 * (1 + loss)


@pytest.mark.parametrize(
    ("X", "law", "unmet"),
    [
        (np.diag([3.0, 2.0, 1.0]), PrefixLaw.uniform(2), 0),
        (np.diag([3.0, 3.0, 1.0]), PrefixLaw.uniform(2), 1),
        (np.diag([3.0, 2.0, 2.0]), PrefixLaw.uniform(2), 1),
        (np.diag([3.0, 0.0, 0.0]), PrefixLaw.uniform(2), 1),
        (np.diag([3.0, 2.0, 1.0]), PrefixLaw.full(2), 1),
    ],
)
def test_the_assumptions_hold_where_the_minimiser_is_unique(X, law, unmet):
    problem = problem_from_arrays(np.eye(3)[:, :2], np.eye(2))
    object.__setattr__(problem, "data", X)
    assert len(PCA_RECOVERY.unmet((problem, law))) == unmet
    assert pca_minimiser(X, 2, law).unique == (unmet == 0)


def test_in_one_dimension_the_spectrum_does_not_matter():
    problem = problem_from_arrays(np.eye(1), np.zeros((1, 2)))
    unmet = PCA_RECOVERY.unmet((problem, PrefixLaw.uniform(1)))
    assert unmet == ["d >= 2", "sigma_1 > ... > sigma_K > sigma_{K+1}"]
    assert pca_minimiser(problem.data, 1, PrefixLaw.uniform(1)).unique


def test_overcomplete_dictionaries_are_outside_the_claim():
    D = np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]])
    problem = problem_from_arrays(D, np.eye(3))
    assert "K <= d" in PCA_RECOVERY.unmet((problem, PrefixLaw.uniform(3)))[0]
