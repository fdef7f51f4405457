"""Unique m-sparse codes of a given dictionary, spark(D) > 2 m, by the best proof available."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Real

from osae_theory.certificates import Certificate
from osae_theory.errors import InputError, check_integer
from osae_theory.problems import Dictionary, SparseCodingProblem
from osae_theory.uniqueness.construction import spark_by_construction
from osae_theory.uniqueness.matrices import MAX_SUBSETS, Rows, read_columns
from osae_theory.uniqueness.spark import (
    has_unique_codes,
    spark_by_coherence,
    spark_exhaustive,
    spark_mip,
)

MAX_MIP_ATOMS = 64


def certify_problem(problem: SparseCodingProblem, time_limit: float = 60.0) -> Certificate:
    """Return a proof that the problem's m-sparse codes are the only ones for its dictionary.

    Parameters
    ----------
    problem : SparseCodingProblem
        Its m is the largest number of atoms that a sample uses.
    time_limit : float
        Seconds for the mixed-integer program, if it comes to that.

    Returns
    -------
    Certificate
        As from `certify_codes`. It is about D* and m, hence holds with noise too, for the codes
        of X - R.

    Raises
    ------
    InputError
        If the codes are not unique, or no method proves that they are; the message says which,
        and names dependent atoms where it can. Also if all codes are zero.
    """
    spec = None if problem.spec is None else problem.spec.dictionary
    return certify_codes(problem.dictionary, problem.m, spec, time_limit)


def certify_codes(
    D: Real[np.ndarray, "d K"] | Rows,
    m: int,
    spec: Dictionary | None = None,
    time_limit: float = 60.0,
) -> Certificate:
    """Return a proof that spark(D) > 2 m, or that D's atoms are independent.

    In turn: the construction, if it proves the spark of every draw; the coherence, which is
    cheap; every subset of up to 2 m atoms, if there are at most 200,000; the construction, if it
    holds with probability one; a mixed-integer program, if K <= 64.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        Unit-norm columns (rational ones may have any length).
    m : int
        Atoms in a support, 1 <= m <= K.
    spec : Dictionary, optional
        Where D came from.
    time_limit : float
        Seconds for the mixed-integer program.

    Returns
    -------
    Certificate
        Of spark(D), above min(2 m, K); the details say what follows from it.

    Raises
    ------
    InputError
        If it is not so, or cannot be proved, or an argument is outside its range.

    Notes
    -----
    Donoho & Elad (2003), corollary 3: spark(D) > 2 m is necessary and sufficient.
    """
    d, K = read_columns("dictionary", D).shape
    check_integer("m", m, 1)
    if spec is not None and (spec.d, spec.K) != (d, K):
        raise InputError(f"spec = {spec!r}: expected one of the shape of D, (d, K) = ({d}, {K})")
    if m > K:
        raise InputError(f"m = {m}: expected at most K = {K} atoms in a support")
    if d < min(2 * m, K):
        raise InputError(
            f"m = {m} with (d, K) = ({d}, {K}): any d + 1 atoms are dependent, so codes are not "
            f"unique; expected d of at least {min(2 * m, K)}"
        )
    tried: list[str] = []
    for method in _methods(D, m, K, spec, time_limit):
        spark = method()
        if has_unique_codes(spark, m, K):
            return _conclusion(spark, m, K)
        _refuse_if_proved(spark, m)
        tried.append(str(spark))
    raise InputError(
        f"m = {m}: spark(D) > {min(2 * m, K)} is not proved; give whole numbers and fractions, or "
        f"a dictionary that is known by its construction. Tried: {'; '.join(tried)}"
    )


def proved_spark(
    D: Real[np.ndarray, "d K"] | Rows, m: int, spark: Certificate | None
) -> Certificate:
    """Return the given proof that m-sparse codes are unique, or one from `certify_codes`.

    Raises
    ------
    InputError
        If the one given does not prove it, or there is none.
    """
    if spark is None:
        return certify_codes(D, m)
    K = read_columns("dictionary", D).shape[1]
    if not has_unique_codes(spark, m, K):
        raise InputError(f"spark = {spark}: expected a proof of more than {min(2 * m, K)}")
    return spark


def _methods(
    D: Real[np.ndarray, "d K"] | Rows,
    m: int,
    K: int,
    spec: Dictionary | None,
    time_limit: float,
) -> list[Callable[[], Certificate]]:
    known = _constructed(spec)
    methods: list[Callable[[], Certificate]] = []
    if known is not None and known.kind == "exact":
        methods.append(lambda: known)
    if _has_rational_cosines(D):
        methods.append(lambda: spark_by_coherence(D))
    size = min(2 * m, K)
    if sum(math.comb(K, s) for s in range(1, size + 1)) <= MAX_SUBSETS:
        methods.append(lambda: spark_exhaustive(D, max_size=size))
    if known is not None and known.kind != "exact":
        methods.append(lambda: known)
    elif K <= MAX_MIP_ATOMS:
        methods.append(lambda: spark_mip(D, time_limit))
    return methods


def _constructed(spec: Dictionary | None) -> Certificate | None:
    if spec is None:
        return None
    try:
        return spark_by_construction(spec)
    except InputError:
        return None


def _has_rational_cosines(D: Real[np.ndarray, "d K"] | Rows) -> bool:
    """Return whether the coherence can be had: always in floats, for unit columns otherwise."""
    columns = read_columns("dictionary", D)
    if not columns.exact:
        return True
    rows = D.tolist() if isinstance(D, np.ndarray) else D
    return all(sum(x * x for x in atom) == 1 for atom in zip(*rows, strict=True))


def _refuse_if_proved(spark: Certificate, m: int) -> None:
    """Raise InputError for a spark that is known and too small."""
    if spark.kind not in ("exact", "value"):
        return
    atoms = spark.details.get("atoms")
    witness = f": atoms {atoms} are dependent" if atoms else f" ({spark.method})"
    raise InputError(
        f"m = {m}: spark(D) = {spark.value}{witness}, so codes are not unique; expected a spark "
        f"above {2 * m}"
    )


def _conclusion(spark: Certificate, m: int, K: int) -> Certificate:
    conclusion = f"{m}-sparse codes are unique: any {min(2 * m, K)} atoms are independent"
    return Certificate(
        spark.quantity,
        spark.value,
        spark.kind,
        spark.method,
        spark.error,
        {**spark.details, "m": str(m), "conclusion": conclusion},
    )
