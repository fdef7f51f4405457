from fractions import Fraction

import pytest

from osae_theory.claims.exact import uniform
from osae_theory.claims.obstruction_gap import (
    OBSTRUCTION_GAP,
    check,
    four_cycle,
    gap_on_cycle,
    six_cycle,
)
from osae_theory.minimisers import best_order, cyclic_pair_codes


@pytest.mark.theory
def test_both_instances_have_a_certified_gap():
    found = check(1)
    assert found.confirmed
    assert found.error == 0
    assert found.certificate["least L_ND over argmin L_K (d = K = 4)"] == Fraction(483, 4)
    assert found.certificate["least L_ND over argmin L_K (d = 4, K = 6)"] == Fraction(7708, 3)
    assert found.certificate["min L_ND lies below it by more than (d = K = 4)"] >= 40
    assert OBSTRUCTION_GAP.verdict == "holds"


def test_atoms_have_norm_exactly_one():
    for D in (four_cycle(), six_cycle()):
        assert ((D**2).sum(axis=0) == 1).all()


def test_the_closing_edge_the_other_way_has_another_least_loss():
    D, Y = four_cycle(), cyclic_pair_codes((7,) * 4, (1,) * 4)
    other = Y.copy()
    other[[0, 3], 21:] = Y[[3, 0], 21:]
    losses = [best_order((D.T @ D) * (C @ C.T), uniform(4)).loss for C in (Y, other)]
    assert losses == [Fraction(483, 4), Fraction(441, 2)]


@pytest.mark.theory
def test_with_too_few_samples_nothing_is_certified():
    assert gap_on_cycle(four_cycle(), 2) == (0, 0)
