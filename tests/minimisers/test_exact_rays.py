"""P1 in exact arithmetic: minima of L_ND for m = 1 that no minimiser of L_K reaches."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.minimisers import (
    as_fractions,
    exact_planar_minimum,
    exact_two_ray_minimum,
    ray_minimiser,
)
from osae_theory.prefixes import PrefixLaw

P1 = as_fractions([[1, Fraction(3, 5)], [0, Fraction(4, 5)]])
TWIN = as_fractions([[1, Fraction(3, 5), 0], [0, Fraction(4, 5), 1]])

shares = st.fractions(Fraction(1, 20), Fraction(19, 20), max_denominator=20)
energies = st.integers(1, 9)


@pytest.mark.theory
@pytest.mark.parametrize(
    ("rays", "value", "slots"),
    [(P1, Fraction(2, 5), "(0, 0)"), (TWIN, Fraction(8, 15), "(1, 0, 0)")],
)
def test_p1_and_its_twin_have_the_minima_of_the_page(rays, value, slots):
    R = rays.shape[1]
    found = exact_planar_minimum(rays, [1] * R, [Fraction(1, R)] * R)
    assert (found.value, found.kind, found.error) == (value, "exact", 0.0)
    assert found.details["slots of the rays"] == slots


@pytest.mark.theory
@given(e=st.tuples(energies, energies), last=shares)
def test_two_rays_are_the_better_of_apart_and_merged(e, last):
    direct = exact_two_ray_minimum(Fraction(3, 5), e, last)
    assert direct.value == exact_planar_minimum(P1, e, [1 - last, last]).value
    law = PrefixLaw(np.array([float(1 - last), float(last)]))
    found = ray_minimiser(P1.astype(float) * np.sqrt(e), law)
    assert float(direct.value) == pytest.approx(found.loss, abs=1e-12)


@pytest.mark.theory
@given(e=st.tuples(energies, energies), last=shares, cosine=st.fractions(0, 1, max_denominator=9))
def test_the_lemma_fails_for_two_rays_exactly_where_the_family_says(e, last, cosine):
    rho = Fraction(min(e), max(e))
    apart = (1 - last) * min(e)
    merging_is_strictly_better = exact_two_ray_minimum(cosine, e, last).value < float(apart) - 1e-12
    threshold = last * (1 - (1 - last) * rho)
    assert merging_is_strictly_better == (threshold < cosine**2)
    # At equality both are minimisers, and the lemma fails all the same.
    if threshold == cosine**2:
        assert exact_two_ray_minimum(cosine, e, last).value == apart


@pytest.mark.theory
def test_an_irrational_minimum_comes_with_its_expression():
    found = exact_planar_minimum(P1, [1, 2], [Fraction(9, 10), Fraction(1, 10)])
    assert found.kind == "value"
    assert "sqrt" in found.details["expression"]
    # Merged: the lesser root of t^2 - 3 t + 32/25.
    assert found.value == pytest.approx((3 - np.sqrt(9 - 128 / 25)) / 2, abs=1e-15)
    assert (
        exact_two_ray_minimum(Fraction(3, 5), (1, 2), Fraction(1, 10)).details["expression"]
        == (found.details["expression"])
    )


def test_the_lesser_ray_waits_for_the_second_slot():
    assert (
        exact_two_ray_minimum(Fraction(0), (1, 2), Fraction(1, 2)).details["slots of the rays"]
        == "(1, 0)"
    )
    assert exact_two_ray_minimum(Fraction(0), (2, 1), Fraction(1, 2)).value == Fraction(1, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: exact_planar_minimum(P1 * 2, [1, 1], [Fraction(1)]), "squared norm 4"),
        (lambda: exact_planar_minimum(P1, [1, -1], [Fraction(1)]), "none negative"),
        (lambda: exact_planar_minimum(P1, [1, 1], [Fraction(1, 2)]), "of sum 1"),
        (
            lambda: exact_planar_minimum(np.repeat(P1, 9, axis=1), [1] * 18, [Fraction(1, 2)] * 2),
            "maps",
        ),
        (lambda: exact_two_ray_minimum(Fraction(2), (1, 1), Fraction(1, 2)), "-1 <= cosine <= 1"),
    ],
)
def test_inputs_outside_their_range_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
