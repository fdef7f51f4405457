"""Atoms for given codes: all at once (MOD), one after another (K-SVD); new ones for idle ones."""

import numpy as np
from jaxtyping import Bool, Float

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError
from osae_theory.portable import matmul
from osae_theory.pursuit.codes import Codes, as_float64, loops_of, norms_of, unit_atoms

# How strongly MOD holds atoms to where they were, in units of the mean energy of a code.
_RIDGE = 1e-10
# Two atoms with a larger cosine count as one atom twice.
DOUBLED = 0.99


@at_the_door
def mod_update(
    X: Float[np.ndarray, "N d"],
    codes: Codes,
    atoms: Float[np.ndarray, "K d"],
    *,
    compiled: bool = True,
) -> Float[np.ndarray, "K d"]:
    """Return the atoms that are least squares for the codes, scaled to norm 1.

    They minimise ||X - Y D||^2 + r ||D - atoms||^2, where r is 1e-10 times the mean over atoms
    of their codes' sum of squares: so an atom that no sample uses stays as it is, and codes
    that do not determine the atoms leave them near where they were.

    Parameters
    ----------
    X : array of shape (N, d)
        Samples as rows.
    codes : Codes
        Their codes.
    atoms : array of shape (K, d)
        The atoms before, as rows of norm 1, or 0.
    compiled : bool
        False computes in numpy, to the same bits: slow.

    Raises
    ------
    InputError
        If there are not N codes, or an atom has another norm.

    References
    ----------
    Engan, Aase and Husoy (1999), "Method of optimal directions for frame design", ICASSP.
    """
    rows, atoms = as_float64(X), unit_atoms(atoms)
    _check_codes(codes, rows, atoms)
    loops = loops_of(compiled)
    K = len(atoms)
    gram, new = np.empty((K, K)), np.empty_like(atoms)
    loops.moments(rows, codes.indices, codes.values, gram, new)
    places = np.arange(K)
    ridge = _RIDGE * np.add.reduce(gram[places, places]) / K
    if not ridge > 0:
        return atoms.copy()
    gram[places, places] += ridge
    new += ridge * atoms
    if not loops.solve_positive(gram, new):
        return atoms.copy()
    norms = norms_of(new)
    kept = norms > 0
    new[kept] /= norms[kept, None]
    new[~kept] = atoms[~kept]
    return new


@at_the_door
def ksvd_update(
    X: Float[np.ndarray, "N d"],
    codes: Codes,
    atoms: Float[np.ndarray, "K d"],
    *,
    signed: bool = False,
    compiled: bool = True,
) -> tuple[Float[np.ndarray, "K d"], Codes]:
    """Return atoms and codes after one sweep of approximate K-SVD.

    For one atom after another: it becomes the direction of the sum of its samples' residuals
    without it, weighted by its codes; its codes become those of least squares, cut off at 0
    unless `signed`. No other code changes, and the error never grows. An atom that no sample
    uses stays as it is.

    Parameters
    ----------
    X : array of shape (N, d)
        Samples as rows.
    codes : Codes
        Their codes.
    atoms : array of shape (K, d)
        The atoms before, as rows of norm 1, or 0.
    signed : bool
        Whether codes may be negative.
    compiled : bool
        False computes in numpy, to the same bits: slow.

    Returns
    -------
    atoms : array of shape (K, d)
        Of norm 1.
    codes : Codes
        On the same supports; a code that was cut off stands there as 0.

    Raises
    ------
    InputError
        If there are not N codes, or an atom has another norm.

    References
    ----------
    Aharon, Elad and Bruckstein (2006), "K-SVD", IEEE Trans. Signal Process. 54(11), and, with
    nonnegative codes, (2005), "K-SVD and its non-negative variant for dictionary design", Proc.
    SPIE 5914. Rubinstein, Zibulevsky and Elad (2008), Technion CS-2008-08, for the sweep.
    """
    rows, atoms = as_float64(X), unit_atoms(atoms).copy()
    _check_codes(codes, rows, atoms)
    residual = residual_of(rows, codes, atoms, compiled=compiled)
    return atoms, swept(residual, codes, atoms, signed, compiled)


def swept(
    residual: Float[np.ndarray, "N d"],
    codes: Codes,
    atoms: Float[np.ndarray, "K d"],
    signed: bool,
    compiled: bool,
) -> Codes:
    """Sweep over atoms, which change in place as the residual does; return the codes."""
    values = codes.values.ravel().copy()
    flat = codes.indices.ravel()
    users = np.argsort(flat, kind="stable")
    starts = np.searchsorted(flat[users], np.arange(len(atoms) + 1))
    loops_of(compiled).sweep(residual, atoms, values, users, starts, signed)
    return Codes(codes.indices, values.reshape(codes.values.shape))


def residual_of(
    rows: Float[np.ndarray, "N d"],
    codes: Codes,
    atoms: Float[np.ndarray, "K d"],
    *,
    compiled: bool = True,
) -> Float[np.ndarray, "N d"]:
    """Return rows minus what their codes rebuild, all in float64."""
    residual = np.empty_like(rows)
    loops_of(compiled).subtract(rows, atoms, codes.indices, codes.values, residual)
    return residual


def idle_atoms(
    atoms: Float[np.ndarray, "K d"], codes: Codes, signed: bool, *, compiled: bool = True
) -> Bool[np.ndarray, " K"]:
    """Return which atoms no sample uses, or are there before: a cosine above 0.99.

    Cosines count in absolute value where codes are signed.
    """
    K = len(atoms)
    used = np.zeros(K, bool)
    used[codes.indices[(codes.indices >= 0) & (codes.values != 0)]] = True
    cosines = matmul(atoms, np.ascontiguousarray(atoms.T), compiled=compiled)
    cosines = np.abs(cosines) if signed else cosines
    return ~used | (np.tril(cosines, -1) > DOUBLED).any(axis=1)


def with_new_atoms(
    atoms: Float[np.ndarray, "K d"],
    idle: Bool[np.ndarray, " K"],
    residual: Float[np.ndarray, "N d"],
    signed: bool,
) -> Float[np.ndarray, "K d"]:
    """Return the dictionary with the idle atoms replaced by residuals of the worst-fitted samples.

    By falling norm, the first of equal ones first; a residual with a cosine above 0.99 to one
    taken before is passed over. Where residuals run out, idle atoms stay.
    """
    found = atoms.copy()
    norms = norms_of(residual)
    worst = np.argsort(-norms, kind="stable")
    taken: list[np.ndarray] = []
    places = list(np.flatnonzero(idle))
    for i in worst:
        if len(taken) == len(places) or not norms[i] > 0:
            break
        direction = residual[i] / norms[i]
        cosines = [float(np.add.reduce(direction * other)) for other in taken]
        if all((abs(c) if signed else c) <= DOUBLED for c in cosines):
            found[places[len(taken)]] = direction
            taken.append(direction)
    return found


def _check_codes(
    codes: Codes, rows: Float[np.ndarray, "N d"], atoms: Float[np.ndarray, "K d"]
) -> None:
    if codes.indices.shape != codes.values.shape or len(codes.indices) != len(rows):
        raise InputError(
            f"codes of {len(codes.indices)} samples: expected {len(rows)}, one a row of X"
        )
    if codes.indices.size and not -1 <= codes.indices.min() <= codes.indices.max() < len(atoms):
        raise InputError(
            f"codes use atom {codes.indices.max()}: expected indices from -1 to {len(atoms) - 1}"
        )
