"""A dictionary refined without an encoder: codes by pursuit and updates of the atoms, in turn."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

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
        How many atoms it replaced.
    """

    atoms: Float[np.ndarray, "K d"]
    errors: Float[np.ndarray, " iterations"]
    moved: Float[np.ndarray, " iterations"]
    replaced: Float[np.ndarray, " iterations"]


@at_the_door
def refine(
    X: Float[np.ndarray, "N d"],
    atoms: Float[np.ndarray, "K d"],
    m: int,
    *,
    iterations: int = 20,
    tolerance: float = 1e-6,
    update: str = "ksvd",
    signed: bool = False,
    compiled: bool = True,
) -> Refined:
    """Return a dictionary refined by codes and atoms in turn.

    """
    check_integer("iterations", iterations, 1)
    check_real("tolerance", tolerance, at_least=0)
    check_choice("update", update, UPDATES)
    rows = as_float64(X)
    current = unit_atoms(atoms)
    errors, moved, replaced = [], [], []
    for t in range(iterations):
        codes = nonnegative_omp(rows, current, m, signed=signed, compiled=compiled)
        residual = residual_of(rows, codes, current, compiled=compiled)
        errors.append(float(np.mean(residual * residual)))
        if update == "ksvd":
            new = current.copy()
            codes = swept(residual, codes, new, signed, compiled)
        else:
            new = mod_update(rows, codes, current, compiled=compiled)
            residual = residual_of(rows, codes, new, compiled=compiled)
        idle = idle_atoms(new, codes, signed, compiled=compiled)
        if t < iterations - 1:
            new = with_new_atoms(new, idle, residual, signed)
        moved.append(float(norms_of(new - current).max()))
        replaced.append(int(idle.sum()))
        current = new
        if moved[-1] < tolerance:
            break
    return Refined(current, np.array(errors), np.array(moved), np.array(replaced))
