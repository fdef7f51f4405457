from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy

from osae_theory.claims import exact_penalty_instances
from osae_theory.claims.exact_penalty_instances import (
    LAWS,
    certified,
    exact_ray_threshold,
    nested_dropout,
    small_cycle,
    three_planes,
)
from osae_theory.claims.lemma_3_1 import three_atoms, two_atoms
from osae_theory.claims.unique_dictionary import is_certified_unique
from osae_theory.minimisers import ray_maps

pytestmark = pytest.mark.theory


def test_exact_thresholds_agree_with_those_in_floats():
    for instance, square in ((two_atoms(), Fraction(10, 9)), (three_atoms(), Fraction(5, 16))):
        K = instance.K
        q = np.append(np.full(K - 1, 1 / (K - 1)), 0)
        assert exact_ray_threshold(instance) == square
        assert ray_maps(instance.X.astype(float), q).threshold ** 2 == pytest.approx(float(square))


def test_a_threshold_that_is_not_rational_is_refused(monkeypatch):
    def left_over(X):
        return sympy.Integer(0) if X.shape[1] < 2 else 1 - 1 / sympy.sqrt(2)

    monkeypatch.setattr(exact_penalty_instances, "_left_over", left_over)
    with pytest.raises(ArithmeticError, match="expected a rational"):
        exact_ray_threshold(two_atoms())


def test_two_unit_rays_at_cosine_c_have_the_threshold_of_their_merger():
    turned = two_atoms()
    D = turned.D.copy()
    D[:, 1] = [Fraction(5, 13), Fraction(12, 13)]
    assert exact_ray_threshold(replace(turned, D=D)) == Fraction(8, 13) / Fraction(5, 13) ** 2


def test_the_three_planes_are_nonnegative_two_sparse_and_of_unit_atoms():
    instance = three_planes()
    assert ((instance.D * instance.D).sum(axis=0) == 1).all()
    assert (np.count_nonzero(instance.Y, axis=0) == 2).all()
    assert (instance.Y >= 0).all()
    assert len(set(instance.energies)) == 3


def test_f_gives_the_truth_where_nested_dropout_does_not_under_any_law_tried():
    found = certified()
    assert found.separates
    assert found.weight == Fraction(3, 500)
    assert found.value == found.weight * Fraction(three_planes().ordered_loss((0, 1, 2)))
    assert len(found.losses) == len(LAWS) == 6
    assert all(sum(law) == 1 and min(law) > 0 for law in LAWS)
    assert found.losses[0][1] < Fraction(6, 10) * found.losses[0][0]


def test_a_weight_above_the_bound_or_a_law_that_keeps_the_truth_separates_nothing():
    found = certified()
    assert not replace(found, weight=Fraction(1, 100)).separates
    assert not replace(found, losses=((Fraction(1), Fraction(1)),)).separates
    assert not replace(found, lowest=-1e-6).separates


def test_orthogonal_atoms_with_balanced_codes_are_not_lost(monkeypatch):
    """T4': there no point is found below D* near l = K, so the search can fail to find one."""
    instance = three_planes()
    Y = np.hstack([instance.Y, np.array([[1], [-1], [1]]) * instance.Y])
    Y = np.hstack([Y, np.array([[1], [1], [-1]]) * Y])
    D = np.array([[Fraction(int(i == j)) for j in range(3)] for i in range(3)], dtype=object)
    kept = replace(instance, D=D, Y=Y)
    monkeypatch.setattr(exact_penalty_instances, "LAWS", ())
    at_truth, elsewhere = nested_dropout(kept, LAWS[-2])
    assert elsewhere >= at_truth


def test_n1s_small_instance_is_in_its_best_order_and_unique():
    problem, q = small_cycle()
    assert problem.codes.shape == (5, 55)
    assert is_certified_unique(problem)
    assert q.probabilities[-1] == 0
