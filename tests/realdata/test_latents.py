import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.metrics import LatentStatistics, activation_correlations
from realdata.latents import correlations as module
from realdata.latents.correlations import (
    LatentCorrelations,
    latent_correlations,
    paired_correlations,
)
from realdata.latents.sparse import SparseLatents, as_sparse, latent_statistics
from small_saes import cut, drawn_latents

seeds = st.integers(0, 2**32 - 1)


@given(n=st.integers(2, 30), K=st.integers(1, 8), size=st.integers(1, 30), seed=seeds)
def test_streamed_correlations_are_those_of_the_dense_activations(n, K, size, seed):
    m = min(K, 3)
    first, Z = drawn_latents(n, K, m, seed)
    second, W = drawn_latents(n, K + 2, m, seed + 1)
    expected = activation_correlations(Z.T, W.T)
    found = latent_correlations(cut(first, size), cut(second, size))
    np.testing.assert_allclose(found, expected, atol=1e-9)
    # Dense chunks, and one side of each form.
    np.testing.assert_allclose(latent_correlations([Z], [W]), expected, atol=1e-9)
    np.testing.assert_allclose(latent_correlations([first], [W]), expected, atol=1e-9)


def test_correlations_take_the_latents_asked_for_in_their_order():
    first, Z = drawn_latents(40, 9, 4, 0)
    second, W = drawn_latents(40, 9, 4, 1)
    order, other = np.array([5, 2, 8]), np.array([1, 0])
    found = latent_correlations([first], [second], order, other)
    np.testing.assert_allclose(found, activation_correlations(Z.T[order], W.T[other]), atol=1e-9)


@given(n=st.integers(2, 30), K=st.integers(1, 8), size=st.integers(1, 30), seed=seeds)
def test_correlations_of_pairs_are_those_of_the_table(n, K, size, seed):
    first, _ = drawn_latents(n, K, min(K, 3), seed)
    second, _ = drawn_latents(n, K + 2, min(K, 3), seed + 1)
    one, other = np.random.default_rng(seed).integers(0, K, (2, 5))
    table = latent_correlations(cut(first, size), cut(second, size))
    found = paired_correlations(cut(first, size), cut(second, size), one, other)
    np.testing.assert_allclose(found, table[one, other], atol=1e-12)


@given(n=st.integers(2, 30), K=st.integers(1, 8), size=st.integers(1, 30), seed=seeds)
def test_correlations_that_are_not_held_are_those_of_the_table(n, K, size, seed):
    first, _ = drawn_latents(n, K, min(K, 3), seed)
    second, _ = drawn_latents(n, K + 2, min(K, 3), seed + 1)
    rng = np.random.default_rng(seed)
    one, other = rng.permutation(K), rng.permutation(K + 2)[:K]
    table = latent_correlations(cut(first, size), cut(second, size), one, other)
    some = LatentCorrelations.of(cut(first, size), cut(second, size), one, other)
    assert some.shape == table.shape
    # The table subtracts products of means, this quotients of them: both may be off.
    np.testing.assert_allclose(some.whole(), table, atol=1e-9)
    np.testing.assert_allclose(some.rows(slice(1, 3)), table[1:3], atol=1e-9)
    chosen = rng.integers(0, K, (K, 2))
    expected = np.take_along_axis(table, chosen, axis=1)
    np.testing.assert_allclose(some.chosen(chosen), expected, atol=1e-9)
    rows, columns = rng.permutation(K)[: K // 2 + 1], rng.permutation(K)[: K // 2 + 1]
    np.testing.assert_allclose(
        some.taken(rows, columns).whole(), table[np.ix_(rows, columns)], atol=1e-9
    )
    for alive, correlated in zip(
        some.alive, ((table != 0).any(1), (table != 0).any(0)), strict=True
    ):
        assert not (correlated & ~alive).any()


def test_correlations_are_off_by_no_more_than_is_said():
    rng = np.random.default_rng(0)
    Z, W = 1e3 + rng.standard_normal((2, 5000, 6))
    some = LatentCorrelations.of([Z], [W], np.arange(6), np.arange(6))
    sides = []
    for one in (Z, W):
        exact = one.astype(np.longdouble)
        centred = exact - exact.mean(axis=0)
        sides.append(centred / np.sqrt((centred**2).sum(axis=0)))
    off = np.abs(some.rows(slice(None)) - sides[0].T @ sides[1]).max()
    assert 1e-13 < off < some.error


def test_rows_at_a_time_make_no_difference(monkeypatch):
    first, second = (drawn_latents(40, 9, 4, seed)[0] for seed in (0, 1))
    whole = latent_correlations(cut(first, 7), cut(second, 7))
    monkeypatch.setattr(module, "_ROWS", 2)
    np.testing.assert_array_equal(latent_correlations(cut(first, 7), cut(second, 7)), whole)


def test_a_constant_latent_correlates_with_nothing_though_its_value_is_not_exact():
    Z = np.full((30, 2), 0.1)
    Z[:, 1] = np.arange(30)
    found = latent_correlations([Z[:7], Z[7:]], [Z[:7], Z[7:]])
    assert found[0].tolist() == [0.0, 0.0]
    assert found[1, 1] == pytest.approx(1.0)


@given(n=st.integers(1, 30), K=st.integers(1, 8), size=st.integers(1, 30), seed=seeds)
def test_streamed_statistics_are_those_of_the_dense_codes(n, K, size, seed):
    latents, Z = drawn_latents(n, K, min(K, 3), seed)
    expected = LatentStatistics.of(Z.T)
    for chunks in (cut(latents, size), [Z]):
        found = latent_statistics(chunks)
        np.testing.assert_array_equal(found.counts, expected.counts)
        np.testing.assert_allclose(found.energies, expected.energies)
        assert found.n_samples == n


def test_padding_with_zero_is_no_activation():
    latents = SparseLatents(np.zeros((2, 3), dtype=np.int64), np.array([[0.0, 0, 2], [0, 0, 0]]), 4)
    assert latent_statistics([latents]).counts.tolist() == [1, 0, 0, 0]
    assert as_sparse(latents).toarray()[0].tolist() == [2.0, 0, 0, 0]


def test_latents_that_do_not_fit_are_refused():
    good, _ = drawn_latents(4, 5, 2, 0)
    for index in (-1, 5):
        bad = SparseLatents(np.full((1, 1), index), np.ones((1, 1)), 5)
        with pytest.raises(InputError, match=f"{index}: expected latents in 0..4"):
            as_sparse(bad)
    with pytest.raises(InputError, match="values"):
        as_sparse(SparseLatents(np.zeros((1, 1), dtype=np.int64), np.full((1, 1), np.nan), 5))
    with pytest.raises(InputError, match="number of chunks"):
        latent_correlations([good, good], [good])
    with pytest.raises(InputError, match="2 samples: expected 4"):
        latent_correlations([good], cut(good, 2))
    with pytest.raises(InputError, match="1 samples"):
        latent_correlations(cut(good, 1)[:1], cut(good, 1)[:1])
    with pytest.raises(InputError, match=r"\(5, 6\) latents"):
        latent_correlations([good, good], [good, drawn_latents(4, 6, 2, 0)[0]])
    with pytest.raises(InputError, match="empty"):
        latent_statistics([])
