"""T8: orthonormal atoms and uncorrelated codes."""

import doctest
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from osae_theory.claims import orthonormal_codes
from osae_theory.claims.orthonormal_codes import (
    ORTHONORMAL_CODES,
    exact_instance,
    random_instance,
    signed_codes,
)
from osae_theory.metrics.ordering import energies, order_by_energy
from osae_theory.minimisers.alternating import alternating
from osae_theory.minimisers.losses import nested_loss
from osae_theory.minimisers.pca import pca_minimiser
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays
from osae_theory.strategies import prefix_laws, seeds

pytestmark = pytest.mark.theory


def test_the_check_confirms_it_with_exact_numbers():
    finding = ORTHONORMAL_CODES.check(30)
    assert finding.confirmed
    assert finding.certificate["min L_ND"] == Fraction(52, 3)
    assert finding.certificate["L_ND of D* by energy"] == Fraction(52, 3)
    assert finding.certificate["L_ND of D* by frequency"] == Fraction(224, 3)
    assert finding.error < 1e-9


def test_the_docstring_example_runs():
    assert doctest.testmod(orthonormal_codes).failed == 0


def test_correlated_codes_are_not_pca_in_disguise():
    Y = signed_codes(3, (((0, 1), (1, 2)), ((2,), (3,))))
    assert exact_instance(Y)[3]
    Y[1, 0] = -Y[1, 0]
    assert not exact_instance(Y)[3]


def test_equal_energies_would_not_be_confirmed(monkeypatch):
    monkeypatch.setattr(
        orthonormal_codes, "_SAMPLES", (((0, 1), (1, 1)), ((2,), (3,)), ((0, 2), (1, 1)))
    )
    assert exact_instance()[3]
    monkeypatch.setattr(orthonormal_codes, "_SAMPLES", (((0, 1), (1, 1)), ((2,), (3,))))
    assert not ORTHONORMAL_CODES.check(1).confirmed


def test_codes_that_correlate_make_d_star_no_minimiser():
    D, Y, law = np.eye(2), np.array([[1.0, 1.0], [1.0, 0.0]]), PrefixLaw.uniform(2)
    X = D @ Y
    assert nested_loss(X, Y, D, law) > pca_minimiser(X, 2, law).loss + 0.1


@settings(max_examples=20)
@given(seeds(), prefix_laws(min_K=3, max_K=3, full_support=True))
def test_no_m_sparse_point_found_by_descent_is_below_d_star(seed, law):
    rng = np.random.default_rng(seed)
    D, Y, m = random_instance(rng)
    while D.shape[1] != 3:
        D, Y, m = random_instance(rng)
    X, order = D @ Y, order_by_energy(Y)
    value = float((1 - law.survival) @ np.sort(energies(Y))[::-1])
    assert nested_loss(X, Y[order], D[:, order], law) == pytest.approx(value, rel=1e-9)
    found = alternating(X, 3, m, law, n_starts=1, seed=0)
    assert found.loss >= value * (1 - 1e-9) - 1e-9


@given(seeds())
def test_drawn_instances_meet_the_assumptions(seed):
    D, Y, m = random_instance(np.random.default_rng(seed))
    problem = problem_from_arrays(D, Y)
    assert problem.m == m
    assert ORTHONORMAL_CODES.unmet((problem, PrefixLaw.uniform(problem.K))) == []


def test_each_assumption_fails_alone():
    D, Y = np.eye(2), np.array([[2.0, 2.0], [1.0, -1.0]])
    skew = np.array([[1.0, 0.6], [0.0, 0.8]])
    uniform = PrefixLaw.uniform(2)
    texts = [a.text for a in ORTHONORMAL_CODES.assumptions]
    cases = [
        ((problem_from_arrays(skew, Y), uniform), texts[0]),
        ((problem_from_arrays(D, np.abs(Y)), uniform), texts[1]),
        ((problem_from_arrays(D, Y / [[2.0], [1.0]]), uniform), texts[2]),
        ((problem_from_arrays(D, Y * [[1.0], [0.0]]), uniform), texts[2]),
        ((problem_from_arrays(D, Y), PrefixLaw.full(2)), texts[3]),
    ]
    for instance, text in cases:
        assert ORTHONORMAL_CODES.unmet(instance) == [text]
