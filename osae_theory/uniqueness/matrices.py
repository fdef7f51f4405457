"""Sets of atoms that are proved linearly independent, in exact or in bounded arithmetic."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations, islice
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from osae_theory.arrays import ArrayLike, array
from osae_theory.certificates import Number
from osae_theory.errors import InputError, check_finite, check_real, shown
from osae_theory.problems.geometry import check_dictionary, unit_columns

PRIME = 2**31 - 1  # the largest prime whose products of two residues fit int64
CHUNK_ENTRIES = 1 << 19
COLUMN_ERROR = 1e-12
MAX_SUBSETS = 200_000

Rows = Sequence[Sequence[int | Fraction]]


@dataclass(frozen=True)
class Dependence:
    """Columns that are dependent, or that rounding leaves undecided.

    Attributes
    ----------
    subset : tuple of int
        Indices of the columns, ascending, from 0.
    vector : tuple of Fraction or float
        Their coefficients in a combination that is zero (or as small as can be).
    proved : bool
        Whether the dependence is certain; otherwise independence could not be proved.
    """

    subset: tuple[int, ...]
    vector: tuple[Number, ...]
    proved: bool


@dataclass(frozen=True)
class Scan:
    """What a search through subsets of columns met.

    Attributes
    ----------
    dependence : Dependence, optional
        The first one; None if every subset is proved independent.
    smallest : float, optional
        Smallest singular value met; None in exact arithmetic, which needs none.
    """

    dependence: Dependence | None
    smallest: float | None


@dataclass(frozen=True, eq=False)
class ExactColumns:
    """Columns of a rational matrix; every answer about them is exact.

    Independence modulo a prime proves independence over the rationals. What is dependent
    modulo the prime is decided by SymPy's exact null space.

    Attributes
    ----------
    rows : tuple of tuples of Fraction
        The matrix, one row a tuple.
    """

    rows: tuple[tuple[Fraction, ...], ...]
    residues: Int[np.ndarray, "d K"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "residues", _residues(self.rows))

    @property
    def shape(self) -> tuple[int, int]:
        """Dimension and number of columns, (d, K)."""
        return len(self.rows), len(self.rows[0])

    @property
    def exact(self) -> bool:
        """Whether the arithmetic is exact: yes."""
        return True

    def floats(self) -> Float[np.ndarray, "d K"]:
        """Return the matrix in float64, its columns scaled to unit norm."""
        # Divided exactly first: an entry may be beyond the range of floats.
        largest = [max(abs(entry) for entry in column) for column in zip(*self.rows, strict=True)]
        scaled = [[a / b for a, b in zip(row, largest, strict=True)] for row in self.rows]
        return unit_columns(np.array(scaled, dtype=np.float64))

    def null_vector(self, subset: Sequence[int]) -> Dependence | None:
        """Return a dependence of the given columns, or None if they are independent."""
        from sympy import QQ
        from sympy.polys.matrices import DomainMatrix

        entries = [[QQ(r[i].numerator, r[i].denominator) for i in subset] for r in self.rows]
        null = DomainMatrix(entries, (len(self.rows), len(subset)), QQ).nullspace().to_list()
        if not null:
            return None
        vector = tuple(Fraction(int(q.numerator), int(q.denominator)) for q in null[0])
        return Dependence(tuple(int(i) for i in subset), vector, proved=True)

    def scan(self, subsets: Int[np.ndarray, "B s"]) -> Scan:
        """Return the first dependence among subsets of columns, one a row."""
        stacked = self.residues[:, subsets].transpose(1, 0, 2)
        for place in np.flatnonzero(~_full_rank_modulo_prime(stacked)):
            found = self.null_vector(subsets[place].tolist())
            if found is not None:
                return Scan(found, None)
        return Scan(None, None)


@dataclass(frozen=True, eq=False)
class FloatColumns:
    """Unit columns known up to an error; independence is proved by singular values.

    Weyl's inequality: s columns are independent if their smallest singular value exceeds
    sqrt(s) `column_error`, plus what the singular value decomposition can have lost.

    Attributes
    ----------
    matrix : Float[np.ndarray, "d K"]
        Columns of unit norm.
    column_error : float
        Largest distance of a column from the one that is meant.
    """

    matrix: Float[np.ndarray, "d K"]
    column_error: float = COLUMN_ERROR

    @property
    def shape(self) -> tuple[int, int]:
        """Dimension and number of columns, (d, K)."""
        return self.matrix.shape

    @property
    def exact(self) -> bool:
        """Whether the arithmetic is exact: no."""
        return False

    def floats(self) -> Float[np.ndarray, "d K"]:
        """Return the matrix."""
        return self.matrix

    def null_vector(self, subset: Sequence[int]) -> Dependence | None:
        """Return a dependence, certain or not, or None if independence is proved."""
        return self.scan(np.array([subset], dtype=np.int64)).dependence

    def scan(self, subsets: Int[np.ndarray, "B s"]) -> Scan:
        """Return the first subset (one a row) that is not proved independent."""
        d, size = len(self.matrix), subsets.shape[1]
        if size > d:
            return Scan(self._dependence(subsets[0], proved=True), 0.0)
        stacked = self.matrix[:, subsets].transpose(1, 0, 2)
        values = np.linalg.svd(stacked, compute_uv=False)
        lost = 10 * d * np.finfo(np.float64).eps * values[:, 0]
        doubtful = values[:, -1] <= math.sqrt(size) * self.column_error + lost
        smallest = float(values[:, -1].min())
        if not doubtful.any():
            return Scan(None, smallest)
        first = subsets[int(np.argmax(doubtful))]
        return Scan(self._dependence(first, proved=False), smallest)

    def _dependence(self, subset: Int[np.ndarray, " s"], proved: bool) -> Dependence:
        vector = np.linalg.svd(self.matrix[:, subset]).Vh[-1]
        return Dependence(tuple(subset.tolist()), tuple(vector.tolist()), proved)


Columns = ExactColumns | FloatColumns


def read_columns(
    name: str,
    matrix: ArrayLike,
    *,
    unit_norm: bool = True,
    column_error: float = COLUMN_ERROR,
) -> Columns:
    """Read a matrix at the door: exactly if it is of whole numbers and fractions.

    Parameters
    ----------
    name : str
        What messages call the matrix.
    matrix : array of shape (d, K), or rows of int and Fraction
        Floats are taken for a rounding of what is meant; integers, or rows of int and Fraction,
        for the matrix itself.
    unit_norm : bool
        Whether float columns must have unit norm (to 1e-8); they are normalised either way.
        Exact columns may have any length: scaling them to unit norm could make them irrational.
    column_error : float
        Largest distance of a float column, once normalised, from the one that is meant.

    Raises
    ------
    InputError
        If the matrix is empty, ragged or not finite, or has a zero column or (floats only) one
        that is not of unit norm.
    """
    if not _is_rows(matrix) or _holds_floats(matrix):
        matrix = array(name, matrix, kind="exact", finite=False)
    if isinstance(matrix, np.ndarray) and matrix.ndim != 2:
        raise InputError(f"{name} of shape {matrix.shape}: expected two axes")
    if isinstance(matrix, np.ndarray) and matrix.dtype.kind == "f":
        check_real("column_error", column_error, at_least=0.0)
        return FloatColumns(_float_columns(name, matrix, unit_norm), float(column_error))
    rows: Rows = matrix.tolist() if isinstance(matrix, np.ndarray) else matrix
    return ExactColumns(exact_rows(name, rows))


def check_is(name: str, value: object, kind: type, article: str = "a") -> None:
    """Raise InputError unless a value is of a class of the project."""
    if not isinstance(value, kind):
        raise InputError(f"{name} = {shown(value)}: expected {article} {kind.__name__}")


def _is_rows(matrix: object) -> bool:
    rows = isinstance(matrix, (list, tuple))
    return rows and all(isinstance(row, (list, tuple)) for row in matrix)


def _holds_floats(rows: Sequence[Sequence[Any]]) -> bool:
    return any(isinstance(entry, (float, np.floating)) for row in rows for entry in row)


def exact_rows(name: str, rows: Sequence[Sequence[Any]]) -> tuple[tuple[Fraction, ...], ...]:
    """Return a rational matrix as rows of Fraction, with no zero column.

    Raises
    ------
    InputError
        If it is empty or ragged, an entry is not rational, or a column is zero.
    """
    if not isinstance(rows, (list, tuple)) or not all(isinstance(r, (list, tuple)) for r in rows):
        raise InputError(f"{name} = {shown(rows)}: expected an array, or rows of numbers")
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(f"{name} with rows of lengths {sorted(lengths)}: expected one, above 0")
    for entry in (entry for row in rows for entry in row):
        if not isinstance(entry, (int, Fraction)):
            raise InputError(f"{name} holds {shown(entry)}: expected whole numbers and fractions")
    exact = tuple(tuple(Fraction(entry) for entry in row) for row in rows)
    for column, entries in enumerate(zip(*exact, strict=True)):
        if not any(entries):
            raise InputError(f"{name} column {column} is zero: expected nonzero columns")
    return exact


def chunked(
    subsets: Iterable[tuple[int, ...]], size: int, entries: int
) -> Iterator[Int[np.ndarray, "B s"]]:
    """Yield given subsets of one size in chunks of about 2^19 / `entries` subsets."""
    flat = iter(subsets)
    length = max(1, CHUNK_ENTRIES // entries)
    while chunk := list(islice(flat, length)):
        yield np.array(chunk, dtype=np.int64).reshape(len(chunk), size)


def scan_subsets(
    columns: Columns, size: int, subsets: Iterable[tuple[int, ...]] | None = None
) -> Scan:
    """Return the first dependence among all (or the given) subsets of one size."""
    d, K = columns.shape
    smallest: float | None = None
    given = combinations(range(K), size) if subsets is None else subsets
    for chunk in chunked(given, size, d * size):
        found = columns.scan(chunk)
        if found.smallest is not None:
            smallest = min(found.smallest, math.inf if smallest is None else smallest)
        if found.dependence is not None:
            return Scan(found.dependence, smallest)
    return Scan(None, smallest)


def listed(numbers: Iterable[Number]) -> str:
    """Return numbers as text for a certificate's details: "1, 1/2, -3"."""
    return ", ".join(str(number) for number in numbers)


