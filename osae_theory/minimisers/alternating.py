"""Descent on L_ND for any m, each step exact in its block: supports and codes, then each atom."""

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Float, Int

from osae_theory.certificates import Certificate
from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_integer, check_real
from osae_theory.minimisers.losses import (
    check_data,
    check_law,
    check_sparsity,
    nested_loss,
    pair_weights,
    stationarity,
)
from osae_theory.minimisers.results import Minimiser
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import check_dictionary
from osae_theory.problems.geometry import gaussian_columns, unit_columns
from osae_theory.seeds import Axis, generator

# Entries of the largest temporary array; beyond, supports are searched by exchange.
_MOST_ENTRIES = 5_000_000


@at_the_door
def best_codes(
    X: Float[np.ndarray, "d N"], D: Float[np.ndarray, "d K"], m: int, law: PrefixLaw
) -> Float[np.ndarray, "K N"]:
    """Return codes that minimise L_ND for a given D, over every support of m atoms.

    On a support S the loss of a sample is a quadratic with matrix (W o G)_SS and linear term
    -2 (w o D^T x)_S; its minimiser is one of the C(K, m) that are compared.

    Parameters
    ----------
    X, D : arrays
        Data and dictionary with unit-norm columns.
    m : int
        Atoms a sample may use, 1..K.
    law : PrefixLaw
        Law on {1..K}.

    Raises
    ------
    InputError
        If a size is outside its range or C(K, m) N m is more than five million;
        `exchange_codes` serves there.

    Notes
    -----
    claim I1 (docs/theory.md).
    """
    K = D.shape[1]
    check_dictionary(D)
    check_law(law, K)
    check_sparsity(m, K)
    if not _can_enumerate(K, m, X.shape[1]):
        raise InputError(
            f"C({K}, {m}) supports for N = {X.shape[1]} samples are too many to compare;"
            " use `exchange_codes`"
        )
    supports = np.array(list(combinations(range(K), m)))
    system, target = _normal_equations(X, D, law)
    blocks = system[supports[:, :, None], supports[:, None, :]]
    right = target[supports]
    solutions = np.linalg.pinv(blocks, hermitian=True) @ right
    chosen = (solutions * right).sum(axis=1).argmax(axis=0)
    values = np.take_along_axis(solutions, chosen[None, None, :], axis=0)[0]
    return _dense(supports[chosen], values.T, K)


@at_the_door
def codes_on_supports(
    X: Float[np.ndarray, "d N"],
    D: Float[np.ndarray, "d K"],
    supports: Int[np.ndarray, "N m"],
    law: PrefixLaw,
) -> Float[np.ndarray, "K N"]:
    """Return the codes that minimise L_ND for a given D on given supports.

    Parameters are those of `best_codes`; each row of `supports` holds distinct atoms.
    """
    system, target = _normal_equations(X, D, law)
    values, _ = _solve(system, target, supports[:, None, :])
    return _dense(supports, values[:, 0], D.shape[1])


@at_the_door
def exchange_codes(
    X: Float[np.ndarray, "d N"],
    D: Float[np.ndarray, "d K"],
    supports: Int[np.ndarray, "N m"],
    law: PrefixLaw,
) -> Float[np.ndarray, "K N"]:
    """Return codes no worse than the best on the given supports, one exchange away at most.

    Of a sample's own support and all that differ from it in one atom, the best is kept.
    Parameters are those of `codes_on_supports`.
    """
    n, m = supports.shape
    K = D.shape[1]
    system, target = _normal_equations(X, D, law)
    best_values, best_gain = _solve(system, target, supports[:, None, :])
    best_support, best_values, best_gain = supports, best_values[:, 0], best_gain[:, 0]
    inactive = np.ones((n, K), dtype=bool)
    np.put_along_axis(inactive, supports, False, axis=1)
    outside = np.nonzero(inactive)[1].reshape(n, K - m)
    for place in range(m if K > m else 0):
        candidates = np.repeat(supports[:, None, :], K - m, axis=1)
        candidates[:, :, place] = outside
        values, gain = _solve(system, target, candidates)
        pick = gain.argmax(axis=1)[:, None]
        gain = np.take_along_axis(gain, pick, axis=1)[:, 0]
        better = gain > best_gain
        picked = np.take_along_axis(candidates, pick[:, :, None], axis=1)[:, 0]
        picked_values = np.take_along_axis(values, pick[:, :, None], axis=1)[:, 0]
        best_support = np.where(better[:, None], picked, best_support)
        best_values = np.where(better[:, None], picked_values, best_values)
        best_gain = np.where(better, gain, best_gain)
    return _dense(best_support, best_values, K)


