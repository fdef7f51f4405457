"""F: no estimator orders better than counts, where all values have one law."""

import doctest
from fractions import Fraction
from itertools import combinations, permutations, product
from math import prod

import numpy as np
import pytest

from osae_theory.claims import best_order
from osae_theory.claims.best_order import (
    BEST_ORDER,
    best_orderedness,
    excess_of_counts,
    is_product_law,
    log_odds_range,
    misleading_counts,
    posterior_places,
    product_law,
    toy_ceiling,
)
from osae_theory.claims.order_from_counts import matrix_of, orderedness_by_pairs, successive_law

pytestmark = pytest.mark.theory

WEIGHTS = tuple(map(Fraction, (8, 4, 2, 1)))


def test_the_check_confirms_it(examined):
    finding = examined(BEST_ORDER).finding
    assert finding.confirmed
    assert finding.certificate["random laws where counts attain the greatest E Ord"] == 50


def test_the_docstring_example_runs():
    assert doctest.testmod(best_order).failed == 0


def test_one_sample_of_two_atoms_by_hand():
    # The atom seen is put first, which is right with probability 2/3: Ord is 1 or -1.
    law = product_law((Fraction(2), Fraction(1)), 1)
    assert best_orderedness(law, 2, 1) == Fraction(1, 3)


@pytest.mark.parametrize("m", [1, 2, None])
def test_counts_attain_the_greatest_expected_ord(m):
    law = product_law(WEIGHTS[:3], m)
    assert best_orderedness(law, 3, 3) == orderedness_by_pairs(law, 3, 3)


def test_a_law_that_ties_labels_together_is_ordered_better_than_by_counts():
    # Atom 3 comes with atom 1 only: what an atom comes with tells more than how often it comes.
    law = {(0, 2): Fraction(1, 4), (0,): Fraction(1, 4), (1,): Fraction(1, 2)}
    assert not is_product_law(law)
    law = {S: law.get(S, Fraction(0)) for S in [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]}
    assert best_orderedness(law, 3, 3) > orderedness_by_pairs(law, 3, 3)


def test_which_laws_are_of_the_product_kind():
    assert is_product_law(product_law(WEIGHTS, 2))
    assert is_product_law(product_law(WEIGHTS, None))
    assert is_product_law(successive_law(WEIGHTS, 1))
    assert not is_product_law(successive_law(WEIGHTS, 2))
    assert not is_product_law({(0, 1): Fraction(1, 2), (1, 2): Fraction(1, 2)})
    assert BEST_ORDER.unmet(product_law(WEIGHTS, 3)) == []


def test_under_successive_sampling_counts_can_mislead():
    behind, ahead, more, less = misleading_counts()
    assert (more, less) == (6, 5)
    assert behind > ahead
    assert float(behind) == pytest.approx(1.33896, abs=1e-5)


def pair_of_laws(law, i, j):
    """A law of supports, and the one in which i and j have exchanged their places."""
    swap = {i: j, j: i}
    return {S: law[tuple(sorted(swap.get(k, k) for k in S))] for S in law}


@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_log_odds_are_in_their_range(m):
    weights = tuple(map(Fraction, (50, 9, 8, 3, 1)))
    law = successive_law(weights, m)
    for i, j in combinations(range(5), 2):
        other = pair_of_laws(law, i, j)
        found = [np.log(float(law[S] / other[S])) for S in law if i in S and j not in S]
        low, high = log_odds_range(np.array(weights, dtype=float), m, i, j)
        assert low - 1e-12 <= min(found)
        assert max(found) <= high + 1e-12
        assert (high == low) == (m == 1)


@pytest.mark.parametrize(
    ("weights", "m", "N"), [((8, 4, 2, 1), 2, 4), ((9, 8, 7, 1), 3, 3), ((20, 3, 2), 2, 5)]
)
def test_no_estimator_gains_more_on_counts_than_is_bounded(weights, m, N):
    law, K = successive_law(tuple(map(Fraction, weights)), m), len(weights)
    excess = excess_of_counts(np.array(weights, dtype=float), m, matrix_of(law, K), N)
    for i, j in combinations(range(K), 2):
        other, gain = pair_of_laws(law, i, j), Fraction(0)
        for draw in product(law, repeat=N):
            P, Q = (prod((p[S] for S in draw), start=Fraction(1)) for p in (law, other))
            lead = sum((i in S) - (j in S) for S in draw)
            by_counts = (P + Q) / 2 if lead == 0 else (Q if lead > 0 else P)
            gain += by_counts - min(P, Q)
        assert float(gain / 2) <= excess[i, j] + 1e-12


def test_with_one_atom_a_sample_counts_lose_nothing():
    law = successive_law(WEIGHTS, 1)
    excess = excess_of_counts(np.array([8.0, 4.0, 2.0, 1.0]), 1, matrix_of(law, 4), 20)
    assert np.abs(excess).max() < 1e-14


def test_for_the_papers_toy_any_estimator_loses_nearly_as_much_as_counts():
    lost, least = toy_ceiling()
    assert lost == pytest.approx(0.00127097, abs=1e-8)
    assert 0.00118 < least < lost


def test_the_posterior_of_a_label_never_seen_is_last():
    places = posterior_places(product_law(WEIGHTS[:3], 1), 3, [((0,), 5), ((2,), 2)])
    assert np.argsort([float(x) for x in places]).tolist() == [0, 2, 1]
    assert sum(places) == 3


def test_a_worse_order_would_not_be_confirmed(monkeypatch):
    monkeypatch.setattr(
        best_order,
        "orderedness_by_pairs",
        lambda *arguments: orderedness_by_pairs(*arguments) - Fraction(1, 10**6),
    )
    assert not BEST_ORDER.check(6).confirmed


def test_dependent_values_of_one_law_can_tell_atoms_apart():
    """Two atoms with one value and the third with another, each 1 or 2 evenly; one sample."""
    law = product_law(tuple(map(Fraction, (3, 2, 1))), 2)
    values = [(a, a, b) for a, b in product((1, 2), repeat=2)]
    # What one sample shows of each label: its atom's value, or 0.
    draws = {tuple((v[k] if k in S else 0) for k in range(3)): None for S in law for v in values}
    total = Fraction(0)
    for seen in {tuple(s[i] for i in order) for s in draws for order in permutations(range(3))}:
        mean = [Fraction(0)] * 3
        for rank in permutations(range(3)):
            shown = [seen[rank.index(atom)] for atom in range(3)]
            chance = sum(
                p * Fraction(sum([v[k] * (k in S) for k in range(3)] == shown for v in values), 4)
                for S, p in law.items()
            )
            mean = [x + chance * (rank[label] - 1) for label, x in enumerate(mean)]
        total += sum((r - 1) * x for r, x in enumerate(sorted(mean)))
    best = Fraction(12, 24) * total / 6
    assert best == Fraction(9, 22)
    assert orderedness_by_pairs(law, 3, 1) == Fraction(3, 11)


@pytest.mark.parametrize(
    "law",
    [
        {},
        product_law(tuple(map(Fraction, (1, 2, 3))), 1),
        {(0,): Fraction(3, 2), (1,): Fraction(-1, 2)},
        {(0,): Fraction(1, 2), (1,): Fraction(1, 4)},
        {(0,): Fraction(1), (1,): Fraction(0)},
    ],
)
def test_what_is_no_product_law_in_falling_order_is_none(law):
    assert not is_product_law(law)
