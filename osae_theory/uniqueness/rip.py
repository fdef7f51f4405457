"""Restricted isometry constants of a dictionary: exact when small, one-sided bounds otherwise.

delta_s(D) = the least delta with (1 - delta) ||z||^2 <= ||D z||^2 <= (1 + delta) ||z||^2 for all
s-sparse z: the largest distance from 1 of an eigenvalue of a Gram matrix of s atoms. The atoms
are normalised to rounding first.
"""

import math
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from osae_theory.certificates import Certificate
from osae_theory.doors import at_the_door
from osae_theory.errors import check_integer
from osae_theory.seeds import Axis, generator
from osae_theory.uniqueness.coherence import MAX_PRODUCTS, babel
from osae_theory.uniqueness.matrices import MAX_SUBSETS, chunked, read_columns
from osae_theory.uniqueness.nullspace import check_atoms, check_sparsity
from osae_theory.uniqueness.solvers import load_cvxpy, solve
from osae_theory.uniqueness.work import check_work, progress

MAX_RELAXED_ATOMS = 40
MAX_GROWN_SUBSETS = 2_000_000
_EPS = float(np.finfo(np.float64).eps)


@at_the_door
def rip_constant_exact(
    D: Float[np.ndarray, "d K"], s: int, max_subsets: int = MAX_SUBSETS
) -> Certificate:
    """Return the restricted isometry constant delta_s(D), from every subset of s atoms.

    Parameters
    ----------
    D : Float[np.ndarray, "d K"]
        Unit-norm columns.
    s : int
        Sparsity, 1 <= s <= K.
    max_subsets : int
        The most subsets of s atoms that are looked at.

    Returns
    -------
    Certificate
        "value", at least 0, with what the eigenvalues can have lost as error; the subset that
        attains it is in the details.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm, s is outside its range, or there are more
        subsets than the bound.

    Notes
    -----
    Candes & Tao (2005). NP-hard: Tillmann & Pfetsch (2014).
    """
    atoms = _read(D, s)
    d, K = atoms.shape
    count = math.comb(K, s)
    what = f"subsets of s = {s} of K = {K} atoms"
    instead = "use rip_upper_bound, rip_by_babel and rip_lower_bound"
    check_work(count, what, "max_subsets", max_subsets, instead)
    best, where = -1.0, ""
    for chunk in chunked(progress(combinations(range(K), s), count, "subsets"), s, d * s):
        chosen = atoms.T[chunk]  # no K x K matrix: for s = 1 there may be very many atoms
        distances = _distances(chosen @ chosen.transpose(0, 2, 1))
        first = int(np.argmax(distances))
        if distances[first] > best:
            best, where = float(distances[first]), ", ".join(map(str, chunk[first]))
    return Certificate(
        quantity=f"delta_{s}(D)",
        value=best,
        kind="value",
        method="extreme eigenvalues of every Gram matrix of s atoms",
        error=_eigenvalue_error(d, s),
        details={"subsets": str(count), "attained on atoms": where},
    )


@at_the_door
def rip_by_babel(
    D: Float[np.ndarray, "d K"], s: int, max_products: int = MAX_PRODUCTS
) -> Certificate:
    """Return the upper bound mu_1(s - 1) on delta_s(D), by Gershgorin's discs.

    Parameters
    ----------
    D : Float[np.ndarray, "d K"]
        Unit-norm columns.
    s : int
        Sparsity, 1 <= s <= K.
    max_products : int
        The most that is done: d K^2 products.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm, s is outside its range, or there is more to
        multiply than the bound.

    Notes
    -----
    Tropp (2004). At most (s - 1) mu(D).
    """
    _read(D, s)
    bound = babel(D, s - 1, max_products)
    return Certificate(
        quantity=f"delta_{s}(D)",
        value=bound.value,
        kind="upper bound",
        method="mu_1(s - 1), by Gershgorin's discs",
        error=bound.error,
    )


@at_the_door
def rip_upper_bound(D: Float[np.ndarray, "d K"], s: int) -> Certificate:
    """Return an upper bound on delta_s(D) by semidefinite relaxation of sparse eigenvalues.

    For any symmetric U the s-sparse eigenvalues of G = D^T D are at most
    lambda_max(G + U) + s max|U_ij|, and at least lambda_min(G - U) - s max|U_ij|; the best U of
    each is a semidefinite program.

    Parameters
    ----------
    D : Float[np.ndarray, "d K"]
        Unit-norm columns, K <= 40.
    s : int
        Sparsity, 1 <= s <= K.

    Returns
    -------
    Certificate
        "upper bound", evaluated at the U found, so that it holds whatever the solver did. The
        details give both ends and the gap of each program to a feasible point of its dual.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm, s is outside its range, or K > 40.
    ImportError
        If cvxpy is not installed.

    Notes
    -----
    d'Aspremont, El Ghaoui, Jordan & Lanckriet (2007), "A direct formulation for sparse PCA using
    semidefinite programming".
    """
    atoms = _read(D, s)
    K = atoms.shape[1]
    check_atoms(K, MAX_RELAXED_ATOMS, "rip_by_babel")
    gram = atoms.T @ atoms
    highest, gap_high = _sparse_eigenvalue_bound(gram, s)
    negated, gap_low = _sparse_eigenvalue_bound(-gram, s)
    return Certificate(
        quantity=f"delta_{s}(D)",
        value=max(highest - 1.0, 1.0 + negated, 0.0),
        kind="upper bound",
        method="semidefinite relaxation of the extreme s-sparse eigenvalues (CLARABEL)",
        error=4 * _eigenvalue_error(D.shape[0], K),
        details={
            "largest s-sparse eigenvalue, at most": str(highest),
            "smallest s-sparse eigenvalue, at least": str(-negated),
            "gaps": f"{gap_high}, {gap_low}",
        },
    )