@at_the_door
def update_atoms(
    X: Float[np.ndarray, "d N"],
    Y: Float[np.ndarray, "K N"],
    D: Float[np.ndarray, "d K"],
    law: PrefixLaw,
) -> Float[np.ndarray, "d K"]:
    """Return D after each atom in turn has been set to its best, the others and Y fixed.

    In one atom L_ND is w_j C_jj ||d_j||^2, a constant on the sphere, and a linear term
    -2 <d_j, b_j> with b_j = w_j X Y_j. - sum_{k != j} W_jk C_jk d_k: the best is b_j / ||b_j||.
    Where b_j = 0 the loss does not depend on d_j, which stays. Parameters are those of
    `nested_loss`.

    Notes
    -----
    claim I1 (docs/theory.md).
    """
    w = law.survival
    coupling = pair_weights(w) * (Y @ Y.T)
    np.fill_diagonal(coupling, 0.0)
    return atoms_in_turn(D, (X @ Y.T) * w, coupling)


def atoms_in_turn(
    D: Float[np.ndarray, "d K"],
    linear: Float[np.ndarray, "d K"],
    coupling: Float[np.ndarray, "K K"],
) -> Float[np.ndarray, "d K"]:
    """Return D after each atom in turn has gone along linear_j - D coupling_j, if that is not 0.

    It is the best on the sphere for -2 <D, linear> + <D^T D, coupling>, the others fixed, where
    `coupling` is symmetric with a diagonal of zeros.
    """
    D = D.copy()
    for j in range(D.shape[1]):
        b = linear[:, j] - D @ coupling[:, j]
        norm = np.linalg.norm(b)
        if norm > 0:
            D[:, j] = b / norm
    return D


@at_the_door
def alternating(
    X: Float[np.ndarray, "d N"],
    K: int,
    m: int,
    law: PrefixLaw,
    n_starts: int = 20,
    seed: int = 0,
    *,
    initial: Sequence[np.ndarray] = (),
    max_steps: int = 500,
    tolerance: float = 1e-12,
) -> Minimiser:
    """Return the best point of many descents on L_ND: an upper bound of its minimum.

    A step sets supports and codes (all C(K, m) supports where that fits in memory, else
    exchanges of one atom), then each atom; it never increases the loss.

    Parameters
    ----------
    X, K, m, law
        Data, atoms, atoms a sample may use, 1 <= m <= K, and a law on {1..K}.
    n_starts : int
        Drawn starts, at least 0 (at least 1 without `initial`): isotropic atoms and samples
        of the data by turns.
    seed : int
        Of the starts, at least 0.
    initial : sequence of np.ndarray
        Further dictionaries (d, K) to start from, unit-norm columns.
    max_steps : int
        Steps of a descent, at least 1.
    tolerance : float
        A descent ends when a step gains less than this times ||X||^2.

    Returns
    -------
    Minimiser
        `unique` is None. The certificate's details give the norms of the gradient along the
        spheres' tangents and on the supports, and how many starts came within 1e-6 ||X||^2.

    Raises
    ------
    InputError
        If an array or a number is outside its range.
    """
    check_integer("n_starts", n_starts, 0 if initial else 1)
    check_integer("max_steps", max_steps, 1)
    check_real("tolerance", tolerance, at_least=0)
    _check_sizes(X, K, m, law, initial)
    starts = [*initial, *(drawn_start(X, K, seed, index) for index in range(n_starts))]
    floor = tolerance * float(np.vdot(X, X))
    points = [_descend(X, start, m, law, max_steps, floor) for start in starts]
    losses = np.array([loss for _, _, loss in points])
    D, Y, loss = points[int(losses.argmin())]
    tangent, on_supports = stationarity(X, Y, D, law)
    reached = int((losses <= loss + 1e-6 * float(np.vdot(X, X))).sum())
    certificate = Certificate(
        quantity="min L_ND",
        value=loss,
        kind="upper bound",
        method=f"best of {len(starts)} alternating descents",
        error=float(np.finfo(np.float64).eps) * max(X.shape) * float(np.vdot(X, X)),
        details={
            "tangent gradient in D": f"{tangent:.3g}",
            "gradient in Y on the supports": f"{on_supports:.3g}",
            "starts that reached it": f"{reached} of {len(starts)}",
        },
    )
    return Minimiser(D, Y, loss, None, certificate)


