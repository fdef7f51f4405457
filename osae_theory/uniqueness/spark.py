"""spark(D), the least number of dependent atoms: by enumeration, programming and coherence.

Convention: a dictionary whose K atoms are independent has spark K + 1 here (the literature also
says infinity), so that m-sparse codes are unique exactly if spark(D) > min(2 m, K).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Real
from scipy.optimize import Bounds, LinearConstraint, milp

from osae_theory.certificates import Certificate, Kind
from osae_theory.errors import InputError, check_integer, check_real
from osae_theory.uniqueness.coherence import absolute_cosines, babel_values
from osae_theory.uniqueness.matrices import (
    COLUMN_ERROR,
    MAX_SUBSETS,
    Columns,
    Dependence,
    Rows,
    listed,
    read_columns,
    scan_subsets,
)

SOLVER_TOLERANCE = 1e-6
_OPTIMAL, _INFEASIBLE = 0, 2  # statuses of scipy.optimize.milp


def spark_exhaustive(
    D: Real[np.ndarray, "d K"] | Rows,
    max_size: int | None = None,
    column_error: float = COLUMN_ERROR,
) -> Certificate:
    """Return spark(D) by looking at every subset of atoms, by growing size.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        Floats (unit norm) stand for a dictionary known up to `column_error`; whole numbers and
        fractions are taken exactly, and then the columns may have any length.
    max_size : int, optional
        Look at subsets of at most this many atoms; 2 m is enough for unique m-sparse codes.
    column_error : float
        Largest distance of a column of floats from the atom that is meant.

    Returns
    -------
    Certificate
        "exact" for a rational D, with the dependent atoms and their coefficients; K + 1 if the
        atoms are independent. "value" for floats if every smaller subset is proved independent
        by its smallest singular value and the one found has more atoms than dimensions.
        "lower bound" if `max_size` ended the search, or if rounding leaves a subset undecided:
        it is then in the details, and a rational D would decide it.

    Raises
    ------
    InputError
        If a column is zero or (floats) not of unit norm, or if more than 200,000 subsets would
        have to be looked at.
    """
    columns = read_columns("dictionary", D, column_error=column_error)
    K = columns.shape[1]
    if max_size is not None:
        check_integer("max_size", max_size, 1)
    end = K if max_size is None else min(max_size, K)
    seen, smallest = 0, math.inf
    for size in range(1, end + 1):
        # The first d + 1 atoms are dependent already: one subset decides.
        count = math.comb(K, size) if size <= columns.shape[0] else 1
        seen += count
        if seen > MAX_SUBSETS:
            raise InputError(
                f"{seen} subsets of up to {size} of K = {K} atoms: expected at most {MAX_SUBSETS};"
                f" any {size - 1} atoms are independent, use spark_mip for more"
            )
        first = [tuple(range(size))] if size > columns.shape[0] else None
        scan = scan_subsets(columns, size, first)
        smallest = min(smallest, math.inf if scan.smallest is None else scan.smallest)
        if scan.dependence is not None:
            return _found(columns, scan.dependence, seen, smallest)
    return _none_found(columns, end, seen, smallest)


def spark_by_coherence(D: Real[np.ndarray, "d K"] | Rows) -> Certificate:
    """Return the lower bound on spark(D) that the cosines of the atoms give.

    The Gram matrix of s atoms is diagonally dominant, hence regular, if mu_1(s - 1) < 1: the
    spark is at least the least such s that fails, which is at least 1 + 1/mu.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        Unit-norm columns.

    Returns
    -------
    Certificate
        "lower bound", at most K + 1; rounding is counted against it, so its error is 0. The
        bound from the coherence alone is in the details.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm.

    Notes
    -----
    Donoho & Elad (2003), theorem 7; Tropp (2004) for mu_1. The paper's section 2.3 has
    mu (m - 1) < 1, which proves the independence of m atoms only: claim P3.
    """
    cosines, error = absolute_cosines(D)
    K = len(cosines)
    sums = babel_values(cosines)
    by_babel = next((s for s in range(1, K + 1) if sums[s - 1] + (s - 1) * error >= 1), K + 1)
    mu = sums[1] + error if K > 1 else 0
    by_mu = min(K + 1, math.ceil(1 + 1 / mu)) if mu else K + 1
    return Certificate(
        quantity="spark(D)",
        value=max(by_babel, by_mu),
        kind="lower bound",
        method="least s with mu_1(s - 1) >= 1 (Gershgorin)",
        details={"1 + 1/mu, rounded up": str(by_mu), "mu, rounded up": str(mu)},
    )


def spark_mip(D: Real[np.ndarray, "d K"] | Rows, time_limit: float = 60.0) -> Certificate:
    """Return spark(D) from the sparsest null vector, by mixed-integer programming (HiGHS).

    A null vector can be scaled so that its largest entry is 1, at some atom j. So the spark is
    the least, over j, of: minimise sum b such that D x = 0, x_j = 1, |x_i| <= b_i, b binary. The
    big-M constant is 1 and loses nothing.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        As in `spark_exhaustive`.
    time_limit : float
        Seconds for all K programs together, above 0.

    Returns
    -------
    Certificate
        "value" if the solver closes the gap and the support it finds is proved dependent;
        "lower bound" if time runs out, or if the support is only nearly dependent. The value is
        as good as the solver's bound, which is found in floating point: its tolerance, the
        programs solved and the support are in the details.

    Raises
    ------
    InputError
        If a column is zero or (floats) not of unit norm, or the time limit is not positive.

    Notes
    -----
    Solver tolerances enlarge the feasible set, so they can only lower the bound.
    """
    check_real("time_limit", time_limit, above=0.0)
    columns = read_columns("dictionary", D)
    matrix = columns.floats()
    K = columns.shape[1]
    search = _sparsest_null_vector(matrix, time_limit)
    details = {
        "solver": "HiGHS (scipy.optimize.milp)",
        "feasibility tolerance": str(SOLVER_TOLERANCE),
        "programs": f"{search.solved} of {K} solved to the end",
        "solver's bound": str(search.bound),
    }
    method = "sparsest null vector over K mixed-integer programs with big-M 1"
    if not search.support:
        kind: Kind = "value" if search.bound == K + 1 else "lower bound"
        return Certificate("spark(D)", search.bound, kind, method, details=details)
    found = columns.null_vector(search.support)
    details |= {"atoms": listed(search.support)}
    if found is None:
        details["support"] = "independent: its singular value is below the solver's tolerance"
    else:
        details |= {"coefficients": listed(found.vector)}
    certain = found is not None and found.proved and search.bound == len(search.support)
    return Certificate(
        "spark(D)", search.bound, "value" if certain else "lower bound", method, details=details
    )


def has_unique_codes(spark: Certificate, m: int, K: int) -> bool:
    """Return whether a certificate of spark(D) proves that m-sparse codes are unique.

    They are exactly if any min(2 m, K) atoms are independent (Donoho & Elad 2003).
    """
    return spark.kind != "upper bound" and spark.value > min(2 * m, K)


@dataclass(frozen=True)
class _Search:
    bound: int
    support: tuple[int, ...]
    solved: int


def _sparsest_null_vector(matrix: Float[np.ndarray, "d K"], time_limit: float) -> _Search:
    """Solve the K programs, each asked only for something sparser than the best so far.

    Time is shared evenly among the programs, so that the last ones are not starved.
    """
    K = matrix.shape[1]
    floor = int(spark_by_coherence(matrix).value)
    best, support, bounds, solved = K + 1, (), [K + 1], 0
    if floor == K + 1:
        return _Search(floor, (), K)
    for j in range(K):
        result = _program(matrix, j, floor, best - 1, time_limit / K)
        solved += result.status in (_OPTIMAL, _INFEASIBLE)
        if result.x is not None:
            support = tuple(np.flatnonzero(result.x[K:] > 0.5).tolist())
            best = len(support)
        if result.status not in (_OPTIMAL, _INFEASIBLE):
            known = -math.inf if result.mip_dual_bound is None else result.mip_dual_bound
            bounds.append(math.ceil(max(known - SOLVER_TOLERANCE, floor)))
        if best == floor:
            break
    return _Search(min(best, *bounds), support, solved)


def _program(
    matrix: Float[np.ndarray, "d K"], j: int, floor: int, ceiling: int, seconds: float
) -> Any:
    """Minimise the number of nonzeros, known to be in [floor, ceiling], of a null vector."""
    d, K = matrix.shape
    eye, ones, zeros = np.eye(K), np.ones((1, K)), np.zeros((1, K))
    lower = np.concatenate([-np.ones(K), np.zeros(K)])
    lower[[j, K + j]] = 1.0
    return milp(
        np.concatenate([np.zeros(K), np.ones(K)]),
        integrality=np.repeat([0, 1], K),
        bounds=Bounds(lower, np.ones(2 * K)),
        constraints=[
            LinearConstraint(np.hstack([matrix, np.zeros((d, K))]), 0.0, 0.0),
            LinearConstraint(np.hstack([eye, -eye]), -np.inf, 0.0),
            LinearConstraint(np.hstack([-eye, -eye]), -np.inf, 0.0),
            LinearConstraint(np.hstack([zeros, ones]), floor, ceiling),
        ],
        options={"time_limit": seconds},
    )


def _found(columns: Columns, found: Dependence, seen: int, smallest: float) -> Certificate:
    size = len(found.subset)
    details = {"subsets": str(seen), "atoms": listed(found.subset)}
    details |= {"coefficients": listed(found.vector)}
    if found.proved:
        return _certificate(columns, size, None, details, smallest)
    details["undecided"] = "rounding does not tell these atoms from dependent ones"
    return _certificate(columns, size, "lower bound", details, smallest)


def _none_found(columns: Columns, end: int, seen: int, smallest: float) -> Certificate:
    kind: Kind | None = None if end == columns.shape[1] else "lower bound"
    return _certificate(columns, end + 1, kind, {"subsets": str(seen)}, smallest)


def _certificate(
    columns: Columns, value: int, kind: Kind | None, details: dict[str, str], smallest: float
) -> Certificate:
    if columns.exact:
        method = "every subset of fewer atoms is independent, in exact arithmetic"
        return Certificate("spark(D)", value, kind or "exact", method, details=details)
    details["smallest singular value"] = str(smallest)
    method = "every subset of fewer atoms is independent, by its smallest singular value"
    return Certificate("spark(D)", value, kind or "value", method, details=details)