def _float_columns(
    name: str, matrix: Float[np.ndarray, "d K"], unit_norm: bool
) -> Float[np.ndarray, "d K"]:
    D = np.asarray(matrix, dtype=np.float64)
    if unit_norm:
        check_dictionary(D)
    if D.ndim != 2 or 0 in D.shape:
        raise InputError(f"{name} of shape {D.shape}: expected two axes, neither empty")
    check_finite(name, D)
    zero = ~D.any(axis=0)
    if zero.any():
        raise InputError(f"{name} column {int(np.argmax(zero))} is zero: expected nonzero columns")
    return unit_columns(D)


def _residues(rows: tuple[tuple[Fraction, ...], ...]) -> Int[np.ndarray, "d K"]:
    """Return the matrix modulo the prime, each column first scaled to whole numbers."""
    columns = []
    for entries in zip(*rows, strict=True):
        scale = math.lcm(*(entry.denominator for entry in entries))
        columns.append([int(entry * scale) % PRIME for entry in entries])
    return np.array(columns, dtype=np.int64).T


def _full_rank_modulo_prime(stacked: Int[np.ndarray, "B d s"]) -> Bool[np.ndarray, " B"]:
    """Return which matrices have independent columns modulo the prime.

    Fraction-free elimination: multiplying across needs no inverse of a pivot.
    """
    work = stacked.copy()
    each = np.arange(len(work))
    _, d, size = work.shape
    if size > d:
        return np.zeros(len(work), dtype=bool)
    full = np.ones(len(work), dtype=bool)
    for j in range(size):
        pivot = j + np.argmax(work[:, j:, j] != 0, axis=1)
        head = work[each, pivot].copy()
        full &= head[:, j] != 0
        work[each, pivot] = work[:, j]
        below = work[:, j + 1 :, j, None] * head[:, None, j:]
        work[:, j + 1 :, j:] = (work[:, j + 1 :, j:] * head[:, None, j, None] - below) % PRIME
    return full
