import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.metrics import (
    chance_stability,
    cosines,
    match_similarities,
    sinkhorn_plan,
    sinkhorn_stability,
)


def similarities(K, seed=0, d=6):
    D, E = np.random.default_rng(seed).standard_normal((2, d, K))
    return cosines(D, E)


@given(
    K=st.integers(1, 8),
    temperature=st.floats(0.002, 10.0),
    iterations=st.integers(1, 300),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_plan_is_a_soft_matching_and_none_is_better_than_the_best(
    K, temperature, iterations, seed
):
    S = similarities(K, seed)
    plan = sinkhorn_plan(S, temperature, max_iterations=iterations)
    assert (plan >= 0).all()
    np.testing.assert_allclose(plan.sum(axis=0), 1.0, atol=1e-9)
    np.testing.assert_allclose(plan.sum(axis=1), 1.0, atol=1e-9)
    soft = sinkhorn_stability(S, temperature, max_iterations=iterations)
    assert soft <= match_similarities(S).stability + 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_as_the_temperature_goes_to_zero_it_is_the_best_matching(seed):
    S = similarities(7, seed)
    best = match_similarities(S)
    gaps = [
        best.stability - sinkhorn_stability(S, temperature, max_iterations=2000)
        for temperature in (0.3, 0.1, 0.03, 0.005)
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 2e-3
    # A plan of this entropy is at most temperature * log(K) short of the best.
    assert all(
        gap <= temperature * np.log(7) + 1e-6
        for gap, temperature in zip(gaps, (0.3, 0.1, 0.03, 0.005), strict=True)
    )


def test_no_other_plan_has_a_greater_sum_with_its_entropy():
    S, temperature = similarities(5), 0.3
    plan = sinkhorn_plan(S, temperature, max_iterations=5000)
    # The derivative of the sum with its entropy; on soft matchings it may differ by row and column.
    slope = S - temperature * np.log(plan)
    centred = slope - slope.mean(axis=0) - slope.mean(axis=1, keepdims=True) + slope.mean()
    np.testing.assert_allclose(centred, 0.0, atol=1e-3)


def test_equal_similarities_are_shared_out_evenly():
    np.testing.assert_allclose(sinkhorn_plan(np.full((4, 4), 0.3)), 0.25)
    assert sinkhorn_stability(np.full((4, 4), 0.3)) == pytest.approx(0.3)


def test_the_chance_level_of_soft_stab_is_that_of_drawn_dictionaries_and_below_stabs():
    soft = chance_stability(6, 12, n_draws=10, temperature=0.05)
    values = [sinkhorn_stability(similarities(12, seed), 0.05) for seed in range(10)]
    spread = np.hypot(soft.standard_error, np.std(values) / np.sqrt(10))
    assert abs(soft.mean - np.mean(values)) < 4 * spread
    assert soft.mean < chance_stability(6, 12, n_draws=10).mean


@pytest.mark.parametrize(
    ("S", "changes", "message"),
    [
        (np.ones((2, 3)), {}, r"S has shape \(2, 3\): expected a square matrix"),
        (np.full((2, 2), np.nan), {}, "nan"),
        (np.ones((2, 2)), {"temperature": 0.0}, "temperature = 0"),
        (np.ones((2, 2)), {"max_iterations": 0}, "max_iterations = 0"),
    ],
)
def test_what_has_no_plan_is_refused(S, changes, message):
    with pytest.raises(InputError, match=message):
        sinkhorn_plan(S, **changes)
