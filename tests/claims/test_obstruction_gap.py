from fractions import Fraction

import pytest

from osae_theory.claims.obstruction_gap import (
    OBSTRUCTION_GAP,
    check,
    four_cycle,
    gap_on_cycle,
    six_cycle,
)


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


@pytest.mark.theory
def test_with_too_few_samples_nothing_is_certified():
    assert gap_on_cycle(four_cycle(), 2) == (0, 0)
