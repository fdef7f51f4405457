from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.strategies import seeds
from osae_theory.uniqueness import read_instance


@pytest.mark.theory
@given(seeds(), st.integers(1, 3), st.integers(3, 8))
def test_any_m_codes_of_samples_in_general_position_are_independent(seed, m, n):
    codes = np.random.default_rng(seed).integers(1, 4, size=(m, n))
    instance = read_instance(np.eye(m), codes.astype(float))
    chosen = instance.general_position(tuple(range(m)))
    for subset in combinations(chosen, min(m, len(chosen))):
        assert np.linalg.matrix_rank(codes[:, subset]) == len(subset)
    # Nothing more fits: each sample left out is dependent on some that were chosen before it.
    for sample in set(range(n)) - set(chosen):
        earlier = [other for other in chosen if other < sample]
        size = min(m - 1, len(earlier))
        ranks = [
            np.linalg.matrix_rank(codes[:, [*others, sample]])
            for others in combinations(earlier, size)
        ]
        assert min(ranks) <= size


def test_samples_are_grouped_by_supports_of_exactly_m_atoms():
    Y = [[1, 0, 2, 0], [3, 4, Fraction(1, 2), 0], [0, 5, 0, 6]]
    instance = read_instance([[1, 0, 0], [0, 1, 0], [0, 0, 1]], Y)
    assert instance.m == 2
    assert instance.K == 3
    assert instance.columns.exact
    assert dict(instance.samples) == {(0, 1): (0, 2), (1, 2): (1,)}
    assert instance.general_position((0, 2)) == ()
    assert instance.general_position((0, 1), needed=1) == (0,)


def test_one_array_of_floats_makes_the_arithmetic_bounded():
    assert read_instance(np.eye(2, dtype=int), np.eye(2, dtype=int)).columns.exact
    assert not read_instance(np.eye(2), np.eye(2, dtype=int)).columns.exact
    assert not read_instance(np.eye(2, dtype=int), np.eye(2)).columns.exact


@pytest.mark.parametrize(
    ("codes", "m", "message"),
    [
        ([[1, 1], [1, 0]], 1, "column 0 has 2 nonzeros: expected at most 1"),
        ([[1, 1], [1, 0]], 3, "m = 3: expected at most K = 2"),
        ([[0], [0]], None, "m = 0"),
        ([[1, 1]], None, r"codes of shape \(1, 2\)"),
        ([[1, 1], [1]], None, "rows of one length"),
        (np.array([[np.inf], [0.0]]), None, "finite"),
    ],
)
def test_codes_that_do_not_fit_are_refused(codes, m, message):
    with pytest.raises(InputError, match=message):
        read_instance(np.eye(2, dtype=int), codes, m)
