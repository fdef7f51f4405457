from fractions import Fraction

import numpy as np
import pytest

from osae_theory.claims.exact import Instance, columns, meets, nested_loss, uniform
from osae_theory.claims.theorem_3_1_law import (
    HYPOTHESES,
    THEOREM_3_1_LAW,
    check_instances,
    least_loss,
    one_sparse,
    refute,
    two_sparse,
)
from osae_theory.errors import InputError
from osae_theory.minimisers import prefix_losses
from osae_theory.problems.geometry import gaussian_columns, unit_columns

pytestmark = pytest.mark.theory

F = Fraction


def test_the_check_confirms_with_the_numbers_worked_by_hand():
    found = THEOREM_3_1_LAW.check(1)
    assert found.confirmed
    least = "L_ND at D*, least over orders and encoders"
    assert found.certificate[f"m = 1: {least}"] == 1 - Fraction(3, 5) ** 2
    assert found.certificate["m = 1: min L_ND"] == 2 - Fraction(8, 5)
    assert found.certificate["m = 2: min L_ND"] == Fraction(6 + 4, 2)
    assert found.certificate[f"m = 2: {least}"] == F(36, 7)
    assert found.certificate["m = 2: L_ND at D* by frequency, least over encoders"] == F(9 + 6, 2)


@pytest.mark.parametrize("pair", [one_sparse(), two_sparse()])
def test_each_instance_meets_every_hypothesis_of_the_printed_theorem(pair):
    assert meets(HYPOTHESES, pair[0])


def test_the_least_loss_is_eckart_young_s_bound():
    instance, directions = two_sparse()
    values = np.linalg.svd(np.asarray(instance.X, dtype=np.float64), compute_uv=False) ** 2
    bound = (values[1:].sum() + values[2:].sum()) / 2
    assert float(least_loss(instance, directions)) == pytest.approx(bound)


def test_the_principal_point_attains_it_whatever_the_other_atoms_are():
    instance, directions = two_sparse()
    X, law = instance.X.astype(float), np.array(instance.law, dtype=float)
    first = unit_columns(directions[:, :2].astype(float))
    for seed in range(3):
        D = np.hstack([first, gaussian_columns(4, 3, np.random.default_rng(seed))])
        Y = D.T @ X
        Y[2:] = 0
        assert law @ prefix_losses(X, Y, D) == pytest.approx(5)


def test_in_another_order_d_star_does_better_but_is_no_minimiser():
    numbers = refute(*two_sparse())
    assert numbers.minimum < numbers.at_truth < numbers.in_order
    instance, _ = two_sparse()
    best = instance.least_at_truth()
    assert best.order[0] == 4
    assert instance.loss(best.codes, instance.D[:, list(best.order)]) == numbers.at_truth


def test_no_encoder_does_better_at_d_star_than_the_codes_found():
    instance, directions = two_sparse()
    least = refute(instance, directions).in_order
    rng = np.random.default_rng(0)
    for _ in range(20):
        Y = instance.Y + columns(*rng.integers(-1, 2, (9, 5)).tolist()) / 4
        assert nested_loss(instance.X, Y, instance.D, instance.law) >= least


def test_directions_that_are_not_principal_or_not_in_order_are_refused():
    instance, directions = one_sparse()
    for wrong in (columns((1, 0), (0, 1)), directions[:, ::-1], columns((2, 1), (2, 1))):
        with pytest.raises(InputError, match="principal"):
            least_loss(instance, wrong)


def test_an_orthonormal_dictionary_by_energy_refutes_nothing():
    one, nil = Fraction(1), Fraction(0)
    tame = Instance(columns((1, 0), (0, 1)), columns((2, 0), (0, 1)), (one, nil), 1)
    assert meets(HYPOTHESES, tame)
    assert not check_instances((tame, columns((1, 0), (0, 1)))).confirmed


def test_a_law_that_reaches_past_m_is_not_accepted():
    instance, directions = one_sparse()
    further = Instance(instance.D, instance.Y, uniform(2), 1)
    assert len(THEOREM_3_1_LAW.unmet(further)) == 1
    assert not check_instances((further, directions)).confirmed
