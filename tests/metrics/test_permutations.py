import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from osae_theory.errors import InputError
from osae_theory.metrics.permutations import orderedness_of_permutation

seeds = st.integers(0, 2**32 - 1)


@pytest.mark.theory
@given(width=st.integers(2, 60), seed=seeds)
def test_the_formula_is_spearmans_correlation_of_index_and_matched_index(width, seed):
    mu = np.random.default_rng(seed).permutation(width)
    expected = spearmanr(np.arange(width), mu).statistic
    assert orderedness_of_permutation(mu) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("width", [2, 3, 10, 4096])
def test_the_identity_scores_one_and_the_reversal_minus_one(width):
    identity = np.arange(width)
    assert orderedness_of_permutation(identity) == 1.0
    assert orderedness_of_permutation(identity[::-1]) == pytest.approx(-1.0, abs=1e-15)


@pytest.mark.theory
@given(width=st.integers(2, 30), seed=seeds)
def test_a_permutation_and_its_inverse_score_the_same(width, seed):
    mu = np.random.default_rng(seed).permutation(width)
    assert orderedness_of_permutation(mu) == orderedness_of_permutation(np.argsort(mu))


@pytest.mark.theory
@pytest.mark.parametrize("width", [3, 4, 5])
def test_only_the_identity_and_the_reversal_relabel_both_sides_without_changing_any_score(width):
    everything = [np.array(p) for p in itertools.permutations(range(width))]
    scores = {tuple(mu): orderedness_of_permutation(mu) for mu in everything}

    def relabelled(mu, pi):  # atom j of either side becomes atom pi(j)
        result = np.empty(width, dtype=int)
        result[pi] = pi[mu]
        return tuple(result)

    harmless = {
        tuple(pi)
        for pi in everything
        if all(scores[relabelled(mu, pi)] == scores[tuple(mu)] for mu in everything)
    }
    assert harmless == {tuple(range(width)), tuple(range(width))[::-1]}


@pytest.mark.parametrize("width", [0, 1])
def test_fewer_than_two_indices_have_no_orderedness(width):
    assert math.isnan(orderedness_of_permutation(np.arange(width)))


def test_short_integers_give_the_same_as_long_ones_without_overflow():
    mu = np.arange(100)[::-1]
    assert orderedness_of_permutation(mu.astype(np.int8)) == orderedness_of_permutation(mu)


def test_the_formula_gives_a_value_worked_out_by_hand():
    assert orderedness_of_permutation(np.array([3, 0, 2, 1])) == pytest.approx(1 - 6 * 14 / 60)


@pytest.mark.parametrize("mu", [[0, 0, 1], [1, 2, 3], [-1, 0, 1]])
def test_what_is_no_permutation_from_zero_is_refused(mu):
    with pytest.raises(InputError, match=r"expected a permutation of 0\.\.2"):
        orderedness_of_permutation(np.array(mu))


@given(width=st.integers(2, 12), seed=seeds)
def test_pairs_that_do_not_count_are_taken_out_and_the_others_ranked_again(width, seed):
    rng = np.random.default_rng(seed)
    mu, live = rng.permutation(width), rng.random(width) < 0.6
    found = orderedness_of_permutation(mu, live)
    kept = np.flatnonzero(live)
    if len(kept) < 2:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(kept, mu[kept]).statistic, abs=1e-12)


def test_a_mask_of_another_length_is_refused():
    with pytest.raises(InputError, match="live has length 2: expected 3"):
        orderedness_of_permutation(np.arange(3), np.array([True, False]))
