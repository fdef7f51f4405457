import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from osae_theory.errors import InputError
from osae_theory.metrics.comparisons import (
    HIGHER,
    LEVEL,
    LOWER,
    NOT_TOLD_APART,
    TOO_FEW,
    Difference,
    holm,
    paired_difference,
    paired_differences,
    word_for,
)

P_VALUES = st.lists(st.floats(0, 1), max_size=6)


def stepped_down(p_values, level):
    """Which hypotheses Holm's procedure rejects at a level, by its definition."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    rejected = set()
    for step, i in enumerate(order):
        if p_values[i] * (len(p_values) - step) > level:
            break
        rejected.add(i)
    return rejected


@given(P_VALUES, st.floats(0, 1))
def test_adjusted_values_reject_what_holms_steps_reject(p_values, level):
    adjusted = holm(p_values)
    # At level 1 the definition's steps may stop where the adjusted value is cut off at 1.
    if level < 1:
        assert {i for i, p in enumerate(adjusted) if p <= level} == stepped_down(p_values, level)


@given(P_VALUES)
def test_adjusting_keeps_the_order_and_never_lowers_a_value(p_values):
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    for i, j in combinations(range(len(p_values)), 2):
        if p_values[i] <= p_values[j]:
            assert adjusted[i] <= adjusted[j]


def test_adjusted_values_are_those_of_the_literature():
    # The example of Wright (1992), "Adjusted p-values for simultaneous inference".
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_what_is_no_p_value_is_refused(bad):
    with pytest.raises(InputError, match="p-value"):
        holm([0.5, bad])


def test_the_interval_and_the_p_value_are_those_of_students_paired_test():
    rng = np.random.default_rng(0)
    values, others = rng.normal(0.5, 0.1, 20), rng.normal(0.4, 0.1, 20)
    found = paired_difference([*values, None, 1.0], [*others, 1.0, math.nan])
    expected = stats.ttest_rel(values, others)
    assert found.n == 20
    assert found.p_different == pytest.approx(expected.pvalue)
    assert found.ci95 == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.mean == pytest.approx(np.mean(values - others))
    assert found.std == pytest.approx(np.std(values - others, ddof=1))
    assert found.p_level is None


def test_level_is_a_90_percent_interval_inside_the_margin():
    rng = np.random.default_rng(1)
    d = rng.normal(0.005, 0.02, 12)
    low, high = stats.ttest_1samp(d, 0).confidence_interval(0.9)
    farthest = max(abs(low), abs(high))
    for margin, inside in ((farthest * 1.001, True), (farthest * 0.999, False)):
        found = paired_difference(d.tolist(), [0.0] * 12, margin)
        assert (found.p_level < 0.05) is inside


def test_the_bootstrap_agrees_with_students_interval_on_normal_values_and_is_the_same_twice():
    d = np.random.default_rng(2).normal(0.1, 0.05, 40).tolist()
    found = paired_difference(d, [0.0] * 40)
    assert found.bootstrap95 == pytest.approx(found.ci95, abs=0.005)
    assert paired_difference(d, [0.0] * 40) == found
    assert paired_difference(d[:19], [0.0] * 19).bootstrap95 is None


def test_below_three_units_there_is_a_mean_and_nothing_else():
    assert paired_difference([], []) == Difference(None, None, None, 0, None, None, None)
    one = paired_difference([0.5], [0.25], 0.02)
    assert one == Difference(0.25, None, None, 1, None, None, None)
    two = paired_difference([0.5, 0.75], [0.25, 0.25], 0.02)
    assert (two.mean, two.ci95, two.p_different, two.p_level) == (0.375, None, None, None)
    assert paired_difference([1.0, 2.0, 4.0], [0.0] * 3).ci95 is not None


def test_equal_values_are_level_and_a_constant_difference_is_a_difference():
    same = paired_difference([0.5] * 4, [0.5] * 4, 0.02)
    assert (same.ci95, same.p_different, same.p_level) == ((0.0, 0.0), 1.0, 0.0)
    assert word_for(same, same.p_different, same.p_level) == LEVEL
    apart = paired_difference([0.75] * 4, [0.5] * 4, 0.02)
    assert (apart.ci95, apart.p_different, apart.p_level) == ((0.25, 0.25), 0.0, 1.0)
    assert word_for(apart, apart.p_different, apart.p_level) == HIGHER


def test_sequences_of_other_lengths_and_margins_that_are_none_are_refused():
    with pytest.raises(InputError, match="others has length 2: expected 1"):
        paired_difference([0.5], [0.5, 0.5])
    with pytest.raises(InputError, match=r"margin = 0\.0"):
        paired_difference([0.5], [0.5], 0.0)


@pytest.mark.parametrize(
    ("mean", "p_different", "p_level", "word"),
    [
        (0.1, 0.049, 0.9, HIGHER),
        (-0.1, 0.049, None, LOWER),
        (0.001, 0.049, 0.001, HIGHER),
        (0.001, 0.051, 0.049, LEVEL),
        (0.1, 0.051, 0.051, NOT_TOLD_APART),
        (0.1, 0.051, None, NOT_TOLD_APART),
        (0.1, None, None, TOO_FEW),
    ],
)
def test_the_word_follows_from_the_corrected_p_values(mean, p_different, p_level, word):
    ci95 = None if word == TOO_FEW else (mean - 1, mean + 1)
    difference = Difference(mean, 1.0, ci95, 5, 0.0, 0.0, None)
    assert word_for(difference, p_different, p_level) == word


def test_level_is_said_of_equal_methods_and_of_different_ones_at_most_in_1_of_20():
    rng = np.random.default_rng(3)
    words = {0.0: [], 0.02: []}
    for shift, said in words.items():
        for _ in range(400):
            d = rng.normal(shift, 0.015, 19).tolist()
            found = paired_difference(d, [0.0] * 19, 0.02)
            said.append(word_for(found, found.p_different, found.p_level))
    assert words[0.0].count(LEVEL) > 0.9 * 400
    assert words[0.0].count(HIGHER) + words[0.0].count(LOWER) < 0.08 * 400
    assert words[0.02].count(LEVEL) < 0.08 * 400


def test_pairs_tested_together_are_tested_as_if_alone():
    rng = np.random.default_rng(3)
    whole = [(rng.normal(0, 1, 7).tolist(), rng.normal(0.5, 1, 7).tolist()) for _ in range(3)]
    gap = ([*whole[0][0][:6], None], whole[0][1])
    pairs = [whole[0], gap, whole[1], ([1.0], [0.5]), whole[2], ([], [])]
    assert paired_differences(pairs, 0.02) == [paired_difference(*pair, 0.02) for pair in pairs]
    assert paired_differences([]) == []


def test_the_bootstrap_can_be_left_out():
    d = np.random.default_rng(2).normal(0.1, 0.05, 40).tolist()
    [found] = paired_differences([(d, [0.0] * 40)], resampled=False)
    assert found.bootstrap95 is None
    assert found.ci95 == paired_difference(d, [0.0] * 40).ci95
