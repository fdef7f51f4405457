"""Unique m-sparse codes of a given dictionary, spark(D) > 2 m, by the best proof available."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Real

from osae_theory.certificates import Certificate
from osae_theory.errors import InputError, check_integer, shown
from osae_theory.problems import Dictionary, SparseCodingProblem
from osae_theory.uniqueness.coherence import MAX_PRODUCTS, cosine_products
from osae_theory.uniqueness.construction import known_spark
from osae_theory.uniqueness.matrices import MAX_SUBSETS, Rows, check_is, read_columns
from osae_theory.uniqueness.spark import (
    MAX_ENTRIES,
    MAX_NODES,
    has_unique_codes,
    mip_entries,
    spark_by_coherence,
    spark_exhaustive,
    spark_mip,
)


@dataclass(frozen=True)
class Decision:
    """Whether the m-sparse codes of a dictionary are unique, as far as it could be found out.

    Attributes
    ----------
    answer : str
        "unique" or "not unique", both proved; "not decided" if no method within its bounds
        proves either.
    reason : str
        What proves it, or what was tried, in one sentence.
    spark : Certificate, optional
        Of spark(D): the proof. None if it is not decided.
    """

    answer: Literal["unique", "not unique", "not decided"]
    reason: str
    spark: Certificate | None = None


def decide_problem(
    problem: SparseCodingProblem, max_nodes: int = MAX_NODES, time_limit: float | None = None
) -> Decision:
    """Say whether the problem's m-sparse codes are the only ones for its dictionary.

    As `decide_codes`, for D*, its description if there is one, and the problem's m: the largest
    number of atoms that a sample uses. With noise too it is about the codes of X - R.

    Raises
    ------
    InputError
        If all codes are zero, or a limit is outside its range.
    """
    check_is("problem", problem, SparseCodingProblem)
    spec = None if problem.spec is None else problem.spec.dictionary
    return decide_codes(problem.dictionary, problem.m, spec, max_nodes, time_limit)


def decide_codes(
    D: Real[np.ndarray, "d K"] | Rows,
    m: int,
    spec: Dictionary | None = None,
    max_nodes: int = MAX_NODES,
    time_limit: float | None = None,
) -> Decision:
    """Say whether m-sparse codes are unique: whether spark(D) > 2 m, or all atoms independent.

    In turn: the construction, if it proves the spark of every draw; the coherence, which is
    cheap; every subset of up to 2 m atoms, if there are at most 200,000; the construction, if it
    holds with probability one; mixed-integer programs, if they are within `spark_mip`'s bound.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        Unit-norm columns (rational ones may have any length).
    m : int
        Atoms in a support, 1 <= m <= K.
    spec : Dictionary, optional
        Where D came from.
    max_nodes, time_limit
        Of `spark_mip`, if it comes to that.

    Returns
    -------
    Decision
        "not decided" if all that was tried leaves it open; the reason gives each bound found.

    Raises
    ------
    InputError
        If an argument is outside its range.

    Notes
    -----
    Donoho & Elad (2003), corollary 3: spark(D) > 2 m is necessary and sufficient.
    """
    d, K = read_columns("dictionary", D).shape
    check_integer("m", m, 1)
    if spec is not None and not hasattr(spec, "draw"):
        raise InputError(f"spec = {shown(spec)}: expected a description of a dictionary")
    if spec is not None and (spec.d, spec.K) != (d, K):
        raise InputError(f"spec = {spec!r}: expected one of the shape of D, (d, K) = ({d}, {K})")
    if m > K:
        raise InputError(f"m = {m}: expected at most K = {K} atoms in a support")
    if d < min(2 * m, K):
        return _too_few_dimensions(d, K, m)
    tried: list[str] = []
    for method in _methods(D, m, spec, max_nodes, time_limit):
        spark = method()
        decision = judge(spark, m, K)
        if decision.answer != "not decided":
            return decision
        tried.append(str(spark))
    return Decision("not decided", _undecided(m, K, tried))


def certify_problem(
    problem: SparseCodingProblem, max_nodes: int = MAX_NODES, time_limit: float | None = None
) -> Certificate:
    """Return the proof of `decide_problem`, for a caller who cannot go on without one.

    Raises
    ------
    InputError
        If the codes are not unique, or it is not decided; the message says which, and names
        dependent atoms where it can. Also as `decide_problem`.
    """
    return _proof(decide_problem(problem, max_nodes, time_limit))


def certify_codes(
    D: Real[np.ndarray, "d K"] | Rows,
    m: int,
    spec: Dictionary | None = None,
    max_nodes: int = MAX_NODES,
    time_limit: float | None = None,
) -> Certificate:
    """Return the proof of `decide_codes`, for a caller who cannot go on without one.

    Returns
    -------
    Certificate
        Of spark(D), above min(2 m, K); the details say what follows from it.

    Raises
    ------
    InputError
        If the codes are not unique, or it is not decided. Also as `decide_codes`.
    """
    return _proof(decide_codes(D, m, spec, max_nodes, time_limit))


def decide(D: Real[np.ndarray, "d K"] | Rows, m: int, spark: Certificate | None = None) -> Decision:
    """Return what a given certificate of spark(D) says, or without one what `decide_codes` does."""
    if spark is None:
        return decide_codes(D, m)
    check_is("spark", spark, Certificate)
    return judge(spark, m, read_columns("dictionary", D).shape[1])


def judge(spark: Certificate, m: int, K: int) -> Decision:
    """Return what a certificate of spark(D) says of m-sparse codes."""
    size = min(2 * m, K)
    if has_unique_codes(spark, m, K):
        conclusion = f"{m}-sparse codes are unique: any {size} atoms are independent"
        details = {**spark.details, "m": str(m), "conclusion": conclusion}
        return Decision("unique", conclusion, replace(spark, details=details))
    if spark.kind in ("exact", "value", "upper bound") and spark.value <= size:
        relation = "<=" if spark.kind == "upper bound" else "="
        atoms = spark.details.get("atoms")
        witness = f": atoms {atoms} are dependent" if atoms else f" ({spark.method})"
        reason = (
            f"m = {m}: spark(D) {relation} {spark.value}{witness}, so codes are not unique; "
            f"expected a spark above {2 * m}"
        )
        return Decision("not unique", reason, spark)
    return Decision("not decided", f"spark = {spark}: expected a proof of more than {size}")


def _proof(decision: Decision) -> Certificate:
    if decision.answer != "unique" or decision.spark is None:
        raise InputError(decision.reason)
    return decision.spark


def _too_few_dimensions(d: int, K: int, m: int) -> Decision:
    reason = (
        f"m = {m} with (d, K) = ({d}, {K}): any d + 1 atoms are dependent, so codes are not "
        f"unique; expected d of at least {min(2 * m, K)}"
    )
    spark = Certificate("spark(D)", d + 1, "upper bound", "any d + 1 atoms are dependent")
    return Decision("not unique", reason, spark)


def _undecided(m: int, K: int, tried: list[str]) -> str:
    return (
        f"m = {m}: spark(D) > {min(2 * m, K)} is not proved; give whole numbers and fractions, or "
        f"a dictionary that is known by its construction. Tried: {'; '.join(tried) or 'nothing'}"
    )


def _methods(
    D: Real[np.ndarray, "d K"] | Rows,
    m: int,
    spec: Dictionary | None,
    max_nodes: int,
    time_limit: float | None,
) -> list[Callable[[], Certificate]]:
    """Return the methods that apply within their bounds, in their turn."""
    columns = read_columns("dictionary", D)
    d, K = columns.shape
    known = None if spec is None else known_spark(spec)
    methods: list[Callable[[], Certificate]] = []
    if known is not None and known.kind == "exact":
        methods.append(lambda: known)
    if _has_rational_cosines(D) and cosine_products(columns) <= MAX_PRODUCTS:
        methods.append(lambda: spark_by_coherence(D))
    size = min(2 * m, K)
    if sum(math.comb(K, s) for s in range(1, size + 1)) <= MAX_SUBSETS:
        methods.append(lambda: spark_exhaustive(D, max_size=size))
    if known is not None and known.kind != "exact":
        methods.append(lambda: known)
    elif mip_entries(d, K) <= MAX_ENTRIES:
        methods.append(lambda: spark_mip(D, max_nodes, time_limit=time_limit))
    return methods


def _has_rational_cosines(D: Real[np.ndarray, "d K"] | Rows) -> bool:
    """Return whether the coherence can be had: always in floats, for unit columns otherwise."""
    columns = read_columns("dictionary", D)
    if not columns.exact:
        return True
    rows = D.tolist() if isinstance(D, np.ndarray) else D
    return all(sum(x * x for x in atom) == 1 for atom in zip(*rows, strict=True))
