"""Exact L_ND, unit atoms and codes against their floating-point counterparts."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.minimisers import (
    as_fractions,
    codes_on_supports,
    exact_codes,
    exact_nested_loss,
    nested_loss,
    rational_unit_vector,
)
from osae_theory.prefixes import PrefixLaw
from osae_theory.strategies import seeds

LAW = [Fraction(1, 6), Fraction(1, 3), Fraction(1, 2)]
ONE = as_fractions([[1]])


def instance(seed, d=3, N=4):
    rng = np.random.default_rng(seed)
    D = np.stack([rational_unit_vector(rng.standard_normal(d), 50) for _ in LAW], axis=1)
    X = as_fractions(rng.integers(-5, 6, (d, N)))
    supports = np.sort(np.argsort(rng.random((N, 3)), axis=1)[:, :2], axis=1)
    return X, D, supports


@pytest.mark.theory
@given(seed=seeds())
def test_exact_codes_and_losses_are_the_floating_point_ones_without_their_rounding(seed):
    X, D, supports = instance(seed)
    law = PrefixLaw(np.array(LAW, dtype=float))
    Y = exact_codes(X, D, supports, LAW)
    floats = codes_on_supports(X.astype(float), D.astype(float), supports, law)
    np.testing.assert_allclose(Y.astype(float), floats, atol=1e-8)
    loss = exact_nested_loss(X, Y, D, LAW)
    assert isinstance(loss, Fraction)
    assert float(loss) == pytest.approx(
        nested_loss(X.astype(float), Y.astype(float), D.astype(float), law), rel=1e-12
    )
    # Exactly optimal: a step in any code of the supports is no better.
    step = Y.copy()
    step[supports[0, 0], 0] += Fraction(1, 1000)
    assert exact_nested_loss(X, step, D, LAW) > loss


@given(seed=seeds(), d=st.integers(1, 6), denominator=st.integers(1, 10**6))
def test_rational_unit_vectors_are_exactly_on_the_sphere_and_near_what_they_stand_for(
    seed, d, denominator
):
    vector = np.random.default_rng(seed).standard_normal(d)
    point = rational_unit_vector(vector, denominator)
    assert (point * point).sum() == 1
    distance = np.linalg.norm(point.astype(float) - vector / np.linalg.norm(vector))
    # The stereographic map stretches by 2 at most, and each coordinate is within 1/(2 q).
    assert distance <= np.sqrt(d) / denominator + 1e-12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: as_fractions([[0.5]]), r"entry 0.5 at \[0, 0\]"),
        (lambda: as_fractions([True]), "entry True"),
        (lambda: rational_unit_vector(np.zeros(2)), "vector of norm 0"),
        (lambda: exact_nested_loss(ONE, ONE, 2 * ONE, [Fraction(1)]), "squared norm 4"),
        (lambda: exact_nested_loss(ONE, ONE, 1 * ONE, [Fraction(1, 2)]), "of sum 1"),
        (
            lambda: exact_nested_loss(ONE, ONE, 1 * ONE, [Fraction(1), Fraction(0)]),
            "2 probabilities",
        ),
        (
            lambda: exact_codes(
                ONE, as_fractions([[1, 1]]), np.array([[0, 1]]), [Fraction(0), Fraction(1)]
            ),
            "singular normal equations",
        ),
    ],
)
def test_what_is_not_exact_or_not_solvable_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
