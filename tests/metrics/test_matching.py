import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from osae_theory.errors import InputError
from osae_theory.metrics.matching import Matching, cosines, match, match_similarities

seeds = st.integers(0, 2**32 - 1)


def gaussian_pair(d, width, seed):
    first, second = np.random.default_rng(seed).standard_normal((2, d, width))
    return first, second


def cosines_in_loops(D, E):
    result = np.zeros((D.shape[1], E.shape[1]))
    for j in range(D.shape[1]):
        for k in range(E.shape[1]):
            norms = math.sqrt(sum(D[:, j] ** 2)) * math.sqrt(sum(E[:, k] ** 2))
            result[j, k] = sum(D[:, j] * E[:, k]) / norms if norms > 0 else 0.0
    return result


def best_of_all_permutations(S):
    """Return the permutation with the greatest sum, and that sum, by trying them all."""
    width = len(S)
    candidates = np.array(list(itertools.permutations(range(width))))
    sums = S[np.arange(width), candidates].sum(axis=1)
    return candidates[sums.argmax()], sums.max()


@given(d=st.integers(1, 6), width=st.integers(1, 6), other=st.integers(1, 6), seed=seeds)
def test_cosines_equal_plain_loops(d, width, other, seed):
    rng = np.random.default_rng(seed)
    D, E = rng.standard_normal((d, width)), rng.standard_normal((d, other))
    np.testing.assert_allclose(cosines(D, E), cosines_in_loops(D, E), rtol=0, atol=1e-14)


def test_an_atom_of_norm_zero_has_cosine_zero_with_every_atom():
    D = np.array([[0.0, 3.0], [0.0, 4.0]])
    np.testing.assert_allclose(cosines(D, D), [[0.0, 0.0], [0.0, 1.0]], rtol=0, atol=1e-15)
    assert cosines(D, D)[0, 0] == 0.0


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e170, 1e300])
def test_very_small_and_very_large_atoms_keep_their_cosines(scale):
    D, E = gaussian_pair(4, 5, 0)
    np.testing.assert_allclose(cosines(scale * D, E), cosines(D, E), rtol=0, atol=1e-14)


@given(d=st.integers(1, 20), width=st.integers(1, 20), seed=seeds)
def test_cosines_never_leave_minus_one_to_one(d, width, seed):
    D, _ = gaussian_pair(d, width, seed)
    assert np.abs(cosines(D, D)).max() <= 1.0
    assert np.abs(cosines(D, -D)).max() <= 1.0


def test_float32_dictionaries_are_computed_in_float64():
    D, E = (A.astype(np.float32) for A in gaussian_pair(6, 8, 3))
    found = cosines(D, E)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, cosines(D.astype(np.float64), E.astype(np.float64)))
    assert match(D, E).similarities.dtype == np.float64


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_entry_that_is_not_finite_is_refused_by_name(bad):
    D, E = gaussian_pair(3, 4, 0)
    broken = E.copy()
    broken[2, 1] = bad
    with pytest.raises(InputError, match=r"E\[2, 1\] = -?(nan|inf)"):
        cosines(D, broken)
    with pytest.raises(InputError, match=r"D\[2, 1\]"):
        match(broken, D)
    with pytest.raises(InputError, match=r"S\[2, 1\]"):
        match_similarities(broken, prefix=3)


def test_atoms_of_different_length_are_refused():
    D, _ = gaussian_pair(3, 4, 0)
    with pytest.raises(InputError, match="length 2: expected 3"):
        match(D, D[:2])


@pytest.mark.theory
@pytest.mark.parametrize("absolute", [False, True])
@given(d=st.integers(2, 6), width=st.integers(1, 6), seed=seeds)
def test_the_matching_is_the_best_of_all_permutations(absolute, d, width, seed):
    D, E = gaussian_pair(d, width, seed)
    S = cosines_in_loops(D, E)
    mu, total = best_of_all_permutations(np.abs(S) if absolute else S)
    found = match(D, E, absolute)
    np.testing.assert_array_equal(found.permutation, mu)
    np.testing.assert_allclose(found.similarities, S[np.arange(width), mu], rtol=0, atol=1e-14)
    assert found.stability == pytest.approx(total / width, abs=1e-14)
    if width > 1:
        expected = spearmanr(np.arange(width), mu).statistic
        assert found.orderedness == pytest.approx(expected, abs=1e-12)


