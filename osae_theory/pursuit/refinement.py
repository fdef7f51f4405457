"""A dictionary refined without an encoder: codes by pursuit and updates of the atoms, in turn."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from osae_theory.doors import at_the_door
from osae_theory.errors import check_choice, check_integer, check_real
from osae_theory.pursuit.codes import as_float64, nonnegative_omp, norms_of, unit_atoms
from osae_theory.pursuit.updates import (
    idle_atoms,
    mod_update,
    residual_of,
    swept,
    with_new_atoms,
)

UPDATES = ("ksvd", "mod")
MOMENTUM = 0.9


@dataclass(frozen=True, eq=False)
class Refined:
    """A refined dictionary.

    Attributes
    ----------
    atoms : array of shape (K, d)
        As rows of norm 1, in the order in which they were given.
    errors : array of shape (iterations,)
        Mean squared error over all entries of the codes that each iteration began with.
    moved : array of shape (iterations,)
        The largest distance by which an iteration moved an atom.
    replaced : array of shape (iterations,)
        How many atoms were unused or doubled in it.
    """

    atoms: Float[np.ndarray, "K d"]
    errors: Float[np.ndarray, " iterations"]
    moved: Float[np.ndarray, " iterations"]
    replaced: Int[np.ndarray, " iterations"]


@at_the_door
def refine(
    X: Float[np.ndarray, "N d"],
    atoms: Float[np.ndarray, "K d"],
    m: int,
    *,
    iterations: int = 25,
    tolerance: float = 1e-5,
    update: str = "ksvd",
    signed: bool = False,
    momentum: float = MOMENTUM,
    compiled: bool = True,
) -> Refined:
    """Return a dictionary refined without an encoder: codes by pursuit and atoms, in turn.

    An iteration takes the codes of all samples by `nonnegative_omp`, then the atoms by
    `ksvd_update` or `mod_update`. Atoms that no sample uses, and those with a cosine above 0.99 to
    an earlier one, are replaced by the residuals of the samples fitted worst, but in the last
    iteration. Nothing is drawn.

    Atoms that hold a part of another one turn slowly. So the codes of the next iteration are
    taken not at the atoms but beyond them, by Nesterov's share of the last step, k / (k + 3)
    and at most `momentum`; where the error has grown, k starts again from 1.

    Parameters
    ----------
    X : array of shape (N, d)
        Samples as rows.
    atoms : array of shape (K, d)
        Where it starts: rows of norm 1, or 0.
    m : int
        Most atoms a sample, at least 1.
    iterations : int
        Most iterations, at least 1.
    tolerance : float
        It ends where no atom has moved by as much, at least 0.
    update : {"ksvd", "mod"}
        One atom after another, or all at once.
    signed : bool
        Whether codes may be negative.
    momentum : float
        In [0, 1); 0 for the classical algorithms.
    compiled : bool
        False computes in numpy, to the same bits: slow.

    Raises
    ------
    InputError
        If an argument is out of its range, or an atom has another norm.

    References
    ----------
    Those of `nonnegative_omp`, `ksvd_update` and `mod_update`. O'Donoghue and Candes (2015),
    "Adaptive restart for accelerated gradient schemes", for the restarts.
    """
    check_integer("iterations", iterations, 1)
    check_real("tolerance", tolerance, at_least=0)
    check_choice("update", update, UPDATES)
    check_real("momentum", momentum, at_least=0, below=1)
    rows = as_float64(X)
    current = ahead = unit_atoms(atoms)
    errors, moved, replaced = [], [], []
    since = 0
    for t in range(iterations):
        codes = nonnegative_omp(rows, ahead, m, signed=signed, compiled=compiled)
        residual = residual_of(rows, codes, ahead, compiled=compiled)
        errors.append(float(np.mean(residual * residual)))
        since = 0 if t and errors[t] > errors[t - 1] else since
        if update == "ksvd":
            new = ahead.copy()
            codes = swept(residual, codes, new, signed, compiled)
        else:
            new = mod_update(rows, codes, ahead, compiled=compiled)
        idle = idle_atoms(new, codes, signed, compiled=compiled)
        step = np.where(idle[:, None], 0.0, new - current)
        if t < iterations - 1:
            new = with_new_atoms(new, idle, residual, signed)
        moved.append(float(norms_of(new - current).max()))
        replaced.append(int(idle.sum()))
        current = new
        if moved[-1] < tolerance:
            break
        since += 1
        ahead = _scaled(current + min(momentum, since / (since + 3)) * step, current)
    return Refined(current, np.array(errors), np.array(moved), np.array(replaced))


def _scaled(
    atoms: Float[np.ndarray, "K d"], instead: Float[np.ndarray, "K d"]
) -> Float[np.ndarray, "K d"]:
    """Return atoms of norm 1; those that are 0 are taken from `instead`."""
    norms = norms_of(atoms)[:, None]
    return np.where(norms > 0, atoms / np.where(norms > 0, norms, 1.0), instead)
