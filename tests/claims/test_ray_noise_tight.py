"""D: with little noise on every sample, atoms are their classes' singular vectors (m = 1)."""

import doctest
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.claims import ray_noise_tight
from osae_theory.claims.ray_noise import SMALL_NOISE
from osae_theory.claims.ray_noise_tight import (
    RAY_NOISE_TIGHT,
    SMALL_EACH,
    class_bounds,
    largest_noise,
    lost_sample,
    outcome,
    sample_tolerances,
    slots_of_samples,
    turned_ray,
)
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays
from osae_theory.strategies import seeds

pytestmark = pytest.mark.theory

D = np.array([[1.0, 0.6], [0.0, 0.8]])
LAW = PrefixLaw.from_survival([1.0, 0.75])


def test_every_minimiser_is_what_the_claim_says(examined):
    found = examined(RAY_NOISE_TIGHT).finding
    assert found.confirmed
    assert found.error < 1e-12
    numbers = found.certificate
    met = numbers["noisy instances that meet the hypotheses"]
    assert met == numbers["of which every class has its slot"] > 0
    assert 0.9 < numbers["largest sin angle / bound"] <= 1
    # The square law: the linear bound of T3f is far above what this one nearly attains.
    assert numbers["median of sum w e sin^2 / T3f's bound"] < 0.01
    assert numbers["median of sum w e sin^2 / this bound"] > 0.9


def test_the_docstring_example_runs():
    assert doctest.testmod(ray_noise_tight).failed == 0


def test_the_classes_are_the_atoms_by_energy():
    problem = problem_from_arrays(D, np.array([[0.0, 1.0, 0.0], [2.0, 0.0, -1.0]]))
    assert slots_of_samples(problem).tolist() == [0, 1, 0]


def test_without_noise_the_tolerance_is_that_of_the_weights():
    clean = (problem_from_arrays(D, np.diag([2.0, 1.0])), LAW)
    root = 0.75**0.5
    expected = [(1 - root * 0.6) / (1 + root), (root - 0.6) / (1 + root)]
    np.testing.assert_allclose(sample_tolerances(clean), expected)
    assert RAY_NOISE_TIGHT.unmet(clean) == []


@given(seeds(), st.floats(1e-4, 0.5))
def test_both_bounds_hold_for_any_class_and_noise(seed, scale):
    rng = np.random.default_rng(seed)
    d, n = int(rng.integers(2, 6)), int(rng.integers(1, 8))
    atom = np.linalg.qr(rng.standard_normal((d, 1)))[0][:, 0]
    codes = rng.standard_normal(n)
    noise = rng.standard_normal((d, n)) * scale * np.linalg.norm(codes) / np.sqrt(d * n)
    bounds = class_bounds(atom, codes, noise)
    cosine = abs(float(bounds.top @ atom))
    sine = float(np.linalg.norm(bounds.top - atom * (bounds.top @ atom)))
    assert sine <= bounds.sine + 1e-12
    assert sine <= bounds.tangent * cosine + 1e-12


def test_noise_along_one_direction_attains_the_rate_and_its_constant():
    for eps in (0.1, 0.01, 0.001):
        noise = eps * np.outer([0.0, 1.0], [0.6, 0.8])
        bounds = class_bounds(np.array([1.0, 0.0]), np.array([0.6, 0.8]), noise)
        tangent = abs(bounds.top[1] / bounds.top[0])
        assert tangent == pytest.approx(eps, rel=1e-12)
        assert 1 <= bounds.tangent / tangent < 1 + 1.1 * eps**2
        assert 1 <= bounds.sine / tangent < 1 + 1.2 * eps


def test_noise_too_large_for_a_bound_is_said_to_have_none():
    bounds = class_bounds(np.array([1.0, 0.0]), np.array([1.0]), np.array([[-1.0], [2.0]]))
    assert bounds.sine == bounds.tangent == np.inf


def test_with_many_samples_the_first_bound_falls_and_the_second_does_not():
    rng = np.random.default_rng(0)
    atom = np.eye(5)[:, 0]
    found = []
    for n in (20, 2000):
        noise = 0.1 * rng.standard_normal((5, n))
        found.append(class_bounds(atom, np.ones(n), noise))
    assert found[1].tangent < found[0].tangent / 5
    assert found[1].sine > found[0].sine / 3


def test_the_exact_turned_ray_meets_every_hypothesis():
    numbers = turned_ray()
    size = (
        float(numbers["turned ray: sin angle"] / (1 - numbers["turned ray: sin angle"] ** 2) ** 0.5)
        * 2
    )
    problem = problem_from_arrays(np.eye(2), np.diag([2.0, 1.0]), np.array([[0, 0], [size, 0]]))
    instance = (problem, PrefixLaw(np.array([0.25, 0.75])))
    assert RAY_NOISE_TIGHT.unmet(instance) == []
    found = outcome(instance)
    assert found.slots_right
    assert 0.97 < found.weighted_bound <= 1
    assert numbers["turned ray: min L_ND"] == Fraction(1, 4)


def test_a_sample_that_leaves_its_class_breaks_the_bound_though_t3f_applies():
    X = np.array([[2.0, 0.0, 5 / 130], [0.0, 1.0, 12 / 130]])
    codes = np.array([[2.0, 0.0, 5 / 130], [0.0, 1.0, 0.0]])
    problem = problem_from_arrays(np.eye(2), codes, X - codes)
    instance = (problem, PrefixLaw.uniform(2))
    assert SMALL_NOISE.test(instance)
    assert RAY_NOISE_TIGHT.unmet(instance) == [SMALL_EACH.text]
    numbers, is_lost = lost_sample()
    assert is_lost
    assert numbers["lost sample: x_1 x_2 summed over slot 2"] == Fraction(3, 845)
    assert not outcome(instance).slots_right


def test_the_largest_noise_is_where_a_hypothesis_ends():
    clean = (problem_from_arrays(D, np.diag([2.0, 1.0])), LAW)
    noise = np.random.default_rng(1).standard_normal((2, 2))
    most = largest_noise(clean, noise)
    below, above = (
        (problem_from_arrays(D, np.diag([2.0, 1.0]), share * most * noise), LAW)
        for share in (0.999, 1.001)
    )
    assert RAY_NOISE_TIGHT.unmet(below) == []
    assert RAY_NOISE_TIGHT.unmet(above) != []


def test_a_tolerance_that_admits_too_much_noise_is_noticed(monkeypatch):
    monkeypatch.setattr(ray_noise_tight, "sample_tolerances", lambda i: 1e3 * np.ones(i[0].K))
    monkeypatch.setattr(ray_noise_tight, "noise_bound", lambda i, eta: 1e-3 * eta)
    found = RAY_NOISE_TIGHT.check(60)
    assert not found.confirmed
    assert found.certificate["of which every class has its slot"] < 60
