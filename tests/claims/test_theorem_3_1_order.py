from fractions import Fraction
from itertools import permutations

import pytest

from osae_theory.claims.exact import THEOREM_3_1, Instance, columns, meets
from osae_theory.claims.theorem_3_1_order import (
    THEOREM_3_1_ORDER,
    check_instances,
    orthonormal,
    overcomplete,
    refute,
)

pytestmark = pytest.mark.theory


def test_the_check_confirms_with_the_numbers_worked_by_hand():
    found = THEOREM_3_1_ORDER.check(1)
    assert found.confirmed
    assert found.certificate["orthonormal: L_ND by frequency"] == 200 * Fraction(1, 2)
    assert found.certificate["orthonormal: min L_ND"] == Fraction(3, 2)
    assert found.certificate["overcomplete: min L_ND"] == Fraction(1, 4)
    assert found.certificate["overcomplete: best order"] == "2 1 3"
    assert found.certificate["overcomplete: mu(D*)"] == Fraction(4, 5) < Fraction(9, 10)


@pytest.mark.parametrize("instance", [orthonormal(), overcomplete()])
def test_each_instance_meets_every_hypothesis_of_the_theorem(instance):
    assert meets(THEOREM_3_1, instance)
    assert THEOREM_3_1_ORDER.unmet(instance) == []


def test_the_order_by_energy_is_the_only_best_one_of_six():
    instance = overcomplete()
    losses = {order: instance.ordered_loss(order) for order in permutations(range(3))}
    assert [order for order, loss in losses.items() if loss == min(losses.values())] == [(1, 0, 2)]


def test_an_encoder_that_leaves_the_true_codes_is_counted_too():
    one = overcomplete()
    even = Instance(one.D, one.Y, (Fraction(1, 3),) * 3, 1)
    # By frequency the third sample, on (0,1), is better served by atom 2, in slot 2.
    assert refute(even).by_frequency < even.ordered_loss((0, 1, 2))


def test_values_that_make_energy_and_frequency_agree_refute_nothing():
    one = orthonormal()
    tame = Instance(one.D, columns(*[(1, 0)] * 3, *[(0, 1)] * 2), one.law, 1)
    assert meets(THEOREM_3_1, tame)
    assert not check_instances(("tame", tame)).confirmed


def test_a_uniform_law_merges_the_overcomplete_atoms_so_order_alone_is_not_to_blame():
    one = overcomplete()
    third = (Fraction(1, 3),) * 3
    merged = Instance(one.D, one.Y, third, 1)
    numbers = refute(merged)
    assert numbers.minimum < numbers.best.loss < merged.ordered_loss((1, 0, 2))
    assert not check_instances(("merged", merged)).confirmed


def test_an_instance_out_of_frequency_order_is_not_accepted():
    one = orthonormal()
    swapped = Instance(one.D[:, ::-1], one.Y[::-1], one.law, 1)
    assert THEOREM_3_1_ORDER.unmet(swapped) == ["the atoms stand in non-increasing frequency"]
    assert not check_instances(("swapped", swapped)).confirmed
