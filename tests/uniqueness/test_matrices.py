import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.strategies import seeds
from osae_theory.uniqueness.matrices import (
    PRIME,
    ExactColumns,
    FloatColumns,
    chunked,
    exact_rows,
    read_columns,
    scan_subsets,
)


def random_integers(seed, d, K, largest=2):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-largest, largest + 1, size=(d, K))
    matrix[0, ~matrix.any(axis=0)] = 1
    return matrix


def first_dependent(matrix, size):
    """Slow oracle: exact rank of small integer matrices, by floats that cannot be wrong."""
    for subset in combinations(range(matrix.shape[1]), size):
        if np.linalg.matrix_rank(matrix[:, subset]) < size:
            return subset
    return None


@pytest.mark.theory
@given(seeds(), st.integers(1, 4), st.integers(1, 6), st.data())
def test_the_exact_scan_finds_the_first_dependent_subset(seed, d, K, data):
    size = data.draw(st.integers(1, K))
    matrix = random_integers(seed, d, K)
    columns = read_columns("matrix", matrix)
    found = scan_subsets(columns, size).dependence
    expected = first_dependent(matrix, size)
    assert (None if found is None else found.subset) == expected
    if found is not None:
        combined = [
            sum(int(row[i]) * c for i, c in zip(found.subset, found.vector, strict=True))
            for row in matrix
        ]
        assert found.proved
        assert any(found.vector)
        assert combined == [0] * d


@pytest.mark.theory
@given(seeds(), st.integers(2, 5), st.integers(2, 6))
def test_what_floats_prove_independent_is_independent(seed, d, K):
    matrix = random_integers(seed, d, K)
    floats = read_columns("matrix", matrix.astype(float), unit_norm=False)
    exact = read_columns("matrix", matrix)
    for size in range(1, K + 1):
        undecided = scan_subsets(floats, size).dependence
        dependent = scan_subsets(exact, size).dependence
        assert (undecided is None) == (dependent is None)
        if undecided is not None:
            assert undecided.subset == dependent.subset
            assert undecided.proved == (size > d)


def test_a_column_error_beyond_the_singular_value_leaves_a_subset_undecided():
    D = np.array([[1.0, math.cos(0.1)], [0.0, math.sin(0.1)]])
    assert scan_subsets(read_columns("D", D), 2).dependence is None
    loose = read_columns("D", D, column_error=0.1)
    found = scan_subsets(loose, 2).dependence
    assert found is not None
    assert not found.proved


def test_a_rank_that_falls_modulo_the_prime_is_decided_over_the_rationals():
    columns = read_columns("D", [[1, 0], [0, PRIME]])
    assert scan_subsets(columns, 2).dependence is None
    assert columns.null_vector((0, 1)) is None


def test_the_smallest_singular_value_is_the_least_over_all_subsets():
    D = np.eye(3)[:, [0, 1, 2]] @ np.diag([1.0, 1.0, 1.0])
    D = np.column_stack([D, [0.6, 0.8, 0.0]])
    scan = scan_subsets(read_columns("D", D), 2)
    assert scan.smallest == pytest.approx(math.sqrt(1 - 0.8))


def test_chunks_hold_every_subset_once():
    chunks = list(chunked(combinations(range(6), 3), 3, 1 << 17))
    assert len(chunks) > 1
    assert np.concatenate(chunks).tolist() == [list(c) for c in combinations(range(6), 3)]


def test_whole_numbers_and_fractions_are_read_exactly_and_floats_are_not():
    assert read_columns("D", np.eye(2, dtype=int)).exact
    exact = read_columns("D", [[Fraction(1, 3)], [2]])
    assert isinstance(exact, ExactColumns)
    assert exact.rows == ((Fraction(1, 3),), (Fraction(2),))
    assert np.linalg.norm(exact.floats()) == pytest.approx(1)
    floats = read_columns("D", np.eye(2))
    assert isinstance(floats, FloatColumns)
    assert not floats.exact
    assert floats.shape == exact.shape[:1] * 2 == (2, 2)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 0], [2, 0]], "column 1 is zero"),
        ([[1, 0], [2]], "rows of lengths"),
        ([], "rows of lengths"),
        (np.array([[1.0, 2.0]]), "expected unit norm"),
        (np.array([[1.0, np.nan]]), "finite"),
    ],
)
def test_a_matrix_that_is_no_dictionary_is_refused(matrix, message):
    with pytest.raises(InputError, match=message):
        read_columns("dictionary", matrix)


def test_rounded_entries_among_exact_ones_are_refused():
    with pytest.raises(InputError, match=r"holds 0\.5: expected whole numbers and fractions"):
        exact_rows("dictionary", [[1, 0.5]])


def test_data_may_have_any_length_but_no_zero_column():
    assert read_columns("data", np.array([[3.0], [4.0]]), unit_norm=False).shape == (2, 1)
    with pytest.raises(InputError, match="data column 1 is zero"):
        read_columns("data", np.array([[3.0, 0.0]]), unit_norm=False)
    with pytest.raises(InputError, match="data of shape"):
        read_columns("data", np.zeros((2, 0)), unit_norm=False)
