from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.portable import affine, compiles, matmul
from osae_theory.portable.plain import fused_multiply_add
from osae_theory.threads import limited_threads


def nearest(exact, dtype):
    """The fraction rounded to the nearest number of the dtype, ties to even."""
    if dtype is np.float64:
        return np.float64(exact.numerator / exact.denominator)
    # Two neighbours in float32 and the distance to each, exactly.
    guess = np.float32(exact.numerator / exact.denominator)
    around = [
        np.nextafter(guess, np.float32(-np.inf)),
        guess,
        np.nextafter(guess, np.float32(np.inf)),
    ]
    finite = [n for n in around if np.isfinite(n)]
    best = min(abs(Fraction(float(n)) - exact) for n in finite)
    tied = [n for n in finite if abs(Fraction(float(n)) - exact) == best]
    return next((n for n in tied if int(n.view(np.int32)) % 2 == 0), tied[0])


def moderate(width):
    return st.floats(-(2.0**50), 2.0**50, width=width).filter(lambda x: x == 0 or abs(x) > 1e-15)


@given(moderate(64), moderate(64), moderate(64))
@example(1 + 2.0**-52, 1 + 2.0**-52, -1.0)
@example(1 + 2.0**-27, 1 - 2.0**-27, -1.0)
@example(2.0**-30, 2.0**-30, 1 + 2.0**-52)
def test_a_fused_multiply_add_rounds_once_in_float64(a, b, c):
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    found = fused_multiply_add(np.array([a]), np.array([b]), np.array([c]))[0]
    assert found == nearest(exact, np.float64)


@given(moderate(32), moderate(32), moderate(32))
@example(1 + 2.0**-23, 1 + 2.0**-23, -1.0)
@example(1 + 2.0**-12, 1 + 2.0**-12, 2.0**-80)
@example(1 + 2.0**-12, 1 + 2.0**-12, -(2.0**-80))
def test_a_fused_multiply_add_rounds_once_in_float32(a, b, c):
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    terms = [np.array([t], dtype=np.float32) for t in (a, b, c)]
    assert fused_multiply_add(*terms)[0] == nearest(exact, np.float32)


SHAPES = [
    (1, 1, 1),
    (7, 5, 3),
    (13, 20, 40),
    (12, 8, 24),
    (6, 1, 16),
    (5, 0, 9),
    (0, 4, 4),
    (3, 50, 25),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "k", "p"), SHAPES)
def test_compiled_products_have_the_bits_of_the_plain_chain(n, k, p, dtype):
    rng = np.random.default_rng(n + 10 * k + 100 * p)
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in ((n, k), (k, p)))
    bias = rng.standard_normal(p).astype(dtype)
    assert compiles()
    for start in (None, bias):
        found, expected = np.empty((n, p), dtype), np.empty((n, p), dtype)
        affine(a, b.T, start, found)
        affine(a, b.T, start, expected, compiled=False)
        assert np.array_equal(found, expected)
        exact = a.astype(np.float64) @ b + (0 if start is None else start)
        np.testing.assert_allclose(
            found, exact, rtol=50 * np.finfo(dtype).eps, atol=50 * np.finfo(dtype).eps
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_entry_does_not_depend_on_the_rows_and_columns_beside_it(dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s).astype(dtype) for s in ((50, 33), (33, 70)))
    whole = matmul(a, b)
    for rows, columns in (
        (slice(3, 4), slice(0, 70)),
        (slice(0, 50), slice(5, 6)),
        (slice(7, 21), slice(9, 47)),
    ):
        assert np.array_equal(matmul(a[rows], b[:, columns]), whole[rows, columns])
    shifted = np.empty(50 * 33 + 1, dtype)[1:].reshape(50, 33)
    shifted[:] = a
    assert np.array_equal(matmul(shifted, b), whole)


def test_products_are_the_same_on_any_number_of_threads():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((301, 64)), rng.standard_normal((64, 200))
    found = []
    for count in (1, 2, 3):
        with limited_threads(count):
            found.append(matmul(a, b))
    assert all(np.array_equal(found[0], other) for other in found)


def test_infinities_and_nan_pass_through_as_in_any_product():
    a = np.array([[np.inf, 1.0], [np.nan, 1.0], [1.0, 2.0]])
    b = np.array([[1.0, 0.0], [1.0, 3.0]])
    with np.errstate(invalid="ignore"):
        for compiled in (True, False):
            np.testing.assert_array_equal(matmul(a, b, compiled=compiled), a @ b)


def test_arrays_of_two_dtypes_are_refused():
    a = np.ones((3, 2), np.float32)
    with pytest.raises(InputError, match="arrays of float32, float64: expected one dtype"):
        matmul(a, np.ones((2, 4)))
