import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from osae_theory.errors import InputError
from osae_theory.metrics.matching import (
    Matching,
    cosines,
    live_atoms,
    match,
    match_models,
    match_rows,
    match_similarities,
    orderedness_range,
)
from osae_theory.sae import OrderedSAE

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


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-60, 1e170, 1e300])
def test_very_small_and_very_large_atoms_keep_their_cosines(scale):
    D, E = gaussian_pair(4, 5, 0)
    np.testing.assert_allclose(cosines(scale * D, E), cosines(D, E), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "entry",
    [
        np.float64(5e-324),
        np.finfo(np.float64).max,
        np.float32(1e-45),
        np.float16(6e-8),
    ],
)
def test_nothing_finite_and_nonzero_is_taken_for_zero(entry):
    D = np.zeros((3, 4), dtype=np.asarray(entry).dtype)
    D[0, 0] = D[1, 1] = D[2, 2] = entry
    found = match(D, np.eye(3, 4))
    np.testing.assert_array_equal(live_atoms(D), [True, True, True, False])
    np.testing.assert_array_equal(found.similarities, [1.0, 1.0, 1.0, 0.0])
    assert (found.stability, found.orderedness, found.left_out) == (0.75, 1.0, 0.25)


@given(d=st.integers(2, 8), width=st.integers(2, 8), seed=seeds)
def test_the_layout_in_memory_changes_no_bit(d, width, seed):
    D, E = gaussian_pair(d, width, seed)
    expected = match(D, E)
    found = match(np.asfortranarray(D), np.asfortranarray(E))
    np.testing.assert_array_equal(found.similarities, expected.similarities)


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
    with pytest.raises(InputError, match="for atoms as rows, match_rows"):
        match(D, D[:2])
    with pytest.raises(InputError, match=r"the columns$"):
        cosines(D, D[:2, :3])


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
    S = np.ones((5, 5))
    first, second = match_similarities(S), match_similarities(S.copy())
    np.testing.assert_array_equal(first.permutation, second.permutation)
    np.testing.assert_array_equal(np.sort(first.permutation), np.arange(5))


# Zero atoms, dead latents, ties.


def whole_number_pair(width, seed):
    """Dictionaries of few different atoms, zero ones among them: ties are the rule."""
    rng = np.random.default_rng(seed)
    D, E = (np.eye(3)[:, rng.integers(0, 3, width)] * rng.integers(0, 2, width) for _ in range(2))
    return D, E


def ord_in_loops(mu, live_rows, live_columns):
    """Spearman's correlation over the pairs alive on both sides; NaN below two."""
    kept = [j for j in range(len(mu)) if live_rows[j] and live_columns[mu[j]]]
    if len(kept) < 2:
        return math.nan
    return spearmanr(kept, [mu[j] for j in kept]).statistic


def tied_optima(S):
    """All permutations of the greatest sum, of whole numbers."""
    sums = {
        mu: sum(S[j, i] for j, i in enumerate(mu)) for mu in itertools.permutations(range(len(S)))
    }
    return [mu for mu, total in sums.items() if total == max(sums.values())]


@given(width=st.integers(1, 5), tie_seed=st.integers(0, 50), seed=seeds)
def test_with_ties_and_zero_atoms_ord_is_that_of_an_optimum_over_its_live_pairs(
    width, tie_seed, seed
):
    D, E = whole_number_pair(width, seed)
    S, live = D.T @ E, (D.any(axis=0), E.any(axis=0))
    found = match(D, E, tie_seed=tie_seed)
    optima = tied_optima(S)
    assert tuple(found.permutation.tolist()) in optima
    expected = ord_in_loops(found.permutation, *live)
    assert found.orderedness == pytest.approx(expected, abs=1e-12, nan_ok=True)
    both = [live[0][j] and live[1][i] for j, i in enumerate(found.permutation)]
    assert found.left_out == pytest.approx(1 - np.mean(both))
    values = [ord_in_loops(mu, *live) for mu in optima]
    bounds = [np.nan, np.nan] if np.isnan(values).all() else [np.nanmin(values), np.nanmax(values)]
    ends = orderedness_range(S, live=live)
    np.testing.assert_allclose(ends, bounds, rtol=0, atol=1e-12)
    if not math.isnan(found.orderedness):
        assert ends[0] - 1e-12 <= found.orderedness <= ends[1] + 1e-12


@pytest.mark.theory
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.8])
def test_zero_atoms_do_not_raise_ord_of_unrelated_dictionaries(share, last):
    found, n = [], round(50 * share)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        D, E = rng.standard_normal((2, 16, 50))
        for A in (D, E):
            A[:, np.arange(50 - n, 50) if last else rng.permutation(50)[:n]] = 0.0
        matching = match(D, E)
        assert matching.left_out >= n / 50 - 1e-12
        found.append(matching.orderedness)
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(60)


