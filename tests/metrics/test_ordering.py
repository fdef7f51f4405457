import functools
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.metrics.ordering import (
    LatentStatistics,
    energies,
    frequencies,
    order_by,
    order_by_energy,
    order_by_frequency,
)

seeds = st.integers(0, 2**32 - 1)
sizes = {"width": st.integers(1, 12), "n": st.integers(1, 30), "seed": seeds}


def sparse_codes(width, n, seed):
    """Draw codes with small whole values, so that ties and dead latents are common."""
    rng = np.random.default_rng(seed)
    return rng.integers(-2, 3, (width, n)) * (rng.random((width, n)) < 0.3) * 1.0


def order_in_loops(scores, dead):
    return sorted(range(len(scores)), key=lambda j: (bool(dead[j]), -scores[j], j))


@given(**sizes)
def test_frequencies_and_energies_equal_plain_loops(width, n, seed):
    codes = sparse_codes(width, n, seed)
    expected_frequencies = [sum(value != 0 for value in row) / n for row in codes]
    expected_energies = [sum(value**2 for value in row) for row in codes]
    np.testing.assert_array_equal(frequencies(codes), expected_frequencies)
    np.testing.assert_array_equal(energies(codes), expected_energies)


@given(**sizes)
def test_orders_are_descending_with_ties_by_index_and_the_dead_last(width, n, seed):
    codes = sparse_codes(width, n, seed)
    dead = [not row.any() for row in codes]
    by_frequency = order_in_loops(frequencies(codes), dead)
    by_energy = order_in_loops(energies(codes), dead)
    np.testing.assert_array_equal(order_by_frequency(codes), by_frequency)
    np.testing.assert_array_equal(order_by_energy(codes), by_energy)


def test_frequency_and_energy_may_order_differently():
    codes = np.array([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(order_by_frequency(codes), [0, 1, 2])
    np.testing.assert_array_equal(order_by_energy(codes), [1, 0, 2])


def test_a_live_latent_whose_energy_underflows_still_comes_before_a_dead_one():
    codes = np.array([[0.0, 0.0], [1e-200, 0.0]])
    assert energies(codes)[1] == 0.0
    np.testing.assert_array_equal(order_by_energy(codes), [1, 0])


def test_dead_latents_go_last_even_when_other_scores_are_negative():
    scores = np.array([0.0, -3.0, -1.0, 0.0])
    dead = np.array([True, False, False, True])
    np.testing.assert_array_equal(order_by(scores, dead), [2, 1, 0, 3])
    np.testing.assert_array_equal(order_by(scores), [0, 3, 2, 1])


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32])
def test_scores_of_any_real_type_are_ordered(dtype):
    np.testing.assert_array_equal(order_by(np.array([1, 3, 0, 3], dtype=dtype)), [1, 3, 0, 2])


@given(width=st.integers(1, 40), seed=seeds)
def test_ordering_what_is_ordered_changes_nothing(width, seed):
    scores = np.random.default_rng(seed).integers(0, 5, width)
    ordered = scores[order_by(scores)]
    np.testing.assert_array_equal(order_by(ordered), np.arange(width))


@given(chunk=st.integers(1, 10), **sizes)
def test_chunks_add_up_to_the_whole(chunk, width, n, seed):
    codes = sparse_codes(width, n, seed)
    chunks = [codes[:, start : start + chunk] for start in range(0, n, chunk)]
    total = functools.reduce(operator.add, map(LatentStatistics.of, chunks))
    assert total.n_samples == n
    np.testing.assert_array_equal(total.frequencies, frequencies(codes))
    np.testing.assert_array_equal(total.energies, energies(codes))
    np.testing.assert_array_equal(total.dead, ~codes.any(axis=1))
    np.testing.assert_array_equal(total.order_by_frequency(), order_by_frequency(codes))
    np.testing.assert_array_equal(total.order_by_energy(), order_by_energy(codes))


def test_float32_codes_are_summed_in_float64():
    codes = np.full((1, 3), 0.1, dtype=np.float32)
    assert energies(codes).dtype == np.float64
    assert energies(codes)[0] == pytest.approx(3 * float(np.float32(0.1)) ** 2, rel=1e-15)
    assert frequencies(codes)[0] == 1.0


def test_chunks_of_different_width_are_refused():
    with pytest.raises(InputError, match="3 latents: expected 2"):
        LatentStatistics.of(np.ones((2, 4))) + LatentStatistics.of(np.ones((3, 4)))


def test_codes_without_samples_are_refused():
    with pytest.raises(InputError, match="number of samples = 0"):
        frequencies(np.zeros((3, 0)))


def test_codes_and_scores_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match=r"codes\[0, 1\] = nan"):
        order_by_energy(np.array([[1.0, np.nan]]))
    with pytest.raises(InputError, match=r"scores\[1\] = inf"):
        order_by(np.array([1.0, np.inf]))


def test_a_dead_mask_of_another_length_is_refused():
    with pytest.raises(InputError, match="dead has length 1: expected 2"):
        order_by(np.array([1.0, 2.0]), np.array([True]))


@given(width=st.integers(1, 12), tie_seed=st.integers(0, 99), seed=seeds)
def test_a_tie_seed_reorders_ties_only(width, tie_seed, seed):
    rng = np.random.default_rng(seed)
    scores, dead = rng.integers(0, 3, width), rng.random(width) < 0.3
    found = order_by(scores, dead, tie_seed)
    expected = order_by(scores, dead)
    np.testing.assert_array_equal(np.sort(found), np.arange(width))
    np.testing.assert_array_equal(dead[found], dead[expected])
    alive = ~dead[expected]
    np.testing.assert_array_equal(scores[found][alive], scores[expected][alive])
    np.testing.assert_array_equal(order_by(scores, dead, tie_seed), found)


def test_ties_broken_by_seeds_of_their_own_carry_no_order_over():
    scores = np.zeros(50)
    by_index = [np.corrcoef(order_by(scores), order_by(scores))[0, 1]]
    by_seed = [
        np.corrcoef(order_by(scores, None, 2 * i), order_by(scores, None, 2 * i + 1))[0, 1]
        for i in range(60)
    ]
    assert by_index == [pytest.approx(1.0)]
    assert abs(np.mean(by_seed)) < 3 * np.std(by_seed) / np.sqrt(60)


def test_orders_of_codes_take_a_tie_seed():
    codes = np.ones((20, 3))
    statistics = LatentStatistics.of(codes)
    expected = order_by(np.full(20, 3), None, 5)
    np.testing.assert_array_equal(statistics.order_by_frequency(5), expected)
    np.testing.assert_array_equal(statistics.order_by_energy(5), expected)


def test_a_tie_seed_that_is_no_whole_number_is_refused():
    with pytest.raises(InputError, match="seed = -1"):
        order_by(np.zeros(2), None, -1)