def test_similarities_keep_their_sign_when_matched_without_it():
    D = np.eye(3)
    found = match(D, -D, absolute=True)
    np.testing.assert_array_equal(found.permutation, [0, 1, 2])
    np.testing.assert_array_equal(found.similarities, [-1.0, -1.0, -1.0])
    assert found.absolute
    assert found.stability == 1.0


def test_a_tie_is_always_broken_the_same_way():
    S = np.zeros((5, 5))
    first, second = match_similarities(S), match_similarities(S.copy())
    np.testing.assert_array_equal(first.permutation, second.permutation)
    np.testing.assert_array_equal(np.sort(first.permutation), np.arange(5))


@pytest.mark.parametrize("absolute", [False, True])
@given(d=st.integers(2, 5), width=st.integers(1, 8), extra=st.integers(0, 4), seed=seeds)
def test_a_prefix_equals_slicing_both_dictionaries(absolute, d, width, extra, seed):
    rng = np.random.default_rng(seed)
    D, E = rng.standard_normal((d, width)), rng.standard_normal((d, width + extra))
    prefix = int(rng.integers(1, width + 1))
    sliced = match(D[:, :prefix], E[:, :prefix], absolute)
    for found in (
        match(D, E, absolute, prefix),
        match_similarities(cosines(D, E), absolute, prefix),
    ):
        np.testing.assert_array_equal(found.permutation, sliced.permutation)
        np.testing.assert_allclose(found.similarities, sliced.similarities, rtol=0, atol=1e-15)


def test_unequal_widths_without_a_prefix_are_refused_and_told_to_give_one():
    D, E = gaussian_pair(3, 5, 0)
    with pytest.raises(InputError, match="widths 5 and 4 differ: give a prefix of at most 4"):
        match(D, E[:, :4])
    with pytest.raises(InputError, match="give a prefix of at most 4"):
        match_similarities(np.zeros((4, 5)))


@pytest.mark.parametrize("prefix", [0, -1, 5])
def test_a_prefix_outside_both_widths_is_refused(prefix):
    D, E = gaussian_pair(3, 5, 0)
    with pytest.raises(InputError, match=f"prefix = {prefix}: expected"):
        match(D, E[:, :4], prefix=prefix)


def test_dictionaries_without_atoms_are_refused():
    with pytest.raises(InputError, match="width = 0"):
        match(np.zeros((3, 0)), np.zeros((3, 0)))


def test_a_single_atom_has_a_stability_and_no_orderedness():
    D, E = gaussian_pair(3, 1, 0)
    found = match(D, E)
    assert found.stability == pytest.approx(cosines_in_loops(D, E)[0, 0])
    assert math.isnan(found.orderedness)


def test_recovered_pairs_are_those_at_or_above_the_threshold_with_either_sign():
    found = Matching(np.arange(4), np.array([0.9, -0.95, 0.89, 0.0]), absolute=False)
    np.testing.assert_array_equal(found.recovered(), [True, True, False, False])
    np.testing.assert_array_equal(found.recovered(0.0), [True, True, True, True])
    assert found.recovered_share() == 0.5
    assert found.recovered_share(1.0) == 0.0


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_zero_to_one_is_refused(threshold):
    found = Matching(np.arange(2), np.ones(2), absolute=False)
    with pytest.raises(InputError, match="threshold"):
        found.recovered(threshold)


@pytest.mark.theory
@given(width=st.integers(2, 20), seed=seeds)
def test_recovered_orderedness_is_spearmans_correlation_over_the_recovered_pairs(width, seed):
    rng = np.random.default_rng(seed)
    found = Matching(rng.permutation(width), rng.uniform(-1, 1, width), absolute=True)
    kept = [j for j in range(width) if abs(found.similarities[j]) >= 0.5]
    if len(kept) < 2:
        assert math.isnan(found.recovered_orderedness(0.5))
    else:
        expected = spearmanr(kept, found.permutation[kept]).statistic
        assert found.recovered_orderedness(0.5) == pytest.approx(expected, abs=1e-12)


def test_junk_pairs_disturb_orderedness_and_not_recovered_orderedness():
    permutation = np.array([0, 5, 2, 3, 4, 1])
    similarities = np.array([1.0, 0.1, 0.95, 0.9, 1.0, -0.2])
    found = Matching(permutation, similarities, absolute=False)
    assert found.orderedness < 0.5
    assert found.recovered_orderedness() == 1.0
