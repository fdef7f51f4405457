"""What a check of a sufficient condition finds, and the instance (D, Y) that it looks at."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Literal

import numpy as np

from osae_theory.arrays import ArrayLike, array
from osae_theory.certificates import Certificate, Kind
from osae_theory.errors import InputError, check_integer
from osae_theory.uniqueness.matrices import (
    Columns,
    ExactColumns,
    read_columns,
    scan_subsets,
)

Support = tuple[int, ...]
Answer = Literal["met", "not met", "not decided"]


@dataclass(frozen=True)
class Finding:
    """Whether a problem meets a sufficient condition for a unique sparse factorisation.

    Attributes
    ----------
    condition : str
        Its name.
    source : str
        Where it is stated and proved.
    answer : str
        "met", which is proved; "not met"; or "not decided", if rounding, a choice of samples or
        a bound on the work leaves it open. Nothing follows unless it is met.
    reason : str
        What decided: what holds, the first thing that fails, or the bound that was reached.
    certificate : Certificate, optional
        If met: one dictionary, up to signed permutation, explains the data.
    steps : tuple of str
        The argument, one verified statement after another.
    """

    condition: str
    source: str
    answer: Answer
    reason: str
    certificate: Certificate | None = None
    steps: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """Whether the condition is proved to hold."""
        return self.answer == "met"


@dataclass(frozen=True, eq=False)
class Instance:
    """A factorisation X = D Y with m-sparse columns, in exact or in bounded arithmetic.

    Attributes
    ----------
    columns : ExactColumns or FloatColumns
        The atoms.
    atoms, codes : np.ndarray
        D (d, K) and Y (K, N): float64, or objects (Fraction).
    m : int
        Atoms in a support.
    samples : mapping of tuple to tuple of int
        The samples of each support of exactly m atoms; sparser samples are left out, as
        uniqueness from some samples is uniqueness from all.
    """

    columns: Columns
    atoms: np.ndarray
    codes: np.ndarray
    m: int
    samples: Mapping[Support, tuple[int, ...]]

    @property
    def K(self) -> int:
        """Number of atoms."""
        return self.codes.shape[0]

    def data(self, samples: Sequence[int]) -> Columns:
        """Return the data of some samples."""
        return self._columns(self.atoms @ self.codes[:, list(samples)])

    def general_position(self, support: Support, needed: int | None = None) -> tuple[int, ...]:
        """Return samples of one support of which any m have independent codes, first come.

        Parameters
        ----------
        support : tuple of int
            Which m atoms.
        needed : int, optional
            Stop at this many.

        Notes
        -----
        Greedy: for m = 2 it is the number of distinct directions, and for larger m a lower bound
        on the largest choice.
        """
        samples = self.samples.get(support, ())
        if not samples:
            return ()
        codes = self._columns(self.codes[np.ix_(support, samples)])
        chosen: list[int] = []
        for place in range(len(samples)):
            if needed is not None and len(chosen) >= needed:
                break
            size = min(self.m, len(chosen) + 1)
            new = ((*others, place) for others in combinations(chosen, size - 1))
            if scan_subsets(codes, size, new).dependence is None:
                chosen.append(place)
        return tuple(samples[place] for place in chosen)

    def unique(self, condition: str, spark: Certificate, details: Mapping[str, str]) -> Certificate:
        """Return the certificate of a unique dictionary, as certain as what it rests on."""
        return one_dictionary(condition, self.columns, spark, details)

    def _columns(self, matrix: np.ndarray) -> Columns:
        if self.columns.exact:
            return ExactColumns(tuple(map(tuple, matrix)))
        return read_columns("data", matrix, unit_norm=False)


def one_dictionary(
    condition: str, columns: Columns, spark: Certificate, details: Mapping[str, str]
) -> Certificate:
    """Return the certificate of a unique dictionary, as certain as what it rests on."""
    # A bound that rests on a solver is sound up to its tolerance, even for exact atoms.
    kind: Kind = "exact" if columns.exact and "solver" not in spark.details else "value"
    return Certificate(
        quantity="dictionaries that explain X, up to signed permutation",
        value=1,
        kind=spark.kind if spark.kind == "with probability one" else kind,
        method=condition,
        details={"spark(D)": str(spark), **details},
    )


def read_instance(D: ArrayLike, Y: ArrayLike, m: int | None = None) -> Instance:
    """Read a factorisation at the door; exact if both D and Y are of whole numbers and fractions.

    Parameters
    ----------
    D : array of shape (d, K), or rows of int and Fraction
        Unit-norm columns (rational ones may have any length).
    Y : array of shape (K, N), or rows of int and Fraction
        Codes, at most m nonzeros a column.
    m : int, optional
        The largest number of nonzeros by default.

    Raises
    ------
    InputError
        If the shapes do not agree, a column of D is zero or not of unit norm, m is outside 1..K,
        or a column of Y has more than m nonzeros.
    """
    columns = read_columns("dictionary", D)
    codes, exact_codes = _read_codes(Y)
    K = columns.shape[1]
    if codes.ndim != 2 or codes.shape[0] != K or codes.shape[1] == 0:
        raise InputError(f"codes of shape {codes.shape}: expected (K, N) with K = {K}, N > 0")
    used = (codes != 0).sum(axis=0)
    m = int(used.max()) if m is None else m
    check_integer("m", m, 1)
    if m > K:
        raise InputError(f"m = {m}: expected at most K = {K} atoms in a support")
    if used.max() > m:
        sample = int(np.argmax(used > m))
        raise InputError(f"codes column {sample} has {used[sample]} nonzeros: expected at most {m}")
    if isinstance(columns, ExactColumns) and exact_codes:
        atoms = np.array(columns.rows, dtype=object)
        return Instance(columns, atoms, codes, m, _samples_of(codes, m))
    atoms, codes = _floats("dictionary", D), _floats("codes", codes)
    if columns.exact:
        columns = read_columns("dictionary", atoms, unit_norm=False)
    return Instance(columns, atoms, codes, m, _samples_of(codes, m))


def _read_codes(Y: ArrayLike) -> tuple[np.ndarray, bool]:
    """Return the codes, as Fractions if all are rational, and whether they are."""
    codes = array("codes", Y, kind="exact", ndim=2)
    if codes.dtype.kind == "f":
        return codes.astype(np.float64), False
    rows = [[Fraction(entry) for entry in row] for row in codes.tolist()]
    return np.array(rows, dtype=object).reshape(codes.shape), True


def _floats(name: str, matrix: ArrayLike) -> np.ndarray:
    try:
        return array(name, matrix, kind="exact").astype(np.float64)
    except OverflowError:
        raise InputError(
            f"{name} has entries beyond the range of floats: give D and Y alike"
        ) from None


def _samples_of(codes: np.ndarray, m: int) -> Mapping[Support, tuple[int, ...]]:
    groups: dict[Support, list[int]] = defaultdict(list)
    for sample, column in enumerate(codes.T):
        support = tuple(np.flatnonzero(column != 0).tolist())
        if len(support) == m:
            groups[support].append(sample)
    return {support: tuple(samples) for support, samples in sorted(groups.items())}
