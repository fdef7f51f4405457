import math

import mpmath
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import special, stats

from osae_theory.portable import (
    elementary,
    exp,
    log,
    normal_quantile,
    standard_exponential,
    standard_normal,
)

POSITIVE = st.floats(5e-324, 1.7e308)


def relative_error(found, exact):
    difference = mpmath.mpf(float(found)) - exact
    return abs(difference / exact)


@given(POSITIVE)
@example(5e-324)
@example(2.0**-1022)
@example(math.sqrt(0.5))
@example(np.nextafter(math.sqrt(0.5), 1))
@example(np.nextafter(1.0, 2))
@example(np.nextafter(1.0, 0))
def test_the_logarithm_is_right_to_a_few_units_in_the_last_place(x):
    with mpmath.workdps(40):
        exact = mpmath.log(mpmath.mpf(x))
        found = log(np.array([x]))[0]
        assert found == 0 if x == 1 else relative_error(found, exact) < 2e-15


@given(st.floats(-700, 709))
@example(0.0)
@example(709.78)
@example(-708.3)
def test_the_exponential_is_right_to_a_few_units_in_the_last_place(x):
    with mpmath.workdps(40):
        exact = mpmath.exp(mpmath.mpf(x))
        assert relative_error(exp(np.array([x]))[0], exact) < 2e-15


def test_the_ends_of_the_range_are_what_ieee_754_says():
    with np.errstate(all="ignore"):
        assert log(np.array([0.0, np.inf])).tolist() == [-np.inf, np.inf]
        assert np.isnan(log(np.array([-1.0, np.nan]))).all()
        assert exp(np.array([-np.inf, -800.0, 710.0, np.inf])).tolist() == [0, 0, np.inf, np.inf]
        assert np.isnan(exp(np.array([np.nan]))).all()
    np.testing.assert_allclose(exp(np.array([-744.0])), np.exp(-744.0), atol=5e-324)


def test_normal_numbers_are_the_quantiles_of_their_uniform_numbers():
    uniform = np.random.default_rng(1).random(50_000) + 2.0**-54
    normal = standard_normal(np.random.default_rng(1), 50_000)
    np.testing.assert_allclose(normal, special.ndtri(uniform), rtol=2e-14)
    assert stats.kstest(normal, "norm").pvalue > 0.01
    assert np.abs(normal).max() > 3.8


def test_quantiles_of_the_normal_law_are_right_in_the_middle_and_in_both_tails():
    p = np.array([[1e-300, 1e-17, 5e-4], [0.3, 0.5, 1 - 1e-12]])
    np.testing.assert_allclose(normal_quantile(p), special.ndtri(p), rtol=2e-14)


def test_exponential_numbers_are_positive_with_the_right_law():
    numbers = standard_exponential(np.random.default_rng(2), (100, 500))
    assert (numbers > 0).all()
    assert stats.kstest(numbers.ravel(), "expon").pvalue > 0.01


def test_extreme_uniform_numbers_give_finite_draws(monkeypatch):
    extremes = elementary._inside(np.array([0.0, 1 - 2.0**-53]))
    monkeypatch.setattr(elementary, "_open_uniform", lambda rng, shape: extremes)
    low, high = standard_normal(np.random.default_rng(0), 2)
    assert -9 < low < -8
    assert 8 < high < 9
    assert (standard_exponential(np.random.default_rng(0), 2) > 0).all()


def test_a_draw_does_not_depend_on_how_it_is_split():
    whole = standard_normal(np.random.default_rng(3), (40_000, 1))
    rng = np.random.default_rng(3)
    parts = np.concatenate([standard_normal(rng, (size, 1)) for size in (1, 16_384, 23_615)])
    assert np.array_equal(whole, parts)
