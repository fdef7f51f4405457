"""Null-space property of a dictionary: when l1 minimisation finds every s-sparse code.

gamma_s(D) = sup of ||x_S||_1 / ||x||_1 over null vectors x != 0 of D and sets |S| <= s. Basis
pursuit recovers every s-sparse code exactly if gamma_s < 1/2. Atoms in floats are normalised to
rounding first.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, combinations, product
from typing import Any

import numpy as np
from jaxtyping import Float, Real
from scipy.linalg import null_space
from scipy.optimize import linprog

from osae_theory.certificates import Certificate, Number
from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_integer
from osae_theory.uniqueness.matrices import ExactColumns, Rows, read_columns
from osae_theory.uniqueness.solvers import load_cvxpy, solve
from osae_theory.uniqueness.work import check_work, progress

MAX_PROGRAMS = 10_000
MAX_ENTRIES = 20_000_000
MAX_ITERATIONS = 10_000
MAX_RELAXED_ATOMS = 64
_EPS = float(np.finfo(np.float64).eps)
_INSTEAD = "use nsp_upper_bound"


def nsp_constant_exact(
    D: Real[np.ndarray, "d K"] | Rows,
    s: int,
    max_programs: int = MAX_PROGRAMS,
    max_entries: int = MAX_ENTRIES,
    max_iterations: int = MAX_ITERATIONS,
) -> Certificate:
    """Return the null-space constant gamma_s(D), by enumeration; small sizes only.

    For floats, one linear program for each support S of s atoms and each pattern of signs c on
    it, up to a common sign: max c^T x such that D x = 0, ||x||_1 <= 1, solved through its dual,
    min ||c - D^T y||_inf. For a rational D, the ratio at each circuit (null vector of minimal
    support): a convex function on {D x = 0, ||x||_1 <= 1} is largest at one of these.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        Unit-norm columns; rational ones may have any length, and are taken as they are.
    s : int
        Sparsity, 1 <= s <= K.
    max_programs : int
        The most linear programs, binom(K, s) 2^(s - 1) of them, or for a rational D subsets of
        2 to d + 1 atoms.
    max_entries : int
        The most entries in the matrices of all programs together, 2 K (d + 1) in each; twenty
        million take about a minute.
    max_iterations : int
        Of the simplex method, for each program.

    Returns
    -------
    Certificate
        In [0, 1]; 0 for independent atoms. "exact" for a rational D; else "value" with the
        largest difference between a dual bound and the ratio attained by a null vector as error.
        "lower bound" if iterations ran out: the best upper bound stands beside "not decided".

    Raises
    ------
    InputError
        If a column is zero or (floats) not of unit norm, s is outside its range, or there is
        more work than a bound allows, before it is begun; the message names `nsp_upper_bound`.

    Notes
    -----
    Gribonval & Nielsen (2003); Cohen, Dahmen & DeVore (2009). NP-hard: Tillmann & Pfetsch (2014).
    """
    columns = read_columns("dictionary", D)
    d, K = columns.shape
    check_sparsity(s, K)
    if isinstance(columns, ExactColumns):
        subsets = sum(math.comb(K, size) for size in range(2, min(d, K - 1) + 2))
        check_work(subsets, "subsets of atoms", "max_programs", max_programs, _INSTEAD)
        return _by_circuits(columns, s)
    programs = math.comb(K, s) * 2 ** (s - 1)
    check_work(programs, "linear programs", "max_programs", max_programs, _INSTEAD)
    what = f"entries in the matrices of {programs} linear programs"
    check_work(programs * 2 * K * (d + 1), what, "max_entries", max_entries, _INSTEAD)
    check_integer("max_iterations", max_iterations, 1)
    matrix = columns.floats()
    basis = null_space(matrix)
    if basis.shape[1] == 0:
        return Certificate(f"gamma_{s}(D)", 0, "value", "the atoms are independent")
    patterns = progress(_sign_patterns(K, s), programs, "linear programs")
    results = [_program(matrix, basis, c, s, max_iterations) for c in patterns]
    return _by_programs(results, s, max_iterations, 4 * (d + K) * K * _EPS)


@at_the_door
def nsp_upper_bound(D: Float[np.ndarray, "d K"], s: int) -> Certificate:
    """Return an upper bound on gamma_s(D) by convex relaxation.

    A null vector is x = (I - Y^T D) x for any Y, so gamma_s is at most the largest, over the
    columns of I - Y^T D, of the sum of their s largest magnitudes: a linear program in Y.

    Parameters
    ----------
    D : Float[np.ndarray, "d K"]
        Unit-norm columns, K <= 64.
    s : int
        Sparsity, 1 <= s <= K.

    Returns
    -------
    Certificate
        "upper bound", evaluated at the Y found, so that it holds whatever the solver did. The
        details give a dual bound on the relaxation and the gap between the two.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm, s is outside its range, or K > 64.
    ImportError
        If cvxpy is not installed.

    Notes
    -----
    Juditsky & Nemirovski (2011), "On verifiable sufficient conditions for sparse signal recovery
    via l1 minimization", with beta = infinity.
    """
    atoms = read_columns("dictionary", D).floats()
    d, K = atoms.shape
    check_sparsity(s, K)
    check_atoms(K, MAX_RELAXED_ATOMS, "mu(D) < 1/(2 s - 1), which spark_by_coherence weighs")
    cp = load_cvxpy()
    Y, M = cp.Variable((d, K)), cp.Variable((K, K))
    equal = np.eye(K) - Y.T @ atoms == M
    largest = [cp.sum_largest(cp.abs(M[:, j]), s) for j in range(K)]
    problem = cp.Problem(cp.Minimize(cp.maximum(*largest)), [equal])
    solve(problem)
    residual = np.eye(K) - np.asarray(Y.value).T @ atoms
    value = float(np.sort(np.abs(residual), axis=0)[-s:].sum(axis=0).max())
    dual = _relaxation_bound(atoms, np.asarray(equal.dual_value), s)
    return Certificate(
        quantity=f"gamma_{s}(D)",
        value=value,
        kind="upper bound",
        method="linear relaxation x = (I - Y^T D) x of Juditsky and Nemirovski (CLARABEL)",
        error=_EPS * s * (d + 2) * float(1 + np.abs(np.asarray(Y.value)).sum(axis=0).max()),
        details={"dual bound on the relaxation": str(dual), "gap": str(value - dual)},
    )


def check_sparsity(s: int, K: int) -> None:
    """Raise InputError unless s is a whole number in 1..K."""
    check_integer("s", s, 1)
    if s > K:
        raise InputError(f"s = {s}: expected at most K = {K} atoms")


def check_atoms(K: int, largest: int, instead: str) -> None:
    """Raise InputError if there are more atoms than a convex program is meant for."""
    if largest < K:
        raise InputError(f"K = {K}: expected at most {largest} atoms; use {instead}")


def _sign_patterns(K: int, s: int) -> Iterator[Float[np.ndarray, " K"]]:
    """Yield c in {-1, 0, 1}^K with s nonzeros, the first of them 1."""
    for support, signs in product(combinations(range(K), s), product((1.0, -1.0), repeat=s - 1)):
        c = np.zeros(K)
        c[list(support)] = (1.0, *signs)
        yield c


@dataclass(frozen=True)
class _Program:
    """The ratio of a null vector, and a dual bound, which holds if the program is not solved."""

    attained: float
    bound: float
    solved: bool


def _program(
    D: Float[np.ndarray, "d K"],
    basis: Float[np.ndarray, "K n"],
    c: Float[np.ndarray, " K"],
    s: int,
    max_iterations: int,
) -> _Program:
    """Solve max c^T x over null vectors with ||x||_1 <= 1."""
    d, K = D.shape
    ones = np.ones((K, 1))
    result: Any = linprog(
        np.append(np.zeros(d), 1.0),
        A_ub=np.block([[-D.T, -ones], [D.T, -ones]]),
        b_ub=np.concatenate([-c, c]),
        bounds=(None, None),
        method="highs-ds",
        options={"maxiter": max_iterations},
    )
    if result.status != 0:
        return _Program(_ratio(basis[:, 0], s), 1.0, solved=False)
    bound = float(np.abs(c - D.T @ result.x[:d]).max())
    multipliers = result.ineqlin.marginals
    x = basis @ (basis.T @ (multipliers[K:] - multipliers[:K]))
    # A program whose value is 0 has no direction to project: any null vector has a ratio.
    x = x if np.abs(x).sum() > 1e-6 else basis[:, 0]
    return _Program(_ratio(x, s), bound, solved=True)


def _ratio(x: Float[np.ndarray, " K"], s: int) -> float:
    return float(np.sort(np.abs(x))[-s:].sum() / np.abs(x).sum())


def _by_programs(
    results: list[_Program], s: int, max_iterations: int, rounding: float
) -> Certificate:
    value = max(result.attained for result in results)
    upper = max(result.bound for result in results)
    solved = sum(result.solved for result in results)
    details = {"programs": f"{solved} of {len(results)} solved", "largest dual bound": str(upper)}
    if solved < len(results):
        details["not decided"] = (
            f"between {value} and {upper}, within max_iterations = {max_iterations} a program"
        )
    return Certificate(
        quantity=f"gamma_{s}(D)",
        value=value,
        kind="value" if solved == len(results) else "lower bound",
        method="linear programs over supports and signs (HiGHS), primal and dual bounds",
        error=(max(upper - value, 0.0) if solved == len(results) else 0.0) + rounding,
        details=details,
    )


def _by_circuits(columns: ExactColumns, s: int) -> Certificate:
    best: Number = Fraction(0)
    best_atoms, count = "none: the atoms are independent", 0
    for circuit, vector in progress(_circuits(columns), None, "circuits"):
        count += 1
        sizes = sorted((abs(entry) for entry in vector), reverse=True)
        ratio = sum(sizes[:s], start=Fraction(0)) / sum(sizes, start=Fraction(0))
        if ratio > best:
            best, best_atoms = ratio, ", ".join(map(str, circuit))
    return Certificate(
        quantity=f"gamma_{s}(D)",
        value=best,
        kind="exact",
        method="largest ratio over the circuits, in exact arithmetic",
        details={"circuits": str(count), "attained on atoms": best_atoms},
    )


def _circuits(columns: ExactColumns) -> Iterator[tuple[tuple[int, ...], tuple[Fraction, ...]]]:
    """Yield the minimal dependent sets of atoms with their coefficients."""
    d, K = columns.shape
    sizes = range(2, min(d + 1, K) + 1)
    for subset in chain.from_iterable(combinations(range(K), size) for size in sizes):
        found = columns.null_vector(subset)
        # If a coefficient is zero, or the null space is larger, a smaller subset is dependent.
        if found is not None and all(found.vector):
            vector = tuple(Fraction(entry) for entry in found.vector)
            yield subset, vector


def _relaxation_bound(
    D: Float[np.ndarray, "d K"], multiplier: Float[np.ndarray, "K K"], s: int
) -> float:
    """Return a lower bound on the relaxation's optimum, from the solver's multiplier Z.

    For any Z with D Z^T = 0 the optimum is at least trace(Z) over the dual norm of Z, the sum
    over its columns z of max(||z||_inf, ||z||_1 / s).
    """
    basis = null_space(D)
    Z = multiplier @ basis @ basis.T
    sizes = np.abs(Z)
    norm = float(np.maximum(sizes.max(axis=0), sizes.sum(axis=0) / s).sum())
    return abs(float(np.trace(Z))) / norm if norm > 0 else 0.0
