from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.claims import ray_recovery_sharp
from osae_theory.claims.exact import columns
from osae_theory.claims.ray_instances import draw_instance
from osae_theory.claims.ray_recovery_sharp import (
    EQUAL_ENERGIES,
    RAY_RECOVERY_SHARP,
    TWO_DIMENSIONS,
    equalised,
    exact_tie,
    merging_ties,
    planar_losses,
    planar_threshold_holds,
    recovered_in_some_order,
    with_parallel_atoms,
)
from osae_theory.minimisers import exact_best_encoder
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import coherence, problem_from_arrays

pytestmark = pytest.mark.theory


def test_both_sides_of_the_threshold_come_out():
    found = RAY_RECOVERY_SHARP.check(300)
    assert found.confirmed
    assert found.certificate["instances that disagree with the equivalence"] == 0
    assert found.certificate["instances with mu < p_K"] == 150
    assert found.certificate["instances with mu > p_K"] == 150
    assert found.certificate["L_ND at D*, p_2 = 1/2"] == Fraction(1, 2)
    assert found.certificate["L_ND min, p_2 = 1/2"] == Fraction(2, 5)


def test_at_p_2_equal_to_mu_the_merged_pair_and_the_truth_tie_exactly():
    apart, merged, least = planar_losses(Fraction(3, 5))
    assert apart == merged == least == Fraction(2, 5)
    tiny = Fraction(1, 10**9)
    assert all(planar_threshold_holds(Fraction(3, 5) + step) for step in (-tiny, 0, tiny))


@given(st.integers(0, 2**32 - 1), st.floats(-0.5, 0.5).filter(lambda x: abs(x) > 1e-6))
def test_an_equalised_instance_has_equal_energies_and_the_margin_asked_for(seed, margin):
    instance = equalised(draw_instance(np.random.default_rng(seed), most=4), margin)
    problem, law = instance
    assert RAY_RECOVERY_SHARP.unmet(instance) == []
    difference = law.probabilities[-1] - coherence(problem.dictionary)
    assert np.sign(difference) == np.sign(margin)
    assert abs(difference) <= abs(margin) + 1e-12
    assert recovered_in_some_order(instance)[0] == (margin > 0)


@given(st.integers(0, 2**32 - 1))
def test_at_an_exact_tie_the_merged_pair_and_the_truth_cost_the_same(seed):
    instance = exact_tie(np.random.default_rng(seed))
    assert min(instance.law) > 0
    assert merging_ties(instance)
    floats = problem_from_arrays(instance.D.astype(float), np.eye(instance.K))
    assert not recovered_in_some_order((floats, PrefixLaw(np.array(instance.law, dtype=float))))[0]


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 0.99))
def test_parallel_atoms_are_never_recovered(seed, last):
    instance = with_parallel_atoms(draw_instance(np.random.default_rng(seed), most=4), last)
    assert coherence(instance[0].dictionary) == pytest.approx(1)
    assert RAY_RECOVERY_SHARP.unmet(instance) == []
    assert not recovered_in_some_order(instance)[0]


def test_in_one_dimension_every_dictionary_is_the_truth_so_the_equivalence_is_not_claimed():
    instance = (problem_from_arrays(np.array([[1.0, -1.0]]), np.eye(2)), PrefixLaw.uniform(2))
    assert RAY_RECOVERY_SHARP.unmet(instance) == [TWO_DIMENSIONS.text]


@pytest.mark.parametrize("p_2", [Fraction(1, 2), Fraction(3, 5), Fraction(7, 10)])
def test_on_the_two_atoms_no_encoder_at_the_truth_does_better_than_the_true_codes(p_2):
    D = columns((1, 0), (Fraction(3, 5), Fraction(4, 5)))
    assert exact_best_encoder(D, D, 1, (1 - p_2, p_2)).loss == planar_losses(p_2)[0]


def test_a_shifted_threshold_is_noticed(monkeypatch):
    monkeypatch.setattr(ray_recovery_sharp, "coherence", lambda D: 0.95 * coherence(D))
    found = RAY_RECOVERY_SHARP.check(100)
    assert not found.confirmed
    assert found.certificate["instances that disagree with the equivalence"] > 0


def test_different_energies_do_not_meet_the_hypothesis_nor_the_equivalence():
    D = np.array([[1.0, 0.6], [0.0, 0.8]])
    law = PrefixLaw.from_survival([1.0, 0.55])
    spread = (problem_from_arrays(D, np.diag([2.0, 1.0])), law)
    assert RAY_RECOVERY_SHARP.unmet(spread) == [EQUAL_ENERGIES.text]
    # mu = 0.6 > p_K = 0.55, and recovered all the same.
    assert recovered_in_some_order(spread)[0]
    assert not recovered_in_some_order((problem_from_arrays(D, np.eye(2)), law))[0]
