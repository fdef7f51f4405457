from fractions import Fraction

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
    closest_pair,
    draw_overcomplete,
    is_beyond,
    named_laws,
    saved_by_merging,
    welch_squared,
)
from osae_theory.problems import welch_bound

pytestmark = pytest.mark.theory

EYE = as_fractions(np.eye(3, dtype=int))
ATOMS = columns((1, 0), (Fraction(3, 5), Fraction(4, 5)), (0, 1))


def test_the_check_is_exact_and_every_instance_is_beyond_t3():
    found = RAY_RECOVERY_WELCH.check(80)
    assert found.confirmed
    assert found.error == 0
    assert found.n_examples == 20
    assert found.certificate["of which merging the closest pair saves mu - p_K > 0"] == 20
    assert found.certificate["least (Welch bound)^2 K^2 for d < K <= 200"] > 1


@pytest.mark.parametrize(("d", "K"), [(1, 2), (2, 3), (7, 40)])
def test_the_exact_welch_bound_is_that_of_the_problems(d, K):
    assert float(welch_squared(d, K)) ** 0.5 == pytest.approx(welch_bound(d, K))


def test_p1s_three_atoms_save_mu_less_p_3():
    instance = Instance(ATOMS, EYE, uniform(3), 1)
    assert closest_pair(ATOMS) == (Fraction(4, 5), (1, 2))
    assert saved_by_merging(instance) == Fraction(4, 5) - Fraction(1, 3)
    assert RAY_RECOVERY_WELCH.unmet(instance) == []
    assert is_beyond(instance)


def test_merging_atoms_at_an_obtuse_angle_saves_as_much():
    turned = Instance(ATOMS * as_fractions([1, -1, 1]), EYE, uniform(3), 1)
    assert saved_by_merging(turned) == Fraction(4, 5) - Fraction(1, 3)


def test_mass_on_the_last_prefix_is_not_beyond_t3():
    law = (Fraction(1, 20), Fraction(1, 20), Fraction(9, 10))
    instance = Instance(ATOMS, EYE, law, 1)
    assert RAY_RECOVERY_WELCH.unmet(instance) == [NON_INCREASING.text]
    assert not is_beyond(instance)
    assert saved_by_merging(instance) == Fraction(4, 5) - Fraction(9, 10)


def test_the_hypotheses_tell_instances_apart():
    assert not OVERCOMPLETE.test(Instance(EYE, EYE, uniform(3), 1))
    assert not ONE_SPARSE.test(Instance(ATOMS, EYE[:, :] + EYE[:, ::-1], uniform(3), 1))
    doubled = EYE * as_fractions([2, 1, 1])
    assert not EQUAL_ENERGIES.test(Instance(ATOMS, doubled, uniform(3), 1))
    drawn = [draw_overcomplete(np.random.default_rng(seed)) for seed in range(20)]
    assert all(RAY_RECOVERY_WELCH.unmet(instance) == [] for instance in drawn)


def test_named_laws_are_laws_that_do_not_increase():
    for law in named_laws(5).values():
        assert sum(law) == 1
        assert list(law) == sorted(law, reverse=True)


def test_a_wrong_bound_is_noticed(monkeypatch):
    monkeypatch.setattr(
        ray_recovery_welch, "welch_squared", lambda d, K: Fraction(K - d, d * K * K)
    )
    assert not RAY_RECOVERY_WELCH.check(4).confirmed
