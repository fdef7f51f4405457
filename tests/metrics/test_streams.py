import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.metrics.chance import chance_orderedness
from osae_theory.metrics.matching import match
from osae_theory.metrics.permutations import orderedness_of_permutation
from osae_theory.metrics.streams import (
    activation_correlations,
    live_latents,
    match_activations,
    mean_correlation,
)

seeds = st.integers(0, 2**32 - 1)


def streams(width, other, n, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((width, n)) + 3.0, rng.standard_normal((other, n)) - 2.0


@pytest.mark.theory
@given(width=st.integers(1, 6), other=st.integers(1, 6), n=st.integers(3, 40), seed=seeds)
def test_correlations_equal_numpys(width, other, n, seed):
    Z, W = streams(width, other, n, seed)
    expected = np.corrcoef(Z, W)[:width, width:]
    np.testing.assert_allclose(activation_correlations(Z, W), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.1, -7.3, 1e300])
def test_a_constant_row_has_correlation_zero_with_every_row(constant):
    Z, W = streams(3, 3, 7, 0)
    Z[1] = constant
    W[2] = constant
    found = activation_correlations(Z, W)
    np.testing.assert_array_equal(found[1], 0.0)
    np.testing.assert_array_equal(found[:, 2], 0.0)
    assert np.abs(found[[0, 2]][:, :2]).min() > 0.0


@given(width=st.integers(1, 8), n=st.integers(10, 40), seed=seeds)
def test_correlations_do_not_depend_on_the_units_or_the_offset_of_a_latent(width, n, seed):
    Z, W = streams(width, width, n, seed)
    rng = np.random.default_rng(seed + 1)
    scales, offsets = rng.uniform(0.1, 10.0, (width, 1)), rng.standard_normal((width, 1))
    expected = activation_correlations(Z, W)
    found = activation_correlations(Z * scales + offsets, W)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("scale", [1e-300, 1e170, 1e300])
