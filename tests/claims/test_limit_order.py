from fractions import Fraction

import numpy as np
import pytest

from osae_theory.claims import limit_order
from osae_theory.claims.exact import NONNEGATIVE_SPARSE, UNIQUE_CODES, UNIT_NORM, meets
from osae_theory.claims.limit_order import (
    LIMIT_ORDER,
    all_order_losses,
    integer_overlaps,
    is_refutation,
    overlaps,
    random_overlaps,
    refute_energy,
    six_atoms,
    sorted_by_energy,
    three_atoms,
    unique_cycle,
)
from osae_theory.claims.theorem_3_1_sparsity import five_cycle
from osae_theory.minimisers.order import order_loss
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays

pytestmark = pytest.mark.theory


def test_the_check_confirms():
    found = LIMIT_ORDER.check(200)
    assert found.confirmed
    assert found.certificate["three atoms, L_ND best order"] == Fraction(7, 3)
    assert found.certificate["three atoms, L_ND by energy"] == Fraction(46, 15)
    assert found.certificate["unique cycle, L_ND best order"] == Fraction(11132, 5)
    assert found.certificate["unique cycle, L_ND by energy"] == Fraction(11187, 5)
    assert found.certificate["of which no order by energy is best"] == 0
    assert found.certificate["of which some other order by energy is worse (ties)"] > 0


def test_the_unique_instance_meets_the_hypotheses_of_theorem_3_1():
    assert meets((UNIT_NORM, UNIQUE_CODES, NONNEGATIVE_SPARSE), unique_cycle())
    assert meets((UNIT_NORM, NONNEGATIVE_SPARSE), three_atoms())


def test_brute_force_equals_one_loss_at_a_time():
    rng = np.random.default_rng(0)
    A, law = random_overlaps(rng, 4), PrefixLaw.zipf(4)
    orders, losses = all_order_losses(A, law)
    assert len(orders) == 24
    for order, loss in zip(orders, losses, strict=True):
        assert loss == pytest.approx(order_loss(A, law, order), abs=1e-12)


def test_orders_by_energy_are_as_many_as_ties_allow():
    orders, _ = all_order_losses(np.diag([2.0, 3.0, 2.0]), PrefixLaw.uniform(3))
    assert orders[sorted_by_energy(np.diag([2.0, 3.0, 2.0]), orders)].tolist() == [
        [1, 0, 2],
        [1, 2, 0],
    ]


def test_an_instance_where_energy_is_best_refutes_nothing(monkeypatch):
    kind = five_cycle((20, 14, 16, 11, 15), (100, 8, 4, 2, Fraction(1, 16)))
    numbers = refute_energy(kind)
    assert numbers["L_ND best order"] == numbers["L_ND by energy"] == Fraction(7542529, 160)
    assert not is_refutation(numbers)
    monkeypatch.setattr(limit_order, "three_atoms", lambda: kind)
    assert not LIMIT_ORDER.check(20).confirmed


def test_a_condition_that_always_says_yes_is_noticed(monkeypatch):
    monkeypatch.setattr(limit_order, "energy_order_is_optimal", lambda A: len(A) < 5 or A.any())
    assert not LIMIT_ORDER.check(100).confirmed


def test_whole_number_overlaps_are_symmetric_and_often_tie():
    rng = np.random.default_rng(1)
    drawn = [integer_overlaps(rng, 4) for _ in range(50)]
    assert all((A == A.T).all() for A in drawn)
    assert sum(len(set(np.diagonal(A))) < 4 for A in drawn) > 10


def test_at_six_atoms_energy_is_often_not_best_and_never_better():
    found = six_atoms(60)
    assert 20 < found["K = 6, m = 2: energy is not best"] <= 60
    assert 0 < found["K = 6, m = 2: mean excess of L_ND"] < 0.1


def test_the_condition_is_a_test_of_an_instance():
    codes = np.diag([3.0, 2.0, 1.0])
    assert LIMIT_ORDER.unmet(problem_from_arrays(np.eye(3), codes)) == []
    three = three_atoms()
    problem = problem_from_arrays(three.D.astype(float), three.Y.astype(float))
    assert len(LIMIT_ORDER.unmet(problem)) == 1
    np.testing.assert_allclose(np.diagonal(overlaps(problem.dictionary, problem.codes)), [5, 4, 1])
