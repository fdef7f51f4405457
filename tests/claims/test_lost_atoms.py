"""E: what atoms that were not recovered cost Ord."""

import doctest
from fractions import Fraction
from math import comb

import numpy as np
import pytest

from osae_theory.claims import lost_atoms
from osae_theory.claims.lost_atoms import LOST_ATOMS, arrangements, misplaced, shuffled, trades

pytestmark = pytest.mark.theory


def test_the_check_confirms_it(examined):
    finding = examined(LOST_ATOMS).finding
    assert finding.confirmed
    assert finding.error == 0
    assert finding.n_examples == sum(2**K for K in range(2, 7))


def test_the_docstring_example_runs():
    assert doctest.testmod(lost_atoms).failed == 0


def test_where_the_rarest_are_lost_ord_is_the_share_of_pairs_recovered():
    for n in range(21):
        assert misplaced(20, range(n)) == Fraction(comb(n, 2), comb(20, 2))


def test_over_a_random_set_of_lost_atoms_it_is_a_little_more():
    K, n = 30, 24
    rng = np.random.default_rng(0)
    drawn = [float(misplaced(K, sorted(rng.permutation(K)[:n].tolist()))) for _ in range(3000)]
    expected = (K + 1) / (n + 1) * comb(n, 2) / comb(K, 2)
    assert abs(np.mean(drawn) - expected) < 4 * np.std(drawn) / 3000**0.5
    assert expected > comb(n, 2) / comb(K, 2) + 0.05


def test_consecutive_places_that_are_shuffled_cost_u_cubed_less_u():
    assert all(
        1 - shuffled(12, range(a, a + u)) == Fraction(u**3 - u, 12**3 - 12)
        for u in range(1, 12)
        for a in range(13 - u)
    )


def test_the_enumerations_hold_every_arrangement_once():
    assert sorted(arrangements(3, [0, 1])) == [(0, 1, 2), (0, 2, 1), (1, 2, 0)]
    assert sorted(trades(3, [0, 2])) == [(0, 1, 2), (2, 1, 0)]


def test_a_formula_without_the_factor_of_the_gaps_would_not_be_confirmed(monkeypatch):
    monkeypatch.setattr(
        lost_atoms, "misplaced", lambda K, kept: Fraction(len(kept) + 1, K) * misplaced(K, kept)
    )
    assert not LOST_ATOMS.check(1).confirmed