def test_dictionaries_of_zero_atoms_have_no_ord_and_leave_everything_out():
    found = match(np.zeros((4, 6)), np.zeros((4, 6)))
    assert math.isnan(found.orderedness)
    assert math.isnan(found.recovered_orderedness(0.0))
    assert (found.left_out, found.stability) == (1.0, 0.0)


def test_one_live_pair_has_no_ord():
    D = np.zeros((3, 4))
    D[:, 2] = 1.0
    found = match(D, D)
    assert math.isnan(found.orderedness)
    assert found.left_out == 0.75


def test_copies_of_one_atom_have_no_order_on_average_and_the_whole_range_is_told():
    D = np.ones((3, 6))
    values = [match(D, D, tie_seed=tie_seed).orderedness for tie_seed in range(100)]
    assert len(set(values)) > 10
    assert abs(np.mean(values)) < 3 * np.std(values) / 10
    assert orderedness_range(cosines(D, D)) == (-1.0, 1.0)


@given(width=st.integers(2, 6), seed=seeds)
def test_without_ties_the_range_of_ord_is_one_value(width, seed):
    S = np.random.default_rng(seed).standard_normal((width, width))
    for absolute in (False, True):
        expected = match_similarities(S, absolute).orderedness
        assert orderedness_range(S, absolute) == (expected, expected)


def test_the_range_is_found_for_at_most_eight_atoms():
    S = np.eye(9)
    assert orderedness_range(S, prefix=8) == (1.0, 1.0)
    with pytest.raises(InputError, match="9 atoms to match: expected at most 8"):
        orderedness_range(S)


def test_a_latent_said_to_be_dead_keeps_its_place_in_stab_and_has_none_in_ord():
    D = np.eye(5)
    E = D[:, [4, 1, 2, 3, 0]]
    live = np.array([False, True, True, True, True])
    found = match(D, E, live=(live, np.ones(5, dtype=bool)))
    assert found.stability == 1.0
    assert found.orderedness == pytest.approx(-0.2)  # 2, 3, 4, 5 meet 2, 3, 4, 1
    assert found.left_out == pytest.approx(0.2)
    assert found.recovered_orderedness() == found.orderedness
    assert match(D, E).orderedness < 0 < match(D, E, prefix=4, live=(live, live)).orderedness


def test_a_mask_of_another_length_is_refused():
    live = np.ones(4, dtype=bool)
    with pytest.raises(InputError, match=r"live has lengths \(4, 4\): expected \(5, 5\)"):
        match(np.eye(5), np.eye(5), live=(live, live))
    with pytest.raises(InputError, match=r"live has lengths \(4, 4\)"):
        match_similarities(np.eye(5), live=(live, live))


@given(width=st.integers(1, 8), seed=seeds)
def test_a_matching_reordered_is_the_matching_of_the_reordered_dictionary(width, seed):
    D, E = gaussian_pair(4, width, seed)
    D[:, 0] = 0.0
    order = np.random.default_rng(seed).permutation(width)
    found, expected = match(D, E).reordered(order), match(D[:, order], E)
    np.testing.assert_array_equal(found.live, expected.live)
    np.testing.assert_array_equal(found.similarities, expected.similarities)
    assert found.orderedness == pytest.approx(expected.orderedness, abs=1e-12, nan_ok=True)
    with pytest.raises(InputError, match="order = "):
        found.reordered(order[:-1])


# Atoms as rows.


@pytest.mark.parametrize("absolute", [False, True])
@given(d=st.integers(2, 6), width=st.integers(1, 6), seed=seeds)
def test_atoms_as_rows_are_matched_as_the_same_atoms_as_columns(absolute, d, width, seed):
    D, E = gaussian_pair(d, width, seed)
    expected = match(D, E, absolute)
    models = [SimpleNamespace(components_=A.T.copy()) for A in (D, E)]
    for found in (match_rows(D.T, E.T, absolute), match_models(*models, absolute)):
        np.testing.assert_array_equal(found.permutation, expected.permutation)
        np.testing.assert_array_equal(found.similarities, expected.similarities)


def test_two_fitted_models_are_matched_by_their_atoms():
    X = np.random.default_rng(0).standard_normal((60, 8))
    first, second = (
        OrderedSAE(8, 2, n_steps=5, batch_size=20, random_state=seed).fit(X) for seed in (0, 1)
    )
    found = match_models(first, second, prefix=6)
    expected = match(first.components_.T, second.components_.T, prefix=6)
    np.testing.assert_array_equal(found.permutation, expected.permutation)
    assert found.stability == expected.stability


def test_what_has_no_components_is_refused_by_its_type():
    with pytest.raises(InputError, match="first is of type OrderedSAE: expected a fitted model"):
        match_models(OrderedSAE(4, 2), OrderedSAE(4, 2))
    with pytest.raises(InputError, match="second is of type ndarray"):
        match_models(SimpleNamespace(components_=np.eye(3)), np.eye(3))


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
