"""The codes of data for a given dictionary: orthogonal matching pursuit, nonnegative or signed."""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Float, Int

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_integer, check_real
from osae_theory.portable import compiles, matmul
from osae_theory.threads import in_parallel

# The norms of atoms are believed to be 1 to what float32 leaves of it.
_UNIT = 1e-5
# Samples whose correlations are held at once, and those that a thread takes at a time.
_BLOCK = 2**14
_PART = 2**10
TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Codes:
    """Sparse codes of n samples.

    Attributes
    ----------
    indices : array of shape (n, m)
        Atoms used by each sample, rising, int32; -1 at the end where there are fewer.
    values : array of shape (n, m)
        Their codes, float64, not 0; 0 where there is no atom.
    """

    indices: Int[np.ndarray, "n m"]
    values: Float[np.ndarray, "n m"]

    def dense(self, K: int, dtype: type = np.float64) -> Float[np.ndarray, "n K"]:
        """Return the codes as a matrix (n, K)."""
        found = np.zeros((len(self.indices), K), dtype)
        rows, places = np.nonzero(self.indices >= 0)
        found[rows, self.indices[rows, places]] = self.values[rows, places]
        return found


@at_the_door
def nonnegative_omp(
    X: Float[np.ndarray, "N d"],
    atoms: Float[np.ndarray, "K d"],
    m: int,
    *,
    signed: bool = False,
    tolerance: float = TOLERANCE,
    compiled: bool = True,
) -> Codes:
    """Return codes of samples by nonnegative orthogonal matching pursuit.

    One atom after another is added to a sample's support, the one with the largest correlation
    with the residual, the first of equal ones; the codes are then those of nonnegative least
    squares on the support, by Lawson and Hanson's active set. Atoms whose code is 0 leave the
    support, or at most 1e-6 of the least correlation that an atom is picked for. It ends at m
    atoms, or where no correlation is above `tolerance` times the sample's norm. Correlations come
    from those of the data and the Gram matrix, so that no residual is formed (Batch-OMP).

    A sample's bits depend neither on the other samples, nor on the number of threads, nor on the
    machine.

    Parameters
    ----------
    X : array of shape (N, d)
        Samples as rows.
    atoms : array of shape (K, d)
        Atoms as rows, of norm 1 to 1e-5; zero atoms are never used.
    m : int
        Most atoms a sample, at least 1.
    signed : bool
        True for ordinary orthogonal matching pursuit: the largest absolute correlation, and
        least squares on the support.
    tolerance : float
        At least 0; the default is what rounding in float32 leaves of a correlation.
    compiled : bool
        False computes in numpy, to the same bits: slow.

    Raises
    ------
    InputError
        If m or the tolerance is out of range, or an atom has another norm.

    References
    ----------
    Bruckstein, Elad and Zibulevsky (2008), "On the uniqueness of nonnegative sparse solutions to
    underdetermined systems of equations", IEEE Trans. Inf. Theory 54(11). Rubinstein, Zibulevsky
    and Elad (2008), "Efficient implementation of the K-SVD algorithm using batch orthogonal
    matching pursuit", Technion CS-2008-08. Lawson and Hanson (1974), "Solving least squares
    problems", chapter 23. Nguyen et al. (2019), "Non-negative orthogonal greedy algorithms", IEEE
    Trans. Signal Process. 67(21).
    """
    check_integer("m", m, 1)
    check_real("tolerance", tolerance, at_least=0)
    rows, atoms = as_float64(X), unit_atoms(atoms)
    K = len(atoms)
    m = min(m, K)
    loops = loops_of(compiled)
    transposed = np.ascontiguousarray(atoms.T)
    gram = matmul(atoms, transposed, compiled=compiled)
    found = Codes(np.empty((len(rows), m), np.int32), np.empty((len(rows), m)))
    for first in range(0, len(rows), _BLOCK):
        block = slice(first, first + _BLOCK)
        correlations = matmul(rows[block], transposed, compiled=compiled)
        floors = tolerance * norms_of(rows[block])
        own = (correlations, gram, floors, m, signed, found.indices[block], found.values[block])
        _in_parts(loops, *own)
    return found


def _in_parts(
    loops: ModuleType,
    correlations: Float[np.ndarray, "n K"],
    gram: Float[np.ndarray, "K K"],
    floors: Float[np.ndarray, " n"],
    m: int,
    signed: bool,
    indices: Int[np.ndarray, "n m"],
    values: Float[np.ndarray, "n m"],
) -> None:
    def pursue(part: slice) -> None:
        loops.pursue(correlations[part], gram, floors[part], m, signed, indices[part], values[part])

    n = len(correlations)
    size = min(_PART, -(-n // torch.get_num_threads()))
    parts = [slice(first, first + size) for first in range(0, n, max(size, 1))]
    in_parallel([lambda part=part: pursue(part) for part in parts], correlations.size * m)


def loops_of(compiled: bool) -> ModuleType:
    """Return the loops: compiled by numba where that works, else in numpy, with the same bits."""
    if compiled and compiles():
        from osae_theory.pursuit import compiled as found
    else:
        from osae_theory.pursuit import plain as found
    return found


def as_float64(array: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return an array in float64, C-contiguous."""
    return np.ascontiguousarray(array, dtype=np.float64)


def norms_of(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Return the norms of rows, by numpy's sums."""
    return np.sqrt(np.add.reduce(rows * rows, axis=1))


def unit_atoms(atoms: Float[np.ndarray, "K d"]) -> Float[np.ndarray, "K d"]:
    """Return atoms in float64; raise InputError unless each has norm 1 to 1e-5, or 0."""
    atoms = as_float64(atoms)
    norms = norms_of(atoms)
    wrong = np.flatnonzero((np.abs(norms - 1) > _UNIT) & (norms > 0))
    if len(wrong):
        raise InputError(
            f"atoms[{wrong[0]}] has norm {norms[wrong[0]]:.6g}: expected atoms of norm 1, or 0"
        )
    if atoms.size == 0:
        raise InputError(f"atoms of shape {atoms.shape}: expected at least one atom")
    return atoms