def test_very_small_and_very_large_activations_keep_their_correlations(scale):
    Z, W = streams(3, 4, 9, 1)
    expected = activation_correlations(Z, W)
    np.testing.assert_allclose(activation_correlations(scale * Z, W), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("absolute", [False, True])
@given(width=st.integers(2, 8), n=st.integers(3, 30), seed=seeds)
def test_stream_matching_is_the_matching_of_the_centred_rows_as_atoms(absolute, width, n, seed):
    Z, W = streams(width, width, n, seed)
    centred = [(A - A.mean(axis=1, keepdims=True)).T for A in (Z, W)]
    expected = match(centred[0], centred[1], absolute)
    found = match_activations(Z, W, absolute)
    assert found.stability == pytest.approx(expected.stability, abs=1e-12)
    assert found.absolute == absolute


@given(width=st.integers(2, 10), seed=seeds)
def test_permuted_latents_are_found_again(width, seed):
    Z, _ = streams(width, 1, 25, seed)
    permutation = np.random.default_rng(seed).permutation(width)
    found = match_activations(Z, Z[permutation])
    np.testing.assert_array_equal(found.permutation, np.argsort(permutation))
    assert found.stability == pytest.approx(1.0, abs=1e-14)


def test_flipped_latents_match_without_sign_and_not_with_it():
    Z, _ = streams(4, 1, 25, 0)
    assert match_activations(Z, -Z, absolute=True).stability == pytest.approx(1.0, abs=1e-14)
    assert match_activations(Z, -Z).stability < 0.9


def test_a_prefix_equals_slicing_both_streams():
    Z, W = streams(6, 8, 30, 4)
    found, sliced = match_activations(Z, W, prefix=5), match_activations(Z[:5], W[:5])
    np.testing.assert_array_equal(found.permutation, sliced.permutation)
    np.testing.assert_array_equal(found.similarities, sliced.similarities)


def test_float32_activations_are_computed_in_float64():
    Z, W = (A.astype(np.float32) for A in streams(3, 4, 20, 0))
    found = activation_correlations(Z, W)
    assert found.dtype == np.float64
    expected = activation_correlations(Z.astype(np.float64), W.astype(np.float64))
    np.testing.assert_array_equal(found, expected)


def test_streams_that_cannot_be_compared_are_refused():
    Z, W = streams(3, 4, 20, 0)
    with pytest.raises(InputError, match="W has 19 samples: expected 20"):
        activation_correlations(Z, W[:, :19])
    with pytest.raises(InputError, match="number of samples = 1"):
        activation_correlations(Z[:, :1], W[:, :1])
    with pytest.raises(InputError, match="give a prefix"):
        match_activations(Z, W)
    with pytest.raises(InputError, match="prefix = 4"):
        match_activations(Z, W, prefix=4)
    W[3, 0] = np.nan
    with pytest.raises(InputError, match=r"W\[3, 0\] = nan"):
        activation_correlations(Z, W)
    with pytest.raises(InputError, match=r"Z\[3, 0\] = nan"):
        activation_correlations(W, Z)


# Dead latents.


def test_dead_latents_that_both_put_last_do_not_raise_ord_z_of_unrelated_streams():
    found, with_the_dead = [], []
    for seed in range(100):
        Z, W = np.random.default_rng(seed).standard_normal((2, 50, 400))
        Z[-10:], W[-10:] = 0.0, 0.0
        matching = match_activations(Z, W)
        assert matching.left_out >= 0.2
        found.append(matching.orderedness)
        with_the_dead.append(orderedness_of_permutation(matching.permutation))
    assert abs(np.mean(found)) < 3 * np.std(found) / 10
    level = chance_orderedness(np.repeat([0, 1], [40, 10]))
    assert np.mean(with_the_dead) == pytest.approx(
        level.mean, abs=3 * level.standard_deviation / 10
    )
    assert level.mean > 0.4


@given(width=st.integers(3, 10), seed=seeds)
def test_a_constant_stream_is_dead_and_a_quiet_one_is_not(width, seed):
    Z, _ = streams(width, 1, 25, seed)
    Z[0], Z[1] = 7.3, 0.0
    Z[1, 4] = 1e-300
    np.testing.assert_array_equal(live_latents(Z), [False] + [True] * (width - 1))
    found = match_activations(Z, Z)
    assert found.orderedness == 1.0
    assert found.left_out == pytest.approx(1 / width)


def test_latents_said_to_be_dead_are_left_out_and_the_others_keep_their_order():
    Z, _ = streams(6, 1, 25, 1)
    live = np.array([True, True, False, True, True, True])
    found = match_activations(Z, Z[::-1], live=(live, live))
    # Latent 2 is dead here, and latent 3 stands where the other side's dead one does.
    assert found.left_out == pytest.approx(2 / 6)
    assert found.orderedness == -1.0
    assert match_activations(Z, Z, live=(live, live), prefix=3).left_out == pytest.approx(1 / 3)


# The mean correlation coefficient.


def mean_correlation_in_loops(Z, W):
    """Return the best mean |correlation| over all ways to pair the smaller side with the larger."""
    Z, W = list(Z), [row for row in W if np.ptp(row) > 0]
    few, many = sorted((Z, W), key=len)
    if not few:
        return math.nan
    best = 0.0
    for chosen in permutations(range(len(many)), len(few)):
        found = 0.0
        for row, place in zip(few, chosen, strict=True):
            if np.ptp(row) > 0 and np.ptp(many[place]) > 0:
                found += abs(np.corrcoef(row, many[place])[0, 1])
        best = max(best, found)
    return best / len(few)


@given(width=st.integers(1, 4), other=st.integers(1, 4), n=st.integers(3, 12), seed=seeds)
def test_the_mean_correlation_equals_plain_loops(width, other, n, seed):
    Z, W = streams(width, other, n, seed)
    rng = np.random.default_rng(seed)
    Z *= rng.random((width, 1)) < 0.8
    W *= rng.random((other, 1)) < 0.8
    expected = mean_correlation_in_loops(Z, W)
    assert mean_correlation(Z, W) == pytest.approx(expected, rel=1e-9, nan_ok=True)


@given(width=st.integers(2, 10), seed=seeds)
def test_the_mean_correlation_is_one_for_the_same_streams_in_any_units_order_and_sign(width, seed):
    Z, _ = streams(width, 1, 25, seed)
    rng = np.random.default_rng(seed)
    other = Z[rng.permutation(width)] * rng.uniform(-9, -1, (width, 1)) + 4
    assert mean_correlation(Z, other) == pytest.approx(1, abs=1e-12)
    assert mean_correlation(Z[1:], other) == pytest.approx(1, abs=1e-12)
    assert mean_correlation(Z, other[1:]) == pytest.approx(1, abs=1e-12)


def test_a_dead_latent_costs_its_share_and_a_feature_that_never_varies_nothing():
    Z, _ = streams(4, 1, 25, 0)
    dead, gone = Z.copy(), Z.copy()
    dead[0], gone[1] = 0, 0
    assert mean_correlation(Z, gone) == pytest.approx(1)
    assert 0.75 <= mean_correlation(dead, Z) < 0.75 + 1e-12
    assert math.isnan(mean_correlation(Z, 0 * Z))
