"""L_ND, unit atoms and optimal codes in exact rational arithmetic, for certificates.

Exact matrices are numpy arrays of dtype object that hold Fractions.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from sympy import QQ
from sympy.polys.matrices import DomainMatrix
from sympy.polys.matrices.exceptions import DMNonInvertibleMatrixError

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_integer


def as_fractions(array: Any) -> Shaped[np.ndarray, "*shape"]:
    """Return an object array of Fractions from nested sequences or arrays of ints and Fractions.

    Raises
    ------
    InputError
        If an entry is a float, or anything else that is not an exact rational number.
    """
    source = np.array(array, dtype=object)
    exact = np.empty(source.shape, dtype=object)
    for place, entry in np.ndenumerate(source):
        if isinstance(entry, bool) or not isinstance(entry, (int, np.integer, Fraction)):
            raise InputError(
                f"entry {entry!r} at {list(place)}: expected an int or a Fraction, for exactness"
            )
        exact[place] = Fraction(entry) if isinstance(entry, Fraction) else Fraction(int(entry))
    return exact


def check_probabilities(probabilities: Sequence[Fraction], K: int) -> Shaped[np.ndarray, " K"]:
    """Return exact P(l = 1), ..., P(l = K) as an array.

    Raises InputError unless there are K of them, none negative, of sum 1.
    """
    p = as_fractions(list(probabilities))
    if p.shape != (K,):
        raise InputError(f"{p.size} probabilities: expected one for each of K = {K} prefixes")
    if (p < 0).any() or p.sum() != 1:
        raise InputError(f"probabilities {[str(x) for x in p]}: expected none negative, of sum 1")
    return p


def survival_of(p: Shaped[np.ndarray, " K"]) -> Shaped[np.ndarray, " K"]:
    """Return exact survival weights w_j = P(l >= j)."""
    return p[::-1].cumsum()[::-1]


def check_unit_columns(D: Shaped[np.ndarray, "d K"]) -> None:
    """Raise InputError unless every column of the exact D has norm exactly 1."""
    for k, square in enumerate((D * D).sum(axis=0)):
        if square != 1:
            raise InputError(f"dictionary column {k} has squared norm {square}: expected exactly 1")


@at_the_door
def exact_nested_loss(
    X: Shaped[np.ndarray, "d N"],
    Y: Shaped[np.ndarray, "K N"],
    D: Shaped[np.ndarray, "d K"],
    probabilities: Sequence[Fraction],
) -> Fraction:
    """Return L_ND = sum_l p_l ||X - D Lambda_l Y||_F^2 as a Fraction.

    Parameters
    ----------
    X, Y, D : arrays of ints and Fractions
        Data, codes and dictionary with columns of norm exactly 1.
    probabilities : sequence of Fraction
        P(l = 1), ..., P(l = K).

    Raises
    ------
    InputError
        If an entry is not rational, a column of D is not of unit norm, or the probabilities
        are not a law on {1..K}.

    Notes
    -----
    Section 2.2 of the paper, by its definition.
    """
    residual, codes, atoms = as_fractions(X), as_fractions(Y), as_fractions(D)
    check_unit_columns(atoms)
    total = Fraction(0)
    for p, atom, row in zip(
        check_probabilities(probabilities, atoms.shape[1]), atoms.T, codes, strict=True
    ):
        active = np.flatnonzero(row)
        residual = residual.copy()
        residual[:, active] -= np.multiply.outer(atom, row[active])
        total += p * (residual * residual).sum()
    return total


@at_the_door
def exact_codes(
    X: Shaped[np.ndarray, "d N"],
    D: Shaped[np.ndarray, "d K"],
    supports: Int[np.ndarray, "N m"],
    probabilities: Sequence[Fraction],
) -> Shaped[np.ndarray, "K N"]:
    """Return the codes that minimise L_ND on given supports, as Fractions.

    Parameters
    ----------
    X, D : arrays of ints and Fractions
        Data and dictionary.
    supports : Int[np.ndarray, "N m"]
        Distinct indices of the m atoms that each sample may use.
    probabilities : sequence of Fraction
        A law on {1..K} with P(l = K) > 0, which makes the minimum unique.

    Raises
    ------
    InputError
        If an entry is not rational, or the normal equations (W o G)_SS z = (w o D^T x)_S of
        a support are singular.

    Notes
    -----
    claim I1 (docs/theory.md).
    """
    data, atoms = as_fractions(X), as_fractions(D)
    w = survival_of(check_probabilities(probabilities, atoms.shape[1]))
    system = np.minimum(w[:, None], w[None, :]) * (atoms.T @ atoms)
    target = w[:, None] * (atoms.T @ data)
    codes = np.full((atoms.shape[1], data.shape[1]), Fraction(0), dtype=object)
    for support in np.unique(supports, axis=0):
        samples = np.flatnonzero((supports == support).all(axis=1))
        inverse = _inverse(system[np.ix_(support, support)], support)
        codes[np.ix_(support, samples)] = inverse @ target[np.ix_(support, samples)]
    return codes


@at_the_door
def rational_unit_vector(
    vector: Float[np.ndarray, " d"], denominator: int = 1000
) -> Shaped[np.ndarray, " d"]:
    """Return a rational point of the unit sphere near a unit vector.

    Parameters
    ----------
    vector : Float[np.ndarray, " d"]
        Not zero; its direction counts only.
    denominator : int
        Largest denominator of the stereographic coordinates, at least 1: the point is within
        about sqrt(d) / denominator of the vector.

    Returns
    -------
    Shaped[np.ndarray, " d"]
        Fractions with squares of sum exactly 1: (2 t, 1 - |t|^2) / (1 + |t|^2), the
        stereographic image of a rational t, seen from the pole farthest from the vector.

    Raises
    ------
    InputError
        If the vector is zero or not finite, or the denominator is not at least 1.
    """
    check_integer("denominator", denominator, 1)
    norm = float(np.linalg.norm(vector))
    if not 0 < norm < np.inf:
        raise InputError(f"vector of norm {norm}: expected a finite one that is not zero")
    u = vector / norm
    pole = int(np.argmax(np.abs(u)))
    sign = 1 if u[pole] > 0 else -1
    t = [Fraction(float(x / (1 + abs(u[pole])))).limit_denominator(denominator) for x in u]
    t[pole] = Fraction(0)
    square = sum((x * x for x in t), Fraction(0))
    point = np.array([2 * x / (1 + square) for x in t], dtype=object)
    point[pole] = sign * (1 - square) / (1 + square)
    return point


def _inverse(matrix: np.ndarray, support: np.ndarray) -> np.ndarray:
    entries = [[QQ(x.numerator, x.denominator) for x in row] for row in matrix]
    try:
        inverse = DomainMatrix(entries, matrix.shape, QQ).inv()
    except DMNonInvertibleMatrixError as error:
        raise InputError(
            f"support {support.tolist()} has singular normal equations: expected a law with"
            " P(l = K) > 0 and independent atoms, or weights that fall between them"
        ) from error
    return as_fractions(
        [[Fraction(int(x.numerator), int(x.denominator)) for x in row] for row in inverse.to_list()]
    )