def _check_sizes(
    X: np.ndarray, K: int, m: int, law: PrefixLaw, initial: Sequence[np.ndarray]
) -> None:
    check_data(X)
    check_integer("K", K, 1)
    check_sparsity(m, K)
    check_law(law, K)
    for start in initial:
        if start.shape != (X.shape[0], K):
            raise InputError(f"start of shape {start.shape}: expected {(X.shape[0], K)}")
        check_dictionary(start)


def _descend(
    X: np.ndarray, D: np.ndarray, m: int, law: PrefixLaw, max_steps: int, floor: float
) -> tuple[np.ndarray, np.ndarray, float]:
    enumerate_all = _can_enumerate(D.shape[1], m, X.shape[1])
    supports = np.sort(np.argsort(-np.abs(D.T @ X), axis=0, kind="stable")[:m].T, axis=1)
    loss = np.inf
    Y = np.zeros((D.shape[1], X.shape[1]))
    for _ in range(max_steps):
        if enumerate_all:
            Y = best_codes(X, D, m, law)
        else:
            Y = exchange_codes(X, D, supports, law)
            supports = _supports_of(Y, m)
        D = update_atoms(X, Y, D, law)
        before, loss = loss, nested_loss(X, Y, D, law)
        if before - loss <= floor:
            break
    return D, Y, loss


def drawn_start(X: np.ndarray, K: int, seed: int, index: int) -> np.ndarray:
    """Return start number `index` of a seed: isotropic atoms, or samples of the data, by turns."""
    rng = generator(seed, Axis.INITIALISATION, index)
    atoms = gaussian_columns(X.shape[0], K, rng)
    usable = np.flatnonzero(np.linalg.norm(X, axis=0) > 0)
    if index % 2 == 0 or usable.size == 0:
        return atoms
    # Samples drawn twice are kept apart by a little of the isotropic atoms.
    picked = rng.choice(usable, size=K, replace=usable.size < K)
    return unit_columns(unit_columns(X[:, picked]) + 0.05 * atoms)


def _can_enumerate(K: int, m: int, n: int) -> bool:
    return comb(K, m) * n * m <= _MOST_ENTRIES


def _normal_equations(
    X: np.ndarray, D: np.ndarray, law: PrefixLaw
) -> tuple[Float[np.ndarray, "K K"], Float[np.ndarray, "K N"]]:
    w = law.survival
    return pair_weights(w) * (D.T @ D), w[:, None] * (D.T @ X)


def _solve(
    system: np.ndarray, target: np.ndarray, candidates: np.ndarray
) -> tuple[Float[np.ndarray, "N c m"], Float[np.ndarray, "N c"]]:
    """Return each sample's codes on each of its candidate supports, and what they gain."""
    samples = np.arange(target.shape[1])[:, None, None]
    blocks = system[candidates[..., :, None], candidates[..., None, :]]
    right = target[candidates, samples]
    values = (np.linalg.pinv(blocks, hermitian=True) @ right[..., None])[..., 0]
    return values, (values * right).sum(axis=-1)


def _supports_of(Y: np.ndarray, m: int) -> np.ndarray:
    return np.sort(np.argsort(-np.abs(Y), axis=0, kind="stable")[:m].T, axis=1)


def _dense(supports: np.ndarray, values: np.ndarray, K: int) -> Float[np.ndarray, "K N"]:
    rows = np.zeros((len(supports), K))
    np.put_along_axis(rows, supports, values, axis=1)
    return rows.T
