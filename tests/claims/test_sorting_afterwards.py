"""T7: sorting after training gives the order."""

import doctest
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.claims import sorting_afterwards
from osae_theory.claims.sorting_afterwards import (
    ORDERS,
    SORTING_AFTERWARDS,
    exact_contrast,
    is_sorted_truth,
    random_problem,
    signed_permutation,
)
from osae_theory.metrics.matching import match
from osae_theory.problems import problem_from_arrays
from osae_theory.strategies import seeds

pytestmark = pytest.mark.theory


def test_the_check_confirms_it():
    finding = SORTING_AFTERWARDS.check(120)
    assert finding.confirmed
    assert finding.certificate["minimisers of L_K that sort to D* exactly"] == 30
    assert finding.certificate["of which frequency and energy disagree on the order"] > 0
    assert finding.certificate["X = [d1, d1, d2]: L_ND of D* sorted by frequency"] == Fraction(3, 5)
    assert finding.certificate["X = [d1, d1, d2]: supports with L_K = 0, all orders of D*"] == 2
    assert finding.error == 0


def test_the_docstring_example_runs():
    assert doctest.testmod(sorting_afterwards).failed == 0


def test_merging_is_the_minimum_of_l_nd_and_below_d_star():
    kept, merged, least, _ = exact_contrast()
    assert float(merged) == pytest.approx(least, rel=1e-15)
    assert least == pytest.approx(1.5 - 97**0.5 / 10, rel=1e-15)
    assert least < kept


@given(seeds(), st.sampled_from(list(ORDERS)))
def test_a_sorted_minimiser_has_stability_and_orderedness_1(seed, name):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng)
    D, Y = signed_permutation(problem.dictionary, problem.codes, rng)
    assert SORTING_AFTERWARDS.unmet(problem) == []
    assert is_sorted_truth(problem, D, Y, name)
    truth = problem.dictionary[:, ORDERS[name](problem.dictionary, problem.codes)]
    matching = match(D[:, ORDERS[name](D, Y)], truth, absolute=True)
    assert matching.stability == pytest.approx(1, abs=1e-12)
    assert matching.orderedness == 1


def test_a_turned_atom_is_not_the_sorted_truth():
    rng = np.random.default_rng(0)
    problem = random_problem(rng)
    D = problem.dictionary.copy()
    D[:, 0] = D[::-1, 0]
    assert not is_sorted_truth(problem, D, problem.codes, "frequency")


def test_minimisers_that_are_no_order_of_d_star_would_not_be_confirmed(monkeypatch):
    def turned(D, Y, rng):
        turn = np.linalg.qr(rng.standard_normal((len(Y), len(Y))))[0]
        return D @ turn, turn.T @ Y

    monkeypatch.setattr(sorting_afterwards, "signed_permutation", turned)
    assert not SORTING_AFTERWARDS.check(3).confirmed


def test_ties_noise_and_missing_atoms_are_what_the_assumptions_are_about():
    D = np.array([[1.0, 0.6], [0.0, 0.8]])
    tied = problem_from_arrays(D, np.eye(2))
    assert SORTING_AFTERWARDS.unmet(tied) == [a.text for a in SORTING_AFTERWARDS.assumptions[2:]]
    unused = problem_from_arrays(D, np.array([[1.0, 1.0], [0.0, 0.0]]))
    assert SORTING_AFTERWARDS.assumptions[0].text in SORTING_AFTERWARDS.unmet(unused)
    noisy = problem_from_arrays(D, np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]]), np.ones((2, 3)))
    assert SORTING_AFTERWARDS.unmet(noisy) == ["there is no noise"]
