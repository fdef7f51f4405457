"""Coherence mu(D), the Babel function mu_1 and the Welch bound, each with its own error."""

from fractions import Fraction
from itertools import accumulate

import numpy as np
from jaxtyping import Float, Real

from osae_theory.certificates import Certificate, Number
from osae_theory.errors import InputError, check_integer
from osae_theory.problems.geometry import welch_bound
from osae_theory.uniqueness.matrices import ExactColumns, Rows, read_columns

Cosines = list[list[Number]]


def coherence_certificate(D: Real[np.ndarray, "d K"] | Rows) -> Certificate:
    """Return the coherence mu(D), the largest |cosine| of two atoms.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        Unit-norm columns; of whole numbers and fractions for an exact answer.

    Returns
    -------
    Certificate
        "exact" (a Fraction) or "value"; the closest pair is in the details. 0 for one atom.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm.

    Notes
    -----
    Section 2.3 of the paper; Donoho & Elad (2003).
    """
    cosines, error = absolute_cosines(D)
    K = len(cosines)
    pairs = ((cosines[i][j], (i, j)) for i in range(K) for j in range(i + 1, K))
    largest, pair = max(pairs, key=lambda item: item[0], default=(0, ()))
    return _certificate("mu(D)", largest, error, "largest |cosine| of two atoms", pair)


def babel(D: Real[np.ndarray, "d K"] | Rows, s: int) -> Certificate:
    """Return the Babel function mu_1(s), the cumulative coherence.

    The largest sum of |cosines| between an atom and s others; mu_1(s) <= s mu.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        Unit-norm columns.
    s : int
        Number of other atoms, 0 <= s <= K - 1.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm, or s is outside its range.

    Notes
    -----
    Tropp (2004), section 2.4.
    """
    cosines, error = absolute_cosines(D)
    check_integer("s", s, 0)
    if s >= len(cosines):
        raise InputError(f"s = {s}: expected at most K - 1 = {len(cosines) - 1} other atoms")
    method = "largest sum of |cosines| between an atom and s others"
    return _certificate(f"mu_1({s})", babel_values(cosines)[s], s * error, method, None)


def welch_certificate(D: Real[np.ndarray, "d K"] | Rows) -> Certificate:
    """Return how far the coherence is above the least possible, mu(D) - Welch bound.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        Unit-norm columns.

    Returns
    -------
    Certificate
        "value", at least 0 up to its error, and 0 up to it for an equiangular tight frame; both
        terms are in the details.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm.

    Notes
    -----
    Welch (1974). For K > d the bound exceeds 1/K, hence every p_K: claim T3c.
    """
    mu = coherence_certificate(D)
    d, K = read_columns("dictionary", D).shape
    bound = welch_bound(d, K)
    return Certificate(
        quantity="mu(D) - Welch bound",
        value=float(mu.value) - bound,
        kind="value",
        method="coherence less sqrt((K - d) / (d (K - 1))), or less 0 if K <= d",
        error=mu.error + 4 * float(np.finfo(np.float64).eps),
        details={"mu(D)": str(mu.value), "Welch bound": str(bound), "1/K": str(Fraction(1, K))},
    )


def absolute_cosines(D: Real[np.ndarray, "d K"] | Rows) -> tuple[Cosines, float]:
    """Return |D^T D| as rows, exact or in floats, and the largest error of an entry.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm.
    """
    columns = read_columns("dictionary", D)
    if isinstance(columns, ExactColumns):
        return _exact_cosines(columns), 0  # whole, so that sums with it stay exact
    gram: Float[np.ndarray, "K K"] = np.abs(columns.matrix.T @ columns.matrix)
    # The columns are normalised to rounding: the product and both norms each lose about d eps.
    error = 3 * (columns.shape[0] + 4) * float(np.finfo(np.float64).eps)
    return gram.tolist(), error


def babel_values(cosines: Cosines) -> list[Number]:
    """Return mu_1(0), ..., mu_1(K - 1) from |cosines|."""
    sums = (
        accumulate(sorted((c for j, c in enumerate(row) if j != i), reverse=True), initial=0)
        for i, row in enumerate(cosines)
    )
    return [max(column) for column in zip(*sums, strict=True)]


def _exact_cosines(columns: ExactColumns) -> Cosines:
    atoms = list(zip(*columns.rows, strict=True))
    for place, atom in enumerate(atoms):
        norm = sum((entry * entry for entry in atom), start=Fraction(0))
        if norm != 1:
            raise InputError(
                f"dictionary column {place} has squared norm {norm}: expected 1; normalise the "
                "atoms, in floats if their norms are irrational"
            )
    return [
        [abs(sum((a * b for a, b in zip(x, y, strict=True)), start=Fraction(0))) for y in atoms]
        for x in atoms
    ]


def _certificate(
    quantity: str, value: Number, error: float, method: str, pair: tuple[int, ...] | None
) -> Certificate:
    kind = "exact" if error == 0 and not isinstance(value, float) else "value"
    details = {"pair": ", ".join(map(str, pair))} if pair else {}
    return Certificate(quantity, value, kind, method, error, details)
