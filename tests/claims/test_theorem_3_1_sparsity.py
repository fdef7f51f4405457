from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

from osae_theory.claims.exact import THEOREM_3_1, Instance, meets, prefix_losses, spark
from osae_theory.claims.theorem_3_1_sparsity import (
    LARGE,
    SMALL,
    THEOREM_3_1_SPARSITY,
    check_instance,
    five_cycle,
    refute,
)
from osae_theory.minimisers import order_loss

pytestmark = pytest.mark.theory

F = Fraction


def test_the_check_confirms_with_the_numbers_of_theory_n1():
    found = THEOREM_3_1_SPARSITY.check(1)
    assert found.confirmed
    assert found.error == 0
    assert found.certificate["L_ND at (D*, Y*), best order"] == F(7542529, 160)
    refitted = found.certificate["L_ND at D*, codes refitted on their supports"]
    assert refitted == F(4012551181, 85120)
    least = found.certificate["L_ND at D*, least over orders and encoders"]
    assert least == F(24135321, 512) < refitted
    assert found.certificate["L_ND, decoder turned"] == F(2814826129, 64160)
    assert found.certificate["dictionaries with L_K = 0"] == 1
    assert found.certificate["frequencies"] == "35 34 30 27 26"
    assert found.certificate["energies"] == "350000 184576 16496 6028 873/128"


def test_the_instance_meets_every_hypothesis():
    instance = five_cycle(*LARGE)
    assert instance.Y.shape == (5, 76)
    assert spark(instance.D) == 5
    assert meets(THEOREM_3_1, instance)
    assert prefix_losses(instance.X, instance.Y, instance.D)[-1] == 0


def test_the_best_of_the_120_orders_is_found_by_looking_at_each():
    instance = five_cycle(*SMALL)
    A = (instance.D.T @ instance.D) * (instance.Y @ instance.Y.T)
    losses = {order: order_loss(A, instance.law, order) for order in permutations(range(5))}
    least = min(losses, key=lambda order: losses[order])
    assert losses[least] == instance.ordered_loss(least) == 638


def test_the_codes_of_the_best_encoder_are_two_sparse_and_have_the_loss_that_is_printed():
    instance = five_cycle(*LARGE)
    best = instance.least_at_truth()
    assert np.count_nonzero(best.codes, axis=0).max() == 2
    assert instance.loss(best.codes, instance.D[:, list(best.order)]) == F(24135321, 512)


def test_the_smaller_instance_s_points_refute_the_true_codes_but_not_the_best_encoder():
    instance = five_cycle(*SMALL)
    numbers = refute(instance, (1, 0))
    assert numbers.refutes_the_lemma
    assert not numbers.refutes_the_theorem
    assert numbers.refitted == F(120659, 190)
    assert numbers.turned == F(1271622, 2005)
    assert numbers.at_truth.loss == F(876551, 1710) < min(numbers.refitted, numbers.turned)
    assert numbers.at_truth.order == (4, 3, 2, 1, 0)
    assert not check_instance(instance, (1, 0)).confirmed


def test_turning_the_decoder_the_other_way_does_not_help():
    numbers = refute(five_cycle(*LARGE), (3, 0))
    assert numbers.turned > numbers.true_codes.loss
    assert not numbers.refutes_the_lemma
    assert not numbers.refutes_the_theorem


def test_too_few_samples_leave_the_dictionary_unproved():
    numbers = refute(five_cycle((1,) * 5, (1,) * 5), (1, 0))
    assert numbers.dictionaries == "unproved"
    assert not numbers.refutes_the_lemma
    assert not numbers.refutes_the_theorem


def test_energies_that_disagree_with_the_frequencies_are_not_accepted():
    samples, _ = LARGE
    assert not check_instance(five_cycle(samples, (1, 2, 4, 8, 16))).confirmed


def test_with_all_mass_on_the_last_prefix_nothing_is_refuted():
    one = five_cycle(*LARGE)
    full = Instance(one.D, one.Y, (F(0),) * 4 + (F(1),), 2)
    assert THEOREM_3_1_SPARSITY.unmet(full) == ["every prefix length 1..K has positive probability"]
    numbers = refute(full, (0, 1))
    assert numbers.true_codes.loss == numbers.at_truth.loss == 0
    assert not numbers.refutes_the_lemma
    assert not numbers.refutes_the_theorem
