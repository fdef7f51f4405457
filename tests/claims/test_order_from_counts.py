"""C: Ord of sorting by counts, from pairs."""

import doctest
from fractions import Fraction

import numpy as np
import pytest

from osae_theory.claims import order_from_counts
from osae_theory.claims.order_from_counts import (
    ORDER_FROM_COUNTS,
    enumerated_orderedness,
    exact_inversion,
    exact_orderedness,
    matrix_of,
    orderedness_by_pairs,
    rate_ratio,
    successive_law,
    weighted_inversions,
)
from osae_theory.problems import inclusion_matrix

pytestmark = pytest.mark.theory


def test_the_check_confirms_it(examined):
    finding = examined(ORDER_FROM_COUNTS).finding
    assert finding.confirmed
    numbers = finding.certificate
    assert numbers["permutations up to K = 7 that break the identity"] == 0
    assert 0.8 < numbers["largest disorder / bound over random laws"] <= 1
    assert numbers["toy, N = 100,000: E Ord by frequency"] == pytest.approx(0.998729, abs=1e-6)
    assert numbers["toy, N = 100,000: E Ord by energy"] == pytest.approx(0.996346, abs=1e-6)


def test_the_docstring_example_runs():
    assert doctest.testmod(order_from_counts).failed == 0


def test_swapping_neighbours_costs_12_over_k_times_k_squared_minus_1():
    assert weighted_inversions((1, 0, 2)) == 1
    assert 1 - exact_orderedness((1, 0, 2)) == Fraction(12, 3 * 8)
    assert weighted_inversions((2, 1, 0)) == 1 + 1 + 2


def test_one_sample_inverts_two_atoms_by_hand():
    # One sample: 1 only with 1/2, 2 only with 1/3, else a tie.
    assert exact_inversion(Fraction(1, 2), Fraction(1, 3), 1) == Fraction(1, 3) + Fraction(1, 12)
    law = {(0,): Fraction(2, 3), (1,): Fraction(1, 3)}
    assert orderedness_by_pairs(law, 2, 1) == 1 - 2 * Fraction(1, 3)
    assert enumerated_orderedness(law, 2, 1) == Fraction(1, 3)


def test_the_law_of_successive_sampling_has_the_inclusion_matrix_of_the_integral():
    law = successive_law(tuple(map(Fraction, (9, 4, 2, 1))), 3)
    assert sum(law.values()) == 1
    found = inclusion_matrix(np.array([9.0, 4.0, 2.0, 1.0]), 3)
    np.testing.assert_allclose(found, matrix_of(law, 4), rtol=1e-12)


def test_no_smaller_base_would_do():
    ratios = [rate_ratio(N) for N in (10, 100, 1000)]
    assert ratios[0] > ratios[1] > ratios[2] > 1
    assert ratios[2] < 1.11


def test_a_law_whose_atoms_do_not_fall_in_use_does_not_meet_the_assumption():
    falling, rising = np.diag([0.6, 0.4]), np.diag([0.4, 0.6])
    assert ORDER_FROM_COUNTS.unmet(falling) == []
    assert len(ORDER_FROM_COUNTS.unmet(rising)) == 1
    assert len(ORDER_FROM_COUNTS.unmet(np.diag([1.4, 0.6]))) == 1


def test_a_weight_that_forgets_the_distance_would_not_be_confirmed(monkeypatch):
    monkeypatch.setattr(
        order_from_counts,
        "weighted_inversions",
        lambda mu: sum(mu[i] > mu[j] for j in range(len(mu)) for i in range(j)),
    )
    found = ORDER_FROM_COUNTS.check(6)
    assert not found.confirmed
    assert found.certificate["permutations up to K = 7 that break the identity"] > 0


def test_a_bound_four_times_smaller_would_not_be_confirmed(monkeypatch):
    bound = order_from_counts.disorder_bound_by_frequency
    monkeypatch.setattr(
        order_from_counts, "disorder_bound_by_frequency", lambda P, N: bound(P, N) / 4
    )
    assert not ORDER_FROM_COUNTS.check(60).confirmed
