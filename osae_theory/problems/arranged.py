"""Dictionaries D* of arranged cosines: groups of nearly parallel atoms, and atoms spread apart.

Unlike the frames of `osae_theory.problems.dictionaries`, which call a linear algebra library, these
have the same bits on any machine.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from osae_theory.errors import InputError, check_integer, check_real
from osae_theory.portable import matmul, standard_normal
from osae_theory.problems.geometry import gaussian_columns, unit_columns


@dataclass(frozen=True)
class GroupedDictionary:
    """Atoms in groups about random centres, with one cosine between any two of a group.

    Each centre is uniform on the sphere, and each atom of its group is

        cosine^(1/2) centre + (1 - cosine)^(1/2) direction,

    the directions being random, orthogonal to the centre and to each other. Atoms of other groups
    have the cosines of independent directions, which are 0 on average. Atom j belongs to group
    j mod n, n being the number of groups, so that neighbours in the order are in different ones.

    Parameters
    ----------
    d, K : int
        Dimension and number of atoms, each at least 1.
    group_size : int
        The most atoms in a group, 1 <= group_size < d; there are K / group_size groups, rounded
        up.
    cosine : float
        In [0, 1).

    Raises
    ------
    InputError
        If a field is outside its range.
    """

    d: int
    K: int
    group_size: int
    cosine: float

    def __post_init__(self) -> None:
        check_integer("d", self.d, 1)
        check_integer("K", self.K, 1)
        check_integer("group_size", self.group_size, 1)
        check_real("cosine", self.cosine, at_least=0.0, below=1.0)
        if self.group_size >= self.d:
            raise InputError(f"group_size = {self.group_size}: expected less than d = {self.d}")

    @property
    def n_groups(self) -> int:
        """The number of groups."""
        return -(-self.K // self.group_size)

    def groups(self) -> np.ndarray:
        """Return the group of each atom, whole numbers of shape (K,)."""
        return np.arange(self.K) % self.n_groups

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, "d K"]:
        """Return the dictionary."""
        frames = standard_normal(rng, (self.n_groups, self.group_size + 1, self.d))
        along, across = np.sqrt(self.cosine), np.sqrt(1.0 - self.cosine)
        atoms = np.empty((self.d, self.K))
        for group, vectors in enumerate(frames):
            basis = _orthonormal(vectors)
            members = np.arange(group, self.K, self.n_groups)
            directions = basis[1 : 1 + len(members)]
            atoms[:, members] = (along * basis[0] + across * directions).T
        return unit_columns(atoms)


@dataclass(frozen=True)
class SpreadDictionary:
    """Gaussian atoms pushed apart: some steps down the sum of the squares of all cosines.

    That sum is at least K^2 / d for K >= d, and unit-norm tight frames attain it; few steps leave
    the atoms near where they were drawn.

    Parameters
    ----------
    d, K : int
        Dimension and number of atoms, each at least 1.
    steps : int
        At least 0; 0 leaves Gaussian atoms.

    Raises
    ------
    InputError
        If a field is outside its range.

    Notes
    -----
    Benedetto & Fickus (2003), "Finite normalized tight frames", for the sum.
    """

    d: int
    K: int
    steps: int = 100

    def __post_init__(self) -> None:
        check_integer("d", self.d, 1)
        check_integer("K", self.K, 1)
        check_integer("steps", self.steps, 0)

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, "d K"]:
        """Return the dictionary."""
        atoms = gaussian_columns(self.d, self.K, rng)
        for _ in range(self.steps):
            spread = matmul(atoms, np.ascontiguousarray(atoms.T))
            # The sum falls with each step: its curvature is at most 3 times the largest
            # eigenvalue of `spread`, which is at most the trace, K.
            atoms = unit_columns(atoms - matmul(spread, atoms) / (3 * self.K))
        return atoms


def _orthonormal(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Return orthonormal rows that span the same, by Gram and Schmidt, each projection twice."""
    basis = np.empty_like(vectors)
    for i, vector in enumerate(vectors):
        rest = vector
        for _ in range(2):
            for other in basis[:i]:
                rest = rest - (rest * other).sum() * other
        basis[i] = rest / np.sqrt((rest * rest).sum())
    return basis
