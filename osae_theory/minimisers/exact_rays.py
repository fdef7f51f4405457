"""The global minimum of L_ND for m = 1 in the plane, in exact arithmetic (P1's certificates)."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import numpy as np
import sympy
from jaxtyping import Shaped

from osae_theory.certificates import Certificate
from osae_theory.doors import at_the_door
from osae_theory.errors import InputError
from osae_theory.minimisers.rational import (
    as_fractions,
    check_probabilities,
    check_unit_columns,
    survival_of,
)

MOST_MAPS = 50_000


@at_the_door
def exact_planar_minimum(
    directions: Shaped[np.ndarray, "2 R"],
    energies: Sequence[int | Fraction],
    probabilities: Sequence[Fraction],
) -> Certificate:
    """Return min L_ND for m = 1 and rational rays in the plane.

    Every map of the R rays to the K slots is valued exactly: lambda_max of a 2 x 2 rational
    matrix is a rational plus a rational times the root of a whole number, and sums of such
    have one canonical form, so that two values are compared without rounding.

    Parameters
    ----------
    directions : Shaped[np.ndarray, "2 R"]
        Ints and Fractions, columns of norm exactly 1, pairwise not parallel.
    energies : sequence of int or Fraction
        e_k >= 0, one a ray.
    probabilities : sequence of Fraction
        P(l = 1), ..., P(l = K).

    Returns
    -------
    Certificate
        Exact, with a Fraction, if the minimum is rational; otherwise its nearest float, and
        the expression itself in the details. The details also give the slots of the rays.

    Raises
    ------
    InputError
        If an input is not rational, or K^R is more than 50000 maps.

    Notes
    -----
    claim T3e and P1 (docs/theory.md).
    """
    atoms = as_fractions(directions)
    check_unit_columns(atoms)
    e = as_fractions(list(energies))
    if e.shape != atoms.shape[1:] or (e < 0).any():
        raise InputError(
            f"energies {[str(x) for x in e]}: expected {atoms.shape[1]}, none negative"
        )
    K, R = len(probabilities), e.size
    w = [_rational(x) for x in survival_of(check_probabilities(probabilities, K))]
    if K**R > MOST_MAPS:
        raise InputError(
            f"{K} slots for {R} rays are {K**R} maps: expected at most {MOST_MAPS};"
            " use `ray_minimiser`, in floating point"
        )
    top = [_top_eigenvalue(atoms, e, subset) for subset in range(1 << R)]
    best, best_slots = sympy.Integer(-1), (0,) * R
    for slots in product(range(K), repeat=R):
        sets = [sum(1 << k for k in range(R) if slots[k] == j) for j in range(K)]
        value = sympy.Add(*(w[j] * top[sets[j]] for j in range(K)))
        if sympy.expand(value - best).is_positive:
            best, best_slots = value, slots
    return _certificate(sympy.expand(_rational(e.sum()) - best), best_slots)


def exact_two_ray_minimum(
    cosine: Fraction,
    energies: tuple[int | Fraction, int | Fraction],
    last: Fraction,
) -> Certificate:
    """Return min L_ND for m = 1 and two rays: the better of keeping them apart and merging.

    Apart, the lesser ray waits for the second prefix and costs (1 - p_2) min(e_1, e_2);
    merged on one atom, both cost the lesser eigenvalue of e_1 d_1 d_1^T + e_2 d_2 d_2^T.

    Parameters
    ----------
    cosine : Fraction
        Cosine of the angle between the rays, in [-1, 1]; its sine need not be rational.
    energies : tuple of two ints or Fractions
        e_1 and e_2, at least 0.
    last : Fraction
        p_2 = P(l = 2), in [0, 1].

    Returns
    -------
    Certificate
        As `exact_planar_minimum`.

    Raises
    ------
    InputError
        If a number is outside its range.

    Notes
    -----
    claim P1, the family (docs/theory.md).
    """
    c, p = Fraction(cosine), Fraction(last)
    e = [Fraction(x) for x in energies]
    if not (-1 <= c <= 1 and 0 <= p <= 1 and min(e) >= 0):
        raise InputError(
            f"cosine {c}, energies {e[0]} and {e[1]}, p_2 = {p}: expected -1 <= cosine <= 1,"
            " energies of at least 0 and 0 <= p_2 <= 1"
        )
    apart = _rational((1 - p) * min(e))
    total, determinant = sum(e, Fraction(0)), e[0] * e[1] * (1 - c * c)
    root = sympy.sqrt(_rational(total * total - 4 * determinant))
    merged = (_rational(total) - root) / 2
    if (merged - apart).is_negative:
        return _certificate(sympy.expand(merged), (0, 0))
    return _certificate(apart, (0, 1) if e[0] >= e[1] else (1, 0))


def _rational(x: Fraction) -> sympy.Expr:
    return sympy.Rational(x.numerator, x.denominator)


def _top_eigenvalue(atoms: np.ndarray, e: np.ndarray, subset: int) -> sympy.Expr:
    moment = np.full((2, 2), Fraction(0), dtype=object)
    for k in range(e.size):
        if (subset >> k) & 1:
            moment = moment + e[k] * np.multiply.outer(atoms[:, k], atoms[:, k])
    trace = moment[0, 0] + moment[1, 1]
    determinant = moment[0, 0] * moment[1, 1] - moment[0, 1] * moment[1, 0]
    root = sympy.sqrt(_rational(trace * trace - 4 * determinant))
    return sympy.expand((_rational(trace) + root) / 2)


def _certificate(minimum: sympy.Expr, slots: tuple[int, ...]) -> Certificate:
    details = {"expression": str(minimum), "slots of the rays": str(slots)}
    method = "every map of the rays to the slots, valued exactly"
    if isinstance(minimum, sympy.Rational):
        value = Fraction(int(minimum.p), int(minimum.q))
        return Certificate("min L_ND (m = 1)", value, "exact", method, 0.0, details)
    value = float(minimum)
    error = float(np.spacing(value))
    return Certificate("min L_ND (m = 1)", value, "value", method, error, details)
