import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from osae_theory.errors import InputError
from osae_theory.metrics import chance as module
from osae_theory.metrics.chance import chance_orderedness, chance_stability
from osae_theory.metrics.matching import match
from osae_theory.metrics.permutations import orderedness_of_permutation
from osae_theory.metrics.stability import corrected, stability
from osae_theory.portable import standard_normal
from osae_theory.seeds import Axis, generator


@pytest.mark.theory
@pytest.mark.parametrize(
    ("d", "width", "prefix", "absolute", "stated", "rounding"),
    [
        (16, 32, None, False, 0.454, 0.0005),
        (80, 100, None, False, 0.259, 0.0005),
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
        stability(*standard_normal(generator(7, Axis.CHANCE, draw), (2, 4, 6))) for draw in range(5)
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
    assert level == chance_stability(4, 6, n_draws=3, prefix=6)
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
        ({"d": 3, "K": 4, "zeros": (5, 0)}, "zeros = 5: expected at most 4"),
        ({"d": 3, "K": 4, "zeros": (0, -1)}, "zeros = -1"),
        ({"d": 3, "K": 4, "precision": -1.0}, "precision = -1.0"),
    ],
)
def test_impossible_questions_are_refused(question, message):
    with pytest.raises(InputError, match=message):
        chance_stability(**question)


# Zero atoms, cost and progress.


def test_the_level_of_dictionaries_with_zero_atoms_is_that_of_such_draws():
    values = []
    for draw in range(6):
        D, E = generator(0, Axis.CHANCE, draw).standard_normal((2, 5, 9))
        D[:, [1, 4]], E[:, [0, 7, 8]] = 0.0, 0.0
        values.append(stability(D, E))
    level = chance_stability(5, 9, n_draws=300, zeros=(2, 3))
    assert abs(level.mean - np.mean(values)) < 4 * np.std(values, ddof=1) / math.sqrt(6)
    assert level == chance_stability(5, 9, n_draws=300, zeros=(3, 2))
    assert level.zeros == (2, 3)


def test_zero_atoms_lower_the_level_and_nothing_but_zeros_has_level_zero():
    levels = [chance_stability(8, 16, zeros=(n, n)).mean for n in (0, 4, 8, 16)]
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] == 0.0


def test_drawing_ends_as_soon_as_the_mean_is_known_to_the_precision():
    every = chance_stability(64, 48, n_draws=40, precision=0.0)
    assert every.n_draws == 40
    for precision in (0.02, 0.005):
        level = chance_stability(64, 48, n_draws=40, precision=precision)
        assert 4 <= level.n_draws < 40
        half = stats.t.ppf(0.975, level.n_draws - 1) * level.standard_error
        assert half <= precision
        before = chance_stability(64, 48, n_draws=level.n_draws - 1, precision=0.0)
        wider = stats.t.ppf(0.975, before.n_draws - 1) * before.standard_error
        assert level.n_draws == 4 or wider > precision
        # It is the mean of the same first draws.
        assert level.mean == chance_stability(64, 48, n_draws=level.n_draws, precision=0).mean


def test_progress_is_told_before_the_first_draw_and_after_each():
    told = []
    level = chance_stability(3, 5, n_draws=6, seed=11, on_progress=lambda *at: told.append(at))
    assert told == [(done, 6) for done in range(level.n_draws + 1)]


def test_draws_are_made_once_whoever_asks_for_them(monkeypatch):
    made = []
    draw = module._gaussian_pair
    monkeypatch.setattr(module, "_gaussian_pair", lambda *a: made.append(a) or draw(*a))
    chance_stability(3, 5, n_draws=4, seed=12)
    chance_stability(3, 5, n_draws=6, seed=12)
    chance_stability(3, 9, prefix=5, n_draws=6, seed=12)
    assert len(made) == 6


# Ord.


def restricted_permutations(blocks, other):
    """All permutations that take each block onto itself, one by one."""
    for mu in itertools.permutations(range(len(blocks))):
        if all(blocks[j] == other[i] for j, i in enumerate(mu)):
            yield np.array(mu)


@given(
    blocks=st.lists(st.integers(0, 2), min_size=2, max_size=6),
    shuffled=st.randoms(use_true_random=False),
)
def test_ords_level_is_the_mean_and_deviation_over_the_permutations_that_keep_the_blocks(
    blocks, shuffled
):
    other = list(blocks)
    shuffled.shuffle(other)
    values = [orderedness_of_permutation(mu) for mu in restricted_permutations(blocks, other)]
    level = chance_orderedness(np.array(blocks), np.array(other))
    assert level.mean == pytest.approx(np.mean(values), abs=1e-12)
    assert level.standard_deviation == pytest.approx(np.std(values), abs=1e-7)


@pytest.mark.parametrize("width", [2, 5, 100])
def test_without_dead_or_tied_latents_ords_level_is_zero(width):
    level = chance_orderedness(np.zeros(width, dtype=int))
    assert level.mean == 0.0
    assert level.standard_deviation == pytest.approx((width - 1) ** -0.5)


@pytest.mark.parametrize(("dead", "measured"), [(6, 0.16), (10, 0.28), (20, 0.49)])
def test_a_dead_block_kept_last_explains_the_ord_of_unrelated_streams(dead, measured):
    """The measured values are means over 20 pairs of streams of 100 latents."""
    level = chance_orderedness((np.arange(100) >= 100 - dead).astype(int))
    assert abs(level.mean - measured) < 3 * level.standard_deviation / math.sqrt(20)


def test_blocks_that_cannot_be_mapped_onto_each_other_are_refused():
    with pytest.raises(InputError, match="number of latents = 1"):
        chance_orderedness(np.zeros(1, dtype=int))
    with pytest.raises(InputError, match="expected them as often"):
        chance_orderedness(np.array([0, 0, 1]), np.array([0, 1, 1]))


def test_unrelated_dictionaries_with_zero_atoms_score_the_levels_that_are_given():
    found = []
    for seed in range(60):
        D, E = np.random.default_rng(seed).standard_normal((2, 8, 20))
        D[:, 15:], E[:, 14:] = 0.0, 0.0
        found.append(match(D, E))
    level = chance_stability(8, 20, n_draws=200, zeros=(5, 6))
    stab, ord_ = ([getattr(m, name) for m in found] for name in ("stability", "orderedness"))
    for values, mean, own in ((stab, level.mean, level.standard_error), (ord_, 0.0, 0.0)):
        assert abs(np.mean(values) - mean) < 3 * math.hypot(np.std(values) / math.sqrt(60), own)
