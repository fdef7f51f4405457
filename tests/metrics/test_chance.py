import math

import numpy as np
import pytest

from osae_theory.errors import InputError
from osae_theory.metrics.chance import chance_stability
from osae_theory.metrics.stability import corrected, stability
from osae_theory.seeds import Axis, generator


@pytest.mark.theory
@pytest.mark.parametrize(
    ("d", "width", "prefix", "absolute", "stated", "rounding"),
    [
        (16, 32, None, False, 0.454, 0.0005),
        (80, 100, None, False, 0.258, 0.0005),
        (80, 100, 20, False, 0.187, 0.0005),
        (80, 100, 5, False, 0.105, 0.0005),
        (16, 32, None, True, 0.52, 0.005),
        (80, 100, None, True, 0.29, 0.005),
    ],
)
def test_the_levels_stated_by_the_theory_are_found(d, width, prefix, absolute, stated, rounding):
    level = chance_stability(d, width, prefix, absolute, n_draws=200)
    assert abs(level.mean - stated) <= 3 * level.standard_error + rounding
    assert level.absolute == absolute


@pytest.mark.theory
def test_the_spread_of_one_draw_at_the_small_toy_size_is_the_stated_one():
    level = chance_stability(16, 32, n_draws=200)
    # The standard error of a standard deviation is about sd / sqrt(2 n).
    assert abs(level.standard_deviation - 0.018) <= 3 * 0.018 / math.sqrt(400) + 0.0005


@pytest.mark.theory
def test_one_atom_without_sign_has_the_level_of_the_mean_absolute_cosine():
    level = chance_stability(3, 1, absolute=True, n_draws=400)
    assert abs(level.mean - 0.5) <= 3 * level.standard_error  # |cos| is uniform on a sphere


@pytest.mark.theory
def test_the_level_falls_with_the_prefix():
    levels = [chance_stability(80, 100, prefix).mean for prefix in (100, 20, 5)]
    assert levels[0] > levels[1] > levels[2]


def test_a_level_is_the_mean_of_its_draws_with_their_error():
    values = [
        stability(*generator(7, Axis.CHANCE, draw).standard_normal((2, 4, 6))) for draw in range(5)
    ]
    level = chance_stability(4, 6, n_draws=5, seed=7)
    assert level.mean == pytest.approx(np.mean(values), rel=1e-14)
    assert level.standard_deviation == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    assert level.standard_error == pytest.approx(level.standard_deviation / math.sqrt(5))
    assert level.n_draws == 5


@pytest.mark.theory
def test_a_prefix_has_the_level_of_truncated_wide_dictionaries():
    values = []
    for seed in range(300):
        D, E = np.random.default_rng(seed).standard_normal((2, 16, 32))
        values.append(stability(D, E, prefix=8))
    level = chance_stability(16, 32, prefix=8, n_draws=300)
    errors = math.hypot(level.standard_error, np.std(values, ddof=1) / math.sqrt(300))
    assert abs(level.mean - np.mean(values)) <= 3 * errors
    assert level == chance_stability(16, 8, n_draws=300)


def test_the_same_question_has_the_same_answer_and_another_seed_another():
    level = chance_stability(4, 6, n_draws=3)
    assert level is chance_stability(4, 6, n_draws=3, prefix=6)
    assert level.mean != chance_stability(4, 6, n_draws=3, seed=1).mean


def test_stability_at_chance_is_corrected_to_zero():
    chance = chance_stability(16, 32).mean
    assert corrected(chance, chance) == 0.0


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"d": 0, "K": 3}, "d = 0"),
        ({"d": 3, "K": 0}, "K = 0"),
        ({"d": 3, "K": 4, "n_draws": 1}, "n_draws = 1: expected a whole number of at least 2"),
        ({"d": 3, "K": 4, "prefix": 5}, "prefix = 5: expected at most 4"),
        ({"d": 3, "K": 4, "prefix": 0}, "prefix = 0"),
        ({"d": 3, "K": 4, "seed": -1}, "seed = -1"),
    ],
)
def test_impossible_questions_are_refused(question, message):
    with pytest.raises(InputError, match=message):
        chance_stability(**question)
