"""spark(D), the least number of dependent atoms: by enumeration, programming and coherence.

Convention: a dictionary whose K atoms are independent has spark K + 1 here (the literature also
says infinity), so that m-sparse codes are unique exactly if spark(D) > min(2 m, K).
"""

import math
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from jaxtyping import Float, Real
from scipy.optimize import Bounds, LinearConstraint, milp

from osae_theory.arrays import ArrayLike
from osae_theory.certificates import Certificate, Kind
from osae_theory.errors import check_integer, check_real
from osae_theory.uniqueness.coherence import MAX_PRODUCTS, absolute_cosines, babel_values
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
from osae_theory.uniqueness.work import check_work, counted, progress

MAX_NODES = 10_000
MAX_ENTRIES = 100_000
SOLVER_TOLERANCE = 1e-6
_OPTIMAL, _INFEASIBLE = 0, 2  # statuses of scipy.optimize.milp


def spark_exhaustive(
    D: Real[np.ndarray, "d K"] | Rows,
    max_size: int | None = None,
    column_error: float = COLUMN_ERROR,
    max_subsets: int = MAX_SUBSETS,
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
    max_subsets : int
        The most subsets that are looked at, at least 1.

    Returns
    -------
    Certificate
        "exact" for a rational D, with the dependent atoms and their coefficients; K + 1 if the
        atoms are independent. "value" for floats if every smaller subset is proved independent
        by its smallest singular value and the one found has more atoms than dimensions.
        "lower bound" if `max_size` or `max_subsets` ended the search, or if rounding leaves a
        subset undecided, which a rational D would decide; "not decided" in the details says which.

    Raises
    ------
    InputError
        If a column is zero or (floats) not of unit norm, another argument is outside its range,
        or not even the subsets of up to `max_size` atoms, or the single atoms, are within the
        bound.
    """
    columns = read_columns("dictionary", D, column_error=column_error)
    K = columns.shape[1]
    if max_size is not None:
        check_integer("max_size", max_size, 1)
    end = K if max_size is None else min(max_size, K)
    _check_subsets(columns, 1 if max_size is None else end, max_subsets)
    seen, smallest = 0, math.inf
    for size in range(1, end + 1):
        count = _subsets(columns, size)
        if seen + count > max_subsets:
            return _cut_short(columns, size, count, seen, smallest, max_subsets)
        seen += count
        # The first d + 1 atoms are dependent already: one subset decides.
        first = [tuple(range(size))] if size > columns.shape[0] else None
        scan = scan_subsets(columns, size, first)
        smallest = min(smallest, math.inf if scan.smallest is None else scan.smallest)
        if scan.dependence is not None:
            return _found(columns, scan.dependence, seen, smallest)
    return _none_found(columns, end, seen, smallest)


def spark_by_coherence(
    D: Real[np.ndarray, "d K"] | Rows | ArrayLike, max_products: int = MAX_PRODUCTS
) -> Certificate:
    """Return the lower bound on spark(D) that the cosines of the atoms give.

    The Gram matrix of s atoms is diagonally dominant, hence regular, if mu_1(s - 1) < 1: the
    spark is at least the least such s that fails, which is at least 1 + 1/mu.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        Unit-norm columns.
    max_products : int
        The most that is done: d K^2 products of floats, or 100,000 times as many for fractions.

    Returns
    -------
    Certificate
        "lower bound", at most K + 1; rounding is counted against it, so its error is 0. The
        bound from the coherence alone is in the details.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm, or there is more to multiply than the bound.

    Notes
    -----
    Donoho & Elad (2003), theorem 7; Tropp (2004) for mu_1. The paper's section 2.3 has
    mu (m - 1) < 1, which proves the independence of m atoms only: claim P3.
    """
    cosines = absolute_cosines(D, max_products)
    K, error = cosines.K, cosines.error
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


def spark_mip(
    D: Real[np.ndarray, "d K"] | Rows,
    max_nodes: int = MAX_NODES,
    max_entries: int = MAX_ENTRIES,
    time_limit: float | None = None,
) -> Certificate:
    """Return spark(D) from the sparsest null vector, by mixed-integer programming (HiGHS).

    A null vector can be scaled so that its largest entry is 1, at some atom j. So the spark is
    the least, over j, of: minimise sum b such that D x = 0, x_j = 1, |x_i| <= b_i, b binary. The
    big-M constant is 1 and loses nothing.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        As in `spark_exhaustive`.
    max_nodes : int
        Nodes of the branch-and-bound trees of all K programs together, at least 1; each program
        has an even share, and one at least.
    max_entries : int
        The most nonzeros, K^2 (d + 5), in the constraints of all K programs together. The
        solver's work before its first branch grows faster than this, and is not bounded otherwise:
        at the default it takes some minutes at most.
    time_limit : float, optional
        Seconds for all programs together, above 0. What is found under a limit on time depends
        on the machine; without one it does not.

    Returns
    -------
    Certificate
        "value" if the solver closes the gap and the support it finds is proved dependent;
        "lower bound" if a bound ends the search, which "not decided" in the details states, or
        if the support is only nearly dependent. The value is as good as the solver's bound,
        which is found in floating point: its tolerance, the programs solved and the support are
        in the details.

    Raises
    ------
    InputError
        If a column is zero or (floats) not of unit norm, a limit is not positive, or there are
        more entries than the bound; before any program is solved.

    Notes
    -----
    Solver tolerances enlarge the feasible set, so they can only lower the bound.
    """
    columns = read_columns("dictionary", D)
    d, K = columns.shape
    check_integer("max_nodes", max_nodes, 1)
    if time_limit is not None:
        check_real("time_limit", time_limit, above=0.0)
    what = f"nonzeros in K = {K} mixed-integer programs"
    check_work(mip_entries(d, K), what, "max_entries", max_entries, "use spark_by_coherence")
    search = _sparsest_null_vector(columns.floats(), max_nodes, time_limit)
    details = _details(search, K)
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


def mip_entries(d: int, K: int) -> int:
    """Return the nonzeros in the constraints of all K programs of `spark_mip`."""
    return K**2 * (d + 5)


def has_unique_codes(spark: Certificate, m: int, K: int) -> bool:
    """Return whether a certificate of spark(D) proves that m-sparse codes are unique.

    They are exactly if any min(2 m, K) atoms are independent (Donoho & Elad 2003).
    """
    return spark.kind != "upper bound" and spark.value > min(2 * m, K)


@dataclass(frozen=True)
class _Search:
    """What the K programs gave: a bound on the spark, a support, and what was left open."""

    bound: int
    support: tuple[int, ...]
    solved: int
    needed: int
    nodes: int
    limits: str

    @property
    def undecided(self) -> bool:
        return self.solved < self.needed and self.bound != len(self.support)


def _sparsest_null_vector(
    matrix: Float[np.ndarray, "d K"], max_nodes: int, time_limit: float | None
) -> _Search:
    """Solve the K programs, each asked only for something sparser than the best so far.

    Nodes and time are shared evenly among the programs, so that the last ones are not starved.
    """
    K = matrix.shape[1]
    floor = int(spark_by_coherence(matrix).value)
    share = max(1, max_nodes // K)
    limits = f"{share} nodes a program, max_nodes = {max_nodes}"
    limits += "" if time_limit is None else f" and time_limit = {time_limit} s"
    if floor == K + 1:
        return _Search(floor, (), 0, 0, 0, limits)
    clock = _Clock(time_limit)
    best, support, bounds, solved, nodes = K + 1, (), [K + 1], 0, 0
    for j in progress(range(K), K, "mixed-integer programs"):
        if clock.is_over():
            bounds.append(floor)
            break
        result = _program(matrix, j, floor, best - 1, share, clock.share(K - j))
        finished = result.status in (_OPTIMAL, _INFEASIBLE)
        solved += finished
        nodes += result.mip_node_count or 0
        if result.x is not None:
            support = tuple(np.flatnonzero(result.x[K:] > 0.5).tolist())
            best = len(support)
        if not finished:
            known = -math.inf if result.mip_dual_bound is None else result.mip_dual_bound
            bounds.append(math.ceil(max(known - SOLVER_TOLERANCE, floor)))
        if best == floor:
            break
    return _Search(min(best, *bounds), support, solved, K, nodes, limits)


@dataclass
class _Clock:
    """The time that a user allows, if there is a limit at all."""

    seconds: float | None

    def __post_init__(self) -> None:
        self._end = None if self.seconds is None else perf_counter() + self.seconds

    def is_over(self) -> bool:
        return self._end is not None and perf_counter() >= self._end

    def share(self, n_programs: int) -> float | None:
        """Return the seconds for the next of the programs that are left."""
        return None if self._end is None else (self._end - perf_counter()) / n_programs


def _details(search: _Search, K: int) -> dict[str, str]:
    details = {
        "solver": "HiGHS (scipy.optimize.milp)",
        "feasibility tolerance": str(SOLVER_TOLERANCE),
        "programs": f"{search.solved} of {K} solved to the end, {search.nodes} nodes",
        "solver's bound": str(search.bound),
    }
    if search.undecided:
        most = f" and at most {len(search.support)} if the support found is dependent"
        details["not decided"] = (
            f"at least {search.bound}{most if search.support else ''}, within {search.limits}"
        )
    return details


def _program(
    matrix: Float[np.ndarray, "d K"],
    j: int,
    floor: int,
    ceiling: int,
    nodes: int,
    seconds: float | None,
) -> Any:
    """Minimise the number of nonzeros, known to be in [floor, ceiling], of a null vector."""
    d, K = matrix.shape
    eye, ones, zeros = np.eye(K), np.ones((1, K)), np.zeros((1, K))
    lower = np.concatenate([-np.ones(K), np.zeros(K)])
    lower[[j, K + j]] = 1.0
    limits: Any = {"node_limit": nodes}
    if seconds is not None:
        limits["time_limit"] = max(seconds, 0.0)
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
        options=limits,
    )


def _subsets(columns: Columns, size: int) -> int:
    """Return how many subsets of one size there are to look at."""
    d, K = columns.shape
    return math.comb(K, size) if size <= d else 1


def _check_subsets(columns: Columns, end: int, max_subsets: int) -> None:
    # Any d + 1 atoms are dependent, so no search goes beyond.
    needed = sum(_subsets(columns, size) for size in range(1, min(end, columns.shape[0] + 1) + 1))
    what = f"subsets of up to {end} of K = {columns.shape[1]} atoms"
    instead = "use spark_mip or spark_by_coherence"
    check_work(needed, what, "max_subsets", max_subsets, instead)


def _found(columns: Columns, found: Dependence, seen: int, smallest: float) -> Certificate:
    size = len(found.subset)
    details = {"subsets": str(seen), "atoms": listed(found.subset)}
    details |= {"coefficients": listed(found.vector)}
    if found.proved:
        return _certificate(columns, size, None, details, smallest)
    details["not decided"] = "rounding does not tell these atoms from dependent ones"
    return _certificate(columns, size, "lower bound", details, smallest)


def _none_found(columns: Columns, end: int, seen: int, smallest: float) -> Certificate:
    kind: Kind | None = None if end == columns.shape[1] else "lower bound"
    return _certificate(columns, end + 1, kind, {"subsets": str(seen)}, smallest)


def _cut_short(
    columns: Columns, size: int, count: int, seen: int, smallest: float, max_subsets: int
) -> Certificate:
    details = {
        "subsets": str(seen),
        "not decided": f"{counted(count)} subsets of {size} atoms, beyond max_subsets ="
        f" {max_subsets}; raise it, or use spark_mip or spark_by_coherence",
    }
    return _certificate(columns, size, "lower bound", details, smallest)


def _certificate(
    columns: Columns, value: int, kind: Kind | None, details: dict[str, str], smallest: float
) -> Certificate:
    if columns.exact:
        method = "every subset of fewer atoms is independent, in exact arithmetic"
        return Certificate("spark(D)", value, kind or "exact", method, details=details)
    details["smallest singular value"] = str(smallest)
    method = "every subset of fewer atoms is independent, by its smallest singular value"
    return Certificate("spark(D)", value, kind or "value", method, details=details)
