import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, norm

from osae_theory.errors import InputError
from osae_theory.metrics.resolved import order_of_resolved_pairs, resolved_pairs
from osae_theory.problems import toy_spec

seeds = st.integers(0, 2**32 - 1)


def sparse_codes(K, n, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((K, n)) * (rng.random((K, n)) < rng.uniform(0, 1, (K, 1)))


def resolved_in_loops(codes, level):
    K, n = codes.shape
    occurring = sum(any(row != 0) for row in codes)
    found = np.zeros((K, K), dtype=bool)
    if occurring < 2:
        return found
    z = norm.ppf(1 - level / (2 * math.comb(occurring, 2)))
    for i in range(K):
        for j in range(K):
            differences = [codes[i, t] ** 2 - codes[j, t] ** 2 for t in range(n)]
            found[i, j] = sum(differences) > z * math.sqrt(n * np.var(differences, ddof=1))
    return found


def order_in_loops(order, resolved):
    right = wrong = 0
    for place, i in enumerate(order):
        for j in order[place + 1 :]:
            right += resolved[i][j]
            wrong += resolved[j][i]
    return (int(right) - int(wrong)) / (right + wrong) if right + wrong else math.nan


@given(K=st.integers(1, 6), n=st.integers(2, 60), level=st.floats(0.001, 0.9), seed=seeds)
def test_resolved_pairs_equal_plain_loops(K, n, level, seed):
    codes = sparse_codes(K, n, seed)
    np.testing.assert_array_equal(resolved_pairs(codes, level), resolved_in_loops(codes, level))


@given(K=st.integers(0, 7), n=st.integers(0, 7), seed=seeds)
def test_the_order_of_resolved_pairs_equals_plain_loops(K, n, seed):
    rng = np.random.default_rng(seed)
    resolved = rng.random((K, K)) < 0.5
    order = rng.permutation(K)[:n]
    found = order_of_resolved_pairs(order, resolved)
    np.testing.assert_equal(found, order_in_loops(order, resolved))


@given(K=st.integers(2, 8), seed=seeds)
def test_where_all_pairs_are_resolved_it_is_kendalls_tau(K, seed):
    order = np.random.default_rng(seed).permutation(K)
    everything = np.triu(np.ones((K, K), dtype=bool), 1)
    tau = kendalltau(np.arange(K), order).statistic
    assert order_of_resolved_pairs(order, everything) == pytest.approx(tau)


@given(K=st.integers(1, 6), n=st.integers(2, 40), seed=seeds)
def test_the_order_of_the_energies_has_no_pair_wrong(K, n, seed):
    codes = sparse_codes(K, n, seed)
    order = np.argsort(-np.sum(codes**2, axis=1), kind="stable")
    found = order_of_resolved_pairs(order, resolved_pairs(codes, 0.5))
    assert found == 1 or math.isnan(found)


def test_equal_frequencies_leave_no_pair_resolved_and_unequal_ones_most():
    some = [
        resolved_pairs(toy_spec(8, 30, 3, 2000, alpha=0.0, seed=seed).draw().codes).any()
        for seed in range(50)
    ]
    assert sum(some) <= 3
    zipf = resolved_pairs(toy_spec(8, 30, 3, 20_000, alpha=1.2).draw().codes)
    assert not np.tril(zipf).any()
    assert 0.6 < np.count_nonzero(zipf) / math.comb(30, 2) < 1


def test_atoms_used_together_are_compared_within_samples():
    # On every sample the first is a little larger: its lead has no error, but each energy has.
    rng = np.random.default_rng(0)
    first = rng.exponential(size=200)
    codes = np.stack([first, 0.99 * first])
    assert resolved_pairs(codes)[0, 1]
    assert not resolved_pairs(np.stack([first, 0.99 * rng.permutation(first)])).any()


def test_equal_atoms_atoms_that_never_occur_and_large_codes():
    codes = np.random.default_rng(0).random((3, 50))
    codes[1] = codes[0]
    codes[2] = 0
    for scale in (1e-150, 1.0, 1e200):
        found = resolved_pairs(scale * codes)
        assert found.tolist() == [[False, False, True], [False, False, True], [False] * 3]
    assert not resolved_pairs(0 * codes).any()


def test_random_orders_score_nothing_on_average():
    resolved = resolved_pairs(toy_spec(8, 30, 3, 5000).draw().codes)
    rng = np.random.default_rng(0)
    found = [order_of_resolved_pairs(rng.permutation(30), resolved) for _ in range(300)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(300)


def test_what_has_no_order_is_refused():
    resolved = np.zeros((3, 3), dtype=bool)
    with pytest.raises(InputError, match="the number of samples = 1"):
        resolved_pairs(np.ones((3, 1)))
    with pytest.raises(InputError, match="level = 1"):
        resolved_pairs(np.ones((3, 4)), 1.0)
    with pytest.raises(InputError, match="codes"):
        resolved_pairs(np.full((3, 4), np.nan))
    with pytest.raises(InputError, match="expected different atoms, from 0 to 2"):
        order_of_resolved_pairs([0, 0], resolved)
    with pytest.raises(InputError, match="expected different atoms, from 0 to 2"):
        order_of_resolved_pairs([0, 3], resolved)
    with pytest.raises(InputError, match="expected a square one"):
        order_of_resolved_pairs([0], resolved[:2])
