from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

from osae_theory.claims import ray_recovery_welch
from osae_theory.claims.exact import Instance, as_fractions, columns, uniform
from osae_theory.claims.ray_recovery_welch import (
    EQUAL_ENERGIES,
    NON_INCREASING,
    ONE_SPARSE,
    OVERCOMPLETE,
    RAY_RECOVERY_WELCH,
    TWO_DIMENSIONS,
    closest_pair,
    compare,
    draw_overcomplete,
    named_laws,
    one_dimension,
    printed_form,
    repeated_atom,
    saved_by_merging,
    three_in_a_fan,
    welch_squared,
)
from osae_theory.minimisers import exact_planar_minimum
from osae_theory.problems import welch_bound

pytestmark = pytest.mark.theory

EYE = as_fractions(np.eye(3, dtype=int))
ATOMS = columns((1, 0), (Fraction(3, 5), Fraction(4, 5)), (0, 1))
P1_ATOMS = (ATOMS, EYE, uniform(3), 1)


def test_the_check_is_exact_and_every_instance_is_beyond_t3():
    found = RAY_RECOVERY_WELCH.check(80)
    assert found.confirmed
    assert found.error == 0
    assert found.n_examples == 8
    assert found.certificate["of which merging the closest pair saves mu - p_K > 0"] == 8
    assert found.certificate["of which the minimisers are not exactly D*"] > 0
    assert found.certificate["least (Welch bound)^2 K^2 for d < K <= 200"] > 1


@pytest.mark.parametrize(("d", "K"), [(1, 2), (2, 3), (7, 40)])
def test_the_exact_welch_bound_is_that_of_the_problems(d, K):
    assert float(welch_squared(d, K)) ** 0.5 == pytest.approx(welch_bound(d, K))


def test_p1s_three_atoms_save_mu_less_p_3():
    instance = Instance(ATOMS, EYE, uniform(3), 1)
    assert closest_pair(ATOMS) == (Fraction(4, 5), (1, 2))
    assert saved_by_merging(instance) == Fraction(4, 5) - Fraction(1, 3)
    assert RAY_RECOVERY_WELCH.unmet(instance) == []
    assert compare(instance).true_codes_lose


def test_merging_atoms_at_an_obtuse_angle_saves_as_much():
    turned = Instance(ATOMS * as_fractions([1, -1, 1]), EYE, uniform(3), 1)
    assert saved_by_merging(turned) == Fraction(4, 5) - Fraction(1, 3)


def test_mass_on_the_last_prefix_is_not_beyond_t3():
    law = (Fraction(1, 20), Fraction(1, 20), Fraction(9, 10))
    instance = Instance(ATOMS, EYE, law, 1)
    assert RAY_RECOVERY_WELCH.unmet(instance) == [NON_INCREASING.text]
    assert not compare(instance).true_codes_lose
    assert saved_by_merging(instance) == Fraction(4, 5) - Fraction(9, 10)


def test_the_hypotheses_tell_instances_apart():
    assert not OVERCOMPLETE.test(Instance(EYE, EYE, uniform(3), 1))
    assert not ONE_SPARSE.test(Instance(ATOMS, EYE[:, :] + EYE[:, ::-1], uniform(3), 1))
    doubled = EYE * as_fractions([2, 1, 1])
    assert not EQUAL_ENERGIES.test(Instance(ATOMS, doubled, uniform(3), 1))
    drawn = [draw_overcomplete(np.random.default_rng(seed)) for seed in range(40)]
    for instance in drawn:
        expected = [] if instance.D.shape[0] > 1 else [TWO_DIMENSIONS.text]
        assert RAY_RECOVERY_WELCH.unmet(instance) == expected
    assert any(instance.D.shape[0] == 1 for instance in drawn)
    parallel = [abs(closest_pair(i.D)[0]) == 1 for i in drawn if i.D.shape[0] > 1]
    assert 0 < sum(parallel) < len(parallel)


def test_the_printed_form_is_false_for_three_atoms_in_a_fan():
    # "D* is in no order a minimiser": all samples in slot 1 is one, and slot 1 has d_1*.
    instance, third = three_in_a_fan(), Fraction(1, 3)
    everything_first = instance.D.T @ instance.X * as_fractions([[1], [0], [0]])
    for order in ([0, 1, 2], [0, 2, 1]):
        assert instance.loss(everything_first, instance.D[:, order]) == Fraction(98, 625)
    minimum = exact_planar_minimum(instance.X, [1, 1, 1], (third,) * 3)
    assert minimum.value == Fraction(98, 625)
    best = instance.least_at_truth()
    assert (best.order, best.n_optimal) == ((0, 1, 2), 2)
    assert instance.loss() == min(instance.ordered_loss(o) for o in permutations(range(3))) == 1
    numbers = compare(instance)
    assert numbers.true_codes_lose
    assert numbers.encoder_hides_it
    assert numbers.minimisers_differ
    assert numbers.idle


def test_the_printed_form_is_false_for_an_atom_that_occurs_twice():
    instance = repeated_atom()
    best = instance.least_at_truth()
    assert best.loss == Fraction(1, 3)
    assert instance.loss(best.codes, instance.D[:, list(best.order)]) == Fraction(1, 3)
    form = printed_form(instance, columns((1, 0), (0, 1)), [2, 1])
    assert form.minimum == Fraction(1, 3)
    assert form.is_refuted
    assert form.true_codes == 1
    assert compare(instance).true_codes_lose
    assert compare(instance).minimisers_differ


def test_in_one_dimension_the_true_codes_lose_but_every_dictionary_is_the_truth():
    instance = one_dimension()
    assert compare(instance).true_codes_lose
    assert instance.least_at_truth().loss == 0
    assert RAY_RECOVERY_WELCH.unmet(instance) == [TWO_DIMENSIONS.text]


def test_a_claim_that_the_printed_form_holds_is_noticed(monkeypatch):
    monkeypatch.setattr(ray_recovery_welch, "three_in_a_fan", lambda: Instance(*P1_ATOMS))
    assert not RAY_RECOVERY_WELCH.check(4).confirmed


def test_named_laws_are_laws_that_do_not_increase():
    for law in named_laws(5).values():
        assert sum(law) == 1
        assert list(law) == sorted(law, reverse=True)


def test_a_wrong_bound_is_noticed(monkeypatch):
    monkeypatch.setattr(
        ray_recovery_welch, "welch_squared", lambda d, K: Fraction(K - d, d * K * K)
    )
    assert not RAY_RECOVERY_WELCH.check(4).confirmed
