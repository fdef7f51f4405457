import numpy as np
import pytest

from benchmarks.analysis.comparisons import compare, leaders
from osae_theory.metrics.comparisons import holm, paired_difference

RNG = np.random.default_rng(0)
# Over twelve draws: b is above a, c is level with b, and d scatters too much to tell.
VALUES = {
    "a": RNG.normal(0.80, 0.005, 12).tolist(),
    "b": RNG.normal(0.90, 0.005, 12).tolist(),
    "c": RNG.normal(0.90, 0.005, 12).tolist(),
    "d": RNG.normal(0.90, 0.400, 12).tolist(),
}


def test_every_pair_is_compared_once_the_later_minus_the_earlier():
    found = compare("stab", VALUES, 0.02)
    pairs = [(one.variant, one.other) for one in found]
    assert pairs == [("b", "a"), ("c", "a"), ("d", "a"), ("c", "b"), ("d", "b"), ("d", "c")]
    assert {one.metric for one in found} == {"stab"}


def test_the_words_are_those_of_the_differences_corrected_for_all_pairs():
    found = compare("stab", VALUES, 0.02)
    words = {one.variant + one.other: one.word for one in found}
    assert words == {
        "ba": "higher",
        "ca": "higher",
        "da": "not told apart",
        "cb": "level",
        "db": "not told apart",
        "dc": "not told apart",
    }
    single = [paired_difference(VALUES[one.variant], VALUES[one.other], 0.02) for one in found]
    assert [one.p_different for one in found] == holm([one.p_different for one in single])
    assert [one.p_level for one in found] == holm([one.p_level for one in single])


def test_without_a_margin_nothing_is_level():
    found = compare("mse", VALUES, None)
    assert {one.word for one in found} == {"higher", "not told apart"}
    assert {one.p_level for one in found} == {None}


@pytest.mark.parametrize(("higher", "best"), [(True, {"b", "c", "d"}), (False, {"a", "d"})])
def test_the_best_stands_with_all_that_are_not_told_apart_from_it(higher, best):
    means = {"a": 0.8, "b": 0.9, "c": 0.9001, "d": 0.89}
    assert leaders(compare("stab", VALUES, 0.02), means, higher) == best


def test_with_few_draws_or_one_method_none_is_the_best():
    few = {method: values[:2] for method, values in VALUES.items()}
    means = {method: np.mean(values) for method, values in few.items()}
    assert leaders(compare("stab", few, 0.02), means, True) == frozenset()
    assert leaders([], {"a": 0.8}, True) == frozenset()
    assert leaders([], {"a": None}, True) == frozenset()


def test_a_method_without_values_is_left_out_of_the_correction():
    without = {**VALUES, "e": [None] * 12}
    found = {(one.variant, one.other): one for one in compare("stab", without, 0.02)}
    assert found["e", "a"].word == "too few units"
    for one in compare("stab", VALUES, 0.02):
        assert found[one.variant, one.other] == one
    means = {"a": 0.8, "b": 0.9, "c": 0.9001, "d": 0.89, "e": None}
    assert leaders(list(found.values()), means, True) == {"b", "c", "d"}


def test_the_bootstrap_is_left_out_where_it_is_not_asked_for():
    twenty = {method: [*values, *values][:20] for method, values in VALUES.items()}
    asked, unasked = compare("stab", twenty, 0.02), compare("stab", twenty, 0.02, resampled=False)
    assert all(one.difference.bootstrap95 is not None for one in asked)
    assert all(one.difference.bootstrap95 is None for one in unasked)
    assert [one.word for one in asked] == [one.word for one in unasked]
