import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.problems import EquiangularFrame, GaussianDictionary, coherence
from osae_theory.strategies import seeds
from osae_theory.uniqueness import (
    rip_by_babel,
    rip_constant_exact,
    rip_lower_bound,
    rip_upper_bound,
)

RNG = np.random.default_rng(0)


def brute_force(D, s):
    """Slow oracle: singular values of every submatrix."""
    worst = 0.0
    for subset in combinations(range(D.shape[1]), s):
        squares = np.linalg.svd(D[:, subset], compute_uv=False) ** 2
        squares = np.append(squares, np.zeros(s - len(squares)))
        worst = max(worst, squares.max() - 1, 1 - squares.min())
    return worst


@pytest.mark.theory
@settings(max_examples=25)
@given(seeds(), st.integers(2, 4), st.integers(2, 6), st.data())
def test_every_bound_is_on_its_side_of_the_constant(seed, d, K, data):
    s = data.draw(st.integers(1, K))
    D = GaussianDictionary(d, K).draw(np.random.default_rng(seed))
    exact = rip_constant_exact(D, s)
    assert abs(exact.value - brute_force(D, s)) <= exact.error + 1e-12
    for upper in (rip_upper_bound(D, s), rip_by_babel(D, s)):
        assert upper.kind == "upper bound"
        assert exact.value <= upper.value + upper.error + exact.error
    lower = rip_lower_bound(D, s, n_sampled=5, seed=seed)
    assert lower.kind == "lower bound"
    assert lower.value - lower.error <= exact.value + exact.error


@pytest.mark.theory
def test_the_semidefinite_bound_states_its_gap_and_it_is_small():
    D = GaussianDictionary(5, 10).draw(RNG)
    certificate = rip_upper_bound(D, 3)
    gaps = [float(gap) for gap in certificate.details["gaps"].split(", ")]
    assert all(-1e-9 <= gap < 1e-4 for gap in gaps)


@pytest.mark.theory
@pytest.mark.parametrize(("d", "K"), [(2, 3), (3, 6), (7, 14)])
def test_two_atoms_have_the_coherence_as_constant(d, K):
    D = EquiangularFrame(d, K).draw(RNG)
    exact = rip_constant_exact(D, 2)
    assert abs(exact.value - coherence(D)) <= exact.error
    assert rip_upper_bound(D, 2).value == pytest.approx(coherence(D), abs=1e-5)
    assert rip_lower_bound(D, 2, n_sampled=0).value == pytest.approx(coherence(D))


@pytest.mark.theory
def test_dependent_atoms_have_a_constant_of_at_least_1():
    D = EquiangularFrame(2, 3).draw(RNG)
    exact = rip_constant_exact(D, 3)
    assert exact.value >= 1 - exact.error
    assert exact.details["attained on atoms"] == "0, 1, 2"


@pytest.mark.theory
def test_a_greedy_search_finds_a_planted_cluster():
    D = np.hstack([np.eye(12), np.ones((12, 1)) / math.sqrt(12)])
    D[:, 0] = (D[:, 1] + D[:, 2]) / math.sqrt(2)
    lower, exact = rip_lower_bound(D, 3, n_sampled=0), rip_constant_exact(D, 3)
    assert lower.value == pytest.approx(exact.value)
    assert lower.details["atoms"] == "0, 1, 2"


def test_sizes_beyond_the_methods_are_refused_with_an_alternative():
    with pytest.raises(InputError, match=r"expected at most 200000; use rip_upper_bound"):
        rip_constant_exact(GaussianDictionary(8, 60).draw(RNG), 5)
    with pytest.raises(InputError, match=r"K = 41: expected at most 40 atoms; use rip_by_babel"):
        rip_upper_bound(GaussianDictionary(8, 41).draw(RNG), 2)


def test_the_bounds_on_the_work_can_be_raised_and_lowered():
    D = GaussianDictionary(3, 5).draw(RNG)
    assert rip_constant_exact(D, 2, max_subsets=10).value == rip_constant_exact(D, 2).value
    with pytest.raises(InputError, match=r"10 subsets .* at most 9; .* or raise max_subsets"):
        rip_constant_exact(D, 2, max_subsets=9)
    assert rip_lower_bound(D, 3, n_sampled=4, max_subsets=54).kind == "lower bound"
    with pytest.raises(InputError, match=r"54 subsets .* at most 53; raise max_subsets"):
        rip_lower_bound(D, 3, n_sampled=4, max_subsets=53)
    with pytest.raises(InputError, match=r"75 products .* at most 74; raise max_products"):
        rip_by_babel(D, 2, max_products=74)


def test_single_atoms_are_looked_at_without_the_cosines_of_all_pairs():
    angles = np.linspace(0, math.pi, 100_000)
    certificate = rip_constant_exact(np.vstack([np.cos(angles), np.sin(angles)]), 1)
    assert certificate.value <= certificate.error


@pytest.mark.parametrize(
    "method", [rip_constant_exact, rip_upper_bound, rip_by_babel, rip_lower_bound]
)
def test_a_sparsity_outside_1_to_K_is_refused(method):
    for s in (0, 3):
        with pytest.raises(InputError, match=f"s = {s}: expected"):
            method(np.eye(2), s)


def test_a_negative_number_of_random_subsets_is_refused():
    with pytest.raises(InputError, match="n_sampled = -1"):
        rip_lower_bound(np.eye(2), 1, n_sampled=-1)
