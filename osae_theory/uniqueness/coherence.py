"""Coherence mu(D), the Babel function mu_1 and the Welch bound, each with its own error."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Real, Shaped

from osae_theory.arrays import ArrayLike
from osae_theory.certificates import Certificate, Number
from osae_theory.errors import InputError, check_integer
from osae_theory.problems.geometry import welch_bound
from osae_theory.uniqueness.matrices import Columns, ExactColumns, Rows, read_columns
from osae_theory.uniqueness.work import check_work, progress

MAX_PRODUCTS = 10**12
_FLOATS_TO_A_FRACTION = 10**5  # products of floats in the time of one of fractions
_BLOCK_ENTRIES = 1 << 22


@dataclass(frozen=True, eq=False)
class Cosines:
    """The |cosines| of all pairs of atoms, |D^T D|, which are never in memory all at once.

    Attributes
    ----------
    atoms : np.ndarray
        D, (d, K): float64, or objects (Fraction).
    error : float
        Largest error of a cosine; a whole 0 if they are exact, so that sums with it stay exact.
    """

    atoms: Shaped[np.ndarray, "d K"]
    error: float

    @property
    def K(self) -> int:
        """Number of atoms."""
        return self.atoms.shape[1]

    def rows(self) -> Iterator[tuple[int, Shaped[np.ndarray, "B K"]]]:
        """Yield |D^T D| in blocks of rows, each with the number of its first row.

        An atom's cosine with itself is given as -1, below all others.
        """
        size = max(1, _BLOCK_ENTRIES // self.K)
        starts = range(0, self.K, size)
        for start in progress(starts, len(starts), "blocks of cosines"):
            block = np.abs(self.atoms[:, start : start + size].T @ self.atoms)
            places = np.arange(len(block))
            block[places, start + places] = -1
            yield start, block


def coherence_certificate(
    D: Real[np.ndarray, "d K"] | Rows | ArrayLike, max_products: int = MAX_PRODUCTS
) -> Certificate:
    """Return the coherence mu(D), the largest |cosine| of two atoms.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        Unit-norm columns; of whole numbers and fractions for an exact answer.
    max_products : int
        The most that is done: d K^2 products of floats, or 100,000 times as many for fractions.

    Returns
    -------
    Certificate
        "exact" (a Fraction) or "value"; the closest pair is in the details. 0 for one atom.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm, or there is more to multiply than the bound.

    Notes
    -----
    Section 2.3 of the paper; Donoho & Elad (2003).
    """
    cosines = absolute_cosines(D, max_products)
    largest, pair = _closest_pair(cosines) if cosines.K > 1 else (0, ())
    return _certificate("mu(D)", largest, cosines.error, "largest |cosine| of two atoms", pair)


def babel(
    D: Real[np.ndarray, "d K"] | Rows, s: int, max_products: int = MAX_PRODUCTS
) -> Certificate:
    """Return the Babel function mu_1(s), the cumulative coherence.

    The largest sum of |cosines| between an atom and s others; mu_1(s) <= s mu.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        Unit-norm columns.
    s : int
        Number of other atoms, 0 <= s <= K - 1.
    max_products : int
        The most that is done: d K^2 products of floats, or 100,000 times as many for fractions.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm, s is outside its range, or there is more to
        multiply than the bound.

    Notes
    -----
    Tropp (2004), section 2.4.
    """
    cosines = absolute_cosines(D, max_products)
    check_integer("s", s, 0)
    if s >= cosines.K:
        raise InputError(f"s = {s}: expected at most K - 1 = {cosines.K - 1} other atoms")
    method = "largest sum of |cosines| between an atom and s others"
    return _certificate(f"mu_1({s})", babel_values(cosines)[s], s * cosines.error, method, None)


def welch_certificate(
    D: Real[np.ndarray, "d K"] | Rows | ArrayLike, max_products: int = MAX_PRODUCTS
) -> Certificate:
    """Return how far the coherence is above the least possible, mu(D) - Welch bound.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        Unit-norm columns.
    max_products : int
        The most that is done: d K^2 products of floats, or 100,000 times as many for fractions.

    Returns
    -------
    Certificate
        "value", at least 0 up to its error, and 0 up to it for an equiangular tight frame; both
        terms are in the details.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm, or there is more to multiply than the bound.

    Notes
    -----
    Welch (1974). For K > d the bound exceeds 1/K, hence every p_K: claim T3c.
    """
    mu = coherence_certificate(D, max_products)
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


def absolute_cosines(
    D: Real[np.ndarray, "d K"] | Rows | ArrayLike, max_products: int = MAX_PRODUCTS
) -> Cosines:
    """Return the |cosines| of the atoms, exact or in floats; nothing is multiplied yet.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm, or there is more to multiply than `max_products`.
    """
    columns = read_columns("dictionary", D)
    d = columns.shape[0]
    products = cosine_products(columns)
    if isinstance(columns, ExactColumns):
        what = f"products ({_FLOATS_TO_A_FRACTION} for each of fractions) for all K^2 cosines"
        check_work(products, what, "max_products", max_products, "give D in floats")
        return Cosines(_exact_atoms(columns), 0)
    check_work(products, "products for all K^2 cosines", "max_products", max_products)
    # The columns are normalised to rounding: the product and both norms each lose about d eps.
    return Cosines(columns.matrix, 3 * (d + 4) * float(np.finfo(np.float64).eps))


def cosine_products(columns: Columns) -> int:
    """Return the products that all cosines take, one of fractions weighed as many of floats."""
    d, K = columns.shape
    return d * K**2 * (_FLOATS_TO_A_FRACTION if columns.exact else 1)


def babel_values(cosines: Cosines) -> list[Number]:
    """Return mu_1(0), ..., mu_1(K - 1) from |cosines|."""
    largest: np.ndarray | None = None
    for _, block in cosines.rows():
        # The first of each row is the atom itself.
        descending = np.sort(block, axis=1)[:, :0:-1]
        sums = np.cumsum(descending, axis=1).max(axis=0)
        largest = sums if largest is None else np.maximum(largest, sums)
    return [0, *([] if largest is None else largest.tolist())]


def _closest_pair(cosines: Cosines) -> tuple[Number, tuple[int, ...]]:
    """Return the largest |cosine| and its atoms, the first such pair."""
    largest, pair = -1, ()
    for start, block in cosines.rows():
        row, column = np.unravel_index(int(np.argmax(block)), block.shape)
        if block[row, column] > largest:
            largest, pair = block[row, column], (start + int(row), int(column))
    return (largest.item() if isinstance(largest, np.generic) else largest), tuple(sorted(pair))


def _exact_atoms(columns: ExactColumns) -> Shaped[np.ndarray, "d K"]:
    atoms = np.array(columns.rows, dtype=object)
    norms = (atoms * atoms).sum(axis=0)
    for place in np.flatnonzero(norms != 1):
        raise InputError(
            f"dictionary column {place} has squared norm {norms[place]}: expected 1; normalise "
            "the atoms, in floats if their norms are irrational"
        )
    return atoms


def _certificate(
    quantity: str, value: Number, error: float, method: str, pair: tuple[int, ...] | None
) -> Certificate:
    kind = "exact" if error == 0 and not isinstance(value, float) else "value"
    details = {"pair": ", ".join(map(str, pair))} if pair else {}
    return Certificate(quantity, value, kind, method, error, details)
