from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from osae_theory.claims import shared_atom as module
from osae_theory.claims.exact import as_fractions, columns, spark
from osae_theory.claims.shared_atom import (
    SHARED_ATOM,
    by_energy,
    five_in_a_space,
    groups,
    is_certified,
    least_forms,
    lowest_descent,
    middle_loss,
    random_instance,
    shared_atom,
    three_in_a_plane,
    turned,
    uneven_in_a_plane,
)
from osae_theory.errors import InputError
from osae_theory.minimisers import alternating
from osae_theory.prefixes import PrefixLaw

pytestmark = pytest.mark.theory


def test_the_check_confirms_with_exact_numbers():
    found = SHARED_ATOM.check(1)
    assert found.confirmed
    assert found.error == 0
    assert found.certificate["(d, K) = (3, 4): min L_ND"] == Fraction(17841, 5000)
    assert found.certificate["(d, K) = (5, 6): min L_ND"] == Fraction(11991, 2000)
    assert found.certificate["of which certified"] > 0


@pytest.mark.parametrize("instance", [three_in_a_plane(), five_in_a_space(), uneven_in_a_plane()])
def test_the_instances_are_overcomplete_with_all_prefixes_and_meet_the_conditions(instance):
    d, K = instance.D.shape
    assert K > d
    assert min(instance.law) > 0
    assert instance.law[-1] == Fraction(1, 2)
    assert SHARED_ATOM.unmet(instance) == []
    assert is_certified(instance)
    assert instance.loss() == instance.law[0] * sum(instance.energies[1:]) + middle_loss(instance)


def test_samples_with_other_shares_of_the_shared_atom_are_certified_too():
    instance = uneven_in_a_plane()
    assert len(set(map(abs, instance.Y[0]))) > 2
    assert min(instance.Y[0]) < 0
    assert not (instance.Y[1:] @ instance.Y[0]).any()
    assert turned(instance)[0] == 0 < turned(instance)[1] - instance.loss()
    assert lowest_descent(instance, 4) > -1e-9


def test_the_larger_instance_has_unique_codes():
    assert spark(five_in_a_space().D) == 5


def test_more_mass_on_the_middle_prefixes_is_not_certified(monkeypatch):
    third = (Fraction(1, 4),) * 4
    assert not is_certified(replace(three_in_a_plane(), law=third))
    monkeypatch.setattr(module, "three_in_a_plane", lambda: replace(three_in_a_plane(), law=third))
    assert not SHARED_ATOM.check(1).confirmed


def test_at_a_uniform_law_the_conclusion_can_fail_too():
    instance = replace(three_in_a_plane(), law=(Fraction(1, 4),) * 4)
    assert lowest_descent(instance, 8) < -1e-3


def test_many_descents_find_the_truth_at_the_small_instance():
    instance = three_in_a_plane()
    law = PrefixLaw(np.array(instance.law, dtype=float))
    found = alternating(instance.X.astype(float), 4, 2, law, 100)
    assert found.loss == pytest.approx(float(instance.loss()), rel=1e-9)
    cosines = np.abs((found.dictionary * instance.D.astype(float)).sum(axis=0))
    np.testing.assert_allclose(cosines, 1, atol=1e-9)


def test_the_full_loss_leaves_an_atom_free_that_nested_dropout_finds():
    full, nested = turned(three_in_a_plane())
    assert full == 0
    assert nested > three_in_a_plane().loss()


@pytest.mark.parametrize("seed", range(5))
def test_the_forms_are_below_the_excess_of_any_point_with_a_sample_in_the_wrong_slots(seed):
    """Case by case of the proof, at random points; the oracle is the loss itself."""
    rng = np.random.default_rng(seed)
    instance = random_instance(rng)
    X, D = instance.X.astype(float), instance.D.astype(float)
    p = np.array(instance.law, dtype=float)
    forms = [f.astype(float) for f in least_forms(instance)]
    least = min(np.linalg.eigvalsh(f)[0] for f in forms) - float(middle_loss(instance))
    truth = float(instance.ordered_loss(by_energy(instance)))
    for _ in range(50):
        atoms = D + 0.2 * rng.standard_normal(D.shape)
        atoms /= np.linalg.norm(atoms, axis=0)
        second = np.array([1, 1, 2, 2, 3, 3])
        second[rng.integers(2, 6)] = 1  # two groups in slot 2
        losses = np.zeros(4)
        for n, c in enumerate(second):
            plane = atoms[:, [0, c]]
            z = np.linalg.lstsq(plane, X[:, n], rcond=None)[0]
            for length in range(1, 5):
                kept = plane[:, :1] * z[0] if length <= c else plane * z
                losses[length - 1] += np.sum((X[:, n] - kept.sum(axis=1)) ** 2)
        assert p @ losses - truth >= least


def test_conditions_that_do_not_hold_are_named():
    good = three_in_a_plane()
    tilted = good.D.copy()
    tilted[:, 1] = [Fraction(3, 5), 0, Fraction(4, 5)]
    lone = good.Y.copy()
    lone[0, 0] = 0
    lopsided = good.Y.copy()
    lopsided[0, 0] = 2
    double = columns((0, 0, 1), (1, 0, 0), (-1, 0, 0), (0, 1, 0))
    cases = (
        (replace(good, D=tilted), "orthogonal to all others"),
        (replace(good, Y=lone), "the first atom and one other"),
        (replace(good, Y=good.Y[:, :4]), "the first atom and one other"),
        (replace(good, Y=lopsided), "sum a b = 0"),
        (replace(good, D=double), "no two of them parallel"),
    )
    for instance, message in cases:
        with pytest.raises(InputError, match=message):
            groups(instance)
        assert len(SHARED_ATOM.unmet(instance)) == 2


def test_equal_energies_are_not_certified():
    atoms = as_fractions(np.eye(3, dtype=int))[:, :2]
    ties = shared_atom(atoms, [Fraction(1), Fraction(1)], Fraction(1, 1000))
    assert groups(ties) == [1, 1, 2, 2]
    assert not is_certified(ties)
    apart = shared_atom(atoms, [Fraction(11, 10), Fraction(1)], Fraction(1, 1000))
    assert is_certified(apart)
