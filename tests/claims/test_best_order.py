"""F: no estimator orders better than counts, where all values have one law."""

import doctest
from fractions import Fraction

import numpy as np
import pytest

from osae_theory.claims import best_order
from osae_theory.claims.best_order import (
    BEST_ORDER,
    best_orderedness,
    is_product_law,
    misleading_counts,
    posterior_places,
    product_law,
)
from osae_theory.claims.order_from_counts import orderedness_by_pairs, successive_law

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