@at_the_door
def rip_lower_bound(
    D: Float[np.ndarray, "d K"],
    s: int,
    n_sampled: int = 200,
    seed: int = 0,
    max_subsets: int = MAX_GROWN_SUBSETS,
) -> Certificate:
    """Return a lower bound on delta_s(D) from greedy and random subsets of atoms.

    Greedily, each atom in turn grows by the atom that moves an eigenvalue furthest from 1.

    Parameters
    ----------
    D : Float[np.ndarray, "d K"]
        Unit-norm columns.
    s : int
        Sparsity, 1 <= s <= K.
    n_sampled : int
        Random subsets besides, at least 0.
    seed : int
        Of the random subsets, at least 0.
    max_subsets : int
        The most subsets that are looked at: K^2 (s - 1) to grow the greedy ones (K^2 if s = 1),
        and the random ones.

    Returns
    -------
    Certificate
        "lower bound"; the subset that attains it is in the details.

    Raises
    ------
    InputError
        If a column is zero or not of unit norm, or another argument is outside its range.
    """
    atoms = _read(D, s)
    K = atoms.shape[1]
    check_integer("n_sampled", n_sampled, 0)
    what = f"subsets of up to s = {s} of K = {K} atoms"
    check_work(K**2 * max(s - 1, 1) + n_sampled, what, "max_subsets", max_subsets)
    gram = atoms.T @ atoms
    rng = generator(seed, Axis.SUPPORTS)
    sampled = [rng.choice(K, size=s, replace=False) for _ in range(n_sampled)]
    grown = [_greedy(gram, start, s) for start in progress(range(K), K, "greedy subsets")]
    subsets = np.array([*grown, *sampled])
    distances = _distances(_of_subsets(gram, subsets))
    best = int(np.argmax(distances))
    return Certificate(
        quantity=f"delta_{s}(D)",
        value=float(distances[best]),
        kind="lower bound",
        method="extreme eigenvalues of greedy and random subsets of atoms",
        error=_eigenvalue_error(D.shape[0], s),
        details={"atoms": ", ".join(map(str, sorted(subsets[best].tolist())))},
    )


def _read(D: Float[np.ndarray, "d K"], s: int) -> Float[np.ndarray, "d K"]:
    atoms = read_columns("dictionary", D).floats()
    check_sparsity(s, atoms.shape[1])
    return atoms


def _distances(grams: Float[np.ndarray, "B s s"]) -> Float[np.ndarray, " B"]:
    """Return the largest |eigenvalue - 1| of each Gram matrix."""
    return np.abs(np.linalg.eigvalsh(grams) - 1.0).max(axis=1)


def _of_subsets(
    gram: Float[np.ndarray, "K K"], subsets: Int[np.ndarray, "B s"]
) -> Float[np.ndarray, "B s s"]:
    return gram[subsets[:, :, None], subsets[:, None, :]]


def _eigenvalue_error(d: int, size: int) -> float:
    """Return what product and eigenvalues can have lost for `size` unit atoms in R^d."""
    return size * (d + 2 + 10 * size) * _EPS


def _greedy(gram: Float[np.ndarray, "K K"], start: int, s: int) -> Int[np.ndarray, " s"]:
    chosen = np.array([start])
    while len(chosen) < s:
        others = np.setdiff1d(np.arange(len(gram)), chosen)
        grown = np.column_stack([np.tile(chosen, (len(others), 1)), others])
        chosen = grown[int(np.argmax(_distances(_of_subsets(gram, grown))))]
    return chosen


def _sparse_eigenvalue_bound(gram: Float[np.ndarray, "K K"], s: int) -> tuple[float, float]:
    """Return an upper bound on the largest s-sparse eigenvalue, and its gap."""
    cp = load_cvxpy()
    K = len(gram)
    U, top = cp.Variable((K, K), symmetric=True), cp.Variable()
    below = top * np.eye(K) - gram - U >> 0
    problem = cp.Problem(cp.Minimize(top + s * cp.max(cp.abs(U))), [below])
    solve(problem)
    shift = np.asarray(U.value)
    shift = (shift + shift.T) / 2
    bound = float(np.linalg.eigvalsh(gram + shift)[-1] + s * np.abs(shift).max())
    return bound, bound - _feasible_value(gram, np.asarray(below.dual_value), s)


def _feasible_value(
    gram: Float[np.ndarray, "K K"], multiplier: Float[np.ndarray, "K K"], s: int
) -> float:
    """Return <G, X> at a feasible X near the multiplier: X >= 0, trace 1, sum|X_ij| <= s."""
    values, vectors = np.linalg.eigh((multiplier + multiplier.T) / 2)
    X = (vectors * np.maximum(values, 0.0)) @ vectors.T
    X /= np.trace(X)
    size = float(np.abs(X).sum())
    # I/K is feasible, so enough of it makes the mixture feasible (s = 1 allows diagonals only).
    share = min(1.0, max(0.0, (size - s) / (size - 1))) if size > 1 else 0.0
    X = (1 - share) * X + share * np.eye(len(X)) / len(X)
    return float(np.sum(gram * X))
