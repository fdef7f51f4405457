import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.claims import ray_noise
from osae_theory.claims.ray_instances import draw_instance
from osae_theory.claims.ray_noise import (
    BEST_MAP,
    RAY_NOISE,
    SMALL_NOISE,
    gap_bound,
    map_gap,
    measured_over_bound,
    noise_at_bound,
    noise_bound,
    noise_free_loss,
    noise_norm,
    weighted_angles,
    with_noise,
)
from osae_theory.minimisers.rays import ray_minimiser
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays

pytestmark = pytest.mark.theory

D = np.array([[1.0, 0.6], [0.0, 0.8]])
LAW = PrefixLaw.from_survival([1.0, 0.75])
CLEAN = (problem_from_arrays(D, np.diag([2.0, 1.0])), LAW)


def test_every_noisy_minimiser_is_within_the_bound():
    found = RAY_NOISE.check(200)
    assert found.confirmed
    assert found.certificate["noisy instances that meet the hypotheses"] == 200
    assert found.certificate["of which within the bound, in energy order"] == 200
    assert 0 < found.certificate["largest measured side / bound"] <= 1
    assert found.certificate["least Gamma / its lower bound"] >= 1 - 1e-9


def test_the_quantities_of_two_atoms_are_those_by_hand():
    # Energies 4 and 1, w = (1, 3/4), cosine 3/5.
    assert noise_free_loss(CLEAN) == pytest.approx(1 / 4)
    assert noise_bound(CLEAN, 0.1) == pytest.approx(4 * 0.1 * 0.5 + 4 * 0.01)
    assert gap_bound(CLEAN) == pytest.approx(min(0.15 * 1, 0.25 * 3))
    merged = (5 + np.sqrt(25 - 16 * 0.64)) / 2
    assert map_gap(CLEAN) == pytest.approx(4.75 - max(merged, 1 + 0.75 * 4))
    turned = np.array([[0.0, 0.6], [1.0, 0.8]])
    assert weighted_angles(turned, *CLEAN) == pytest.approx(4)


@given(st.floats(1e-6, 10), st.integers(0, 2**32 - 1))
def test_the_noise_level_inverts_the_bound(bound, seed):
    instance = draw_instance(np.random.default_rng(seed))
    assert noise_bound(instance, noise_at_bound(instance, bound)) == pytest.approx(bound)
    noise = with_noise(instance, bound, np.random.default_rng(seed))[0].noise
    assert noise_bound(instance, np.linalg.norm(noise)) == pytest.approx(bound)


@given(st.integers(0, 2**32 - 1))
def test_the_root_of_the_minimum_is_lipschitz_in_the_data(seed):
    rng = np.random.default_rng(seed)
    problem, law = draw_instance(rng, most=4)
    R = rng.standard_normal(problem.data.shape) * 10 ** rng.uniform(-3, 1)
    one, two = (ray_minimiser(X, law).loss ** 0.5 for X in (problem.data, problem.data + R))
    assert abs(one - two) <= np.linalg.norm(R) * (1 + 1e-9)


def test_too_much_noise_does_not_meet_the_hypothesis():
    rng = np.random.default_rng(0)
    small, large = (with_noise(CLEAN, share * map_gap(CLEAN), rng) for share in (0.99, 1.01))
    assert RAY_NOISE.unmet(small) == []
    assert RAY_NOISE.unmet(large) == [SMALL_NOISE.text]
    assert SMALL_NOISE.test(CLEAN)


def test_without_recovery_of_the_clean_data_no_noise_is_small():
    merged = (problem_from_arrays(D, np.diag([1.1, 1.0])), PrefixLaw.uniform(2))
    assert map_gap(merged) == 0
    assert not SMALL_NOISE.test(merged)


def test_where_another_map_is_the_best_the_bound_fails_however_small_the_noise():
    # e = (1, .9), angle .3, p_2 = .1: both rays go to slot 1, and Gamma > 0 is that map's gap.
    atoms = np.array([[1.0, np.cos(0.3)], [0.0, np.sin(0.3)]])
    problem = problem_from_arrays(atoms, np.diag(np.sqrt([1.0, 0.9])))
    law = PrefixLaw(np.array([0.9, 0.1]))
    found = ray_minimiser(problem.data, law)
    assert found.maps == ((0, 0),)
    assert found.gap > 0.1
    assert weighted_angles(found.dictionary, problem, law) > 0.01
    assert noise_bound((problem, law), 1e-6) < 1e-5 < found.gap
    assert RAY_NOISE.unmet((problem, law)) == [BEST_MAP.text, SMALL_NOISE.text]


def test_without_noise_its_norm_is_0_and_with_noise_the_measured_side_is_not():
    assert noise_norm(CLEAN) == 0
    noisy = with_noise(CLEAN, 0.1, np.random.default_rng(1))
    assert 0 < measured_over_bound(noisy) < 1


def test_a_bound_a_hundred_times_smaller_is_noticed(monkeypatch):
    monkeypatch.setattr(
        ray_noise, "noise_bound", lambda instance, eta: noise_bound(instance, eta) / 100
    )
    found = RAY_NOISE.check(100)
    assert not found.confirmed
    assert found.certificate["of which within the bound, in energy order"] < 100
