"""Similarities of so many atoms or latents that no table of them is held."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from osae_theory.metrics.matching import Liveness, live_atoms, unit_columns, unit_products

# Products of rows with columns chosen for them, at a time.
_GATHERED = 4096


class Similarities(ABC):
    """Similarities of n rows with n' columns, each in [-1, 1]; some are computed at a time."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Return (n, n')."""

    @property
    @abstractmethod
    def error(self) -> float:
        """Return what an entry of `rows` may be off by, at least 0."""

    @property
    @abstractmethod
    def alive(self) -> Liveness:
        """Return which rows and which columns are similar to anything at all."""

    @abstractmethod
    def rows(self, part: slice) -> Float[np.ndarray, "part n_other"]:
        """Return the similarities of some rows with all columns, in a new array."""

    @abstractmethod
    def chosen(self, columns: Int[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
        """Return the similarities of each row with the columns chosen for it, in float64."""

    @abstractmethod
    def whole(self) -> Float[np.ndarray, "n n_other"]:
        """Return all of them in float64; of few rows and columns."""

    @abstractmethod
    def taken(
        self, rows: Int[np.ndarray, " n"], columns: Int[np.ndarray, " n_other"]
    ) -> "Similarities":
        """Return the similarities of some rows with some columns, in the order given."""


@dataclass(frozen=True, eq=False)
class Cosines(Similarities):
    """The cosines of two sets of atoms, as `Similarities`.

    Attributes
    ----------
    U, V : (n, d) and (n', d)
        Atoms as rows, of norm 1 or 0.
    """

    U: Float[np.ndarray, "n d"]
    V: Float[np.ndarray, "n_other d"]

    @classmethod
    def of(cls, D: Float[np.ndarray, "d K"], E: Float[np.ndarray, "d K_other"]) -> "Cosines":
        """Return those of two dictionaries, atoms as columns of any norm."""
        return cls(unit_columns(D).T.copy(), unit_columns(E).T.copy())

    @property
    def shape(self) -> tuple[int, int]:
        """Return (n, n')."""
        return len(self.U), len(self.V)

    @property
    def error(self) -> float:
        """Return what single precision may be off by."""
        return single_rounding(self.U.shape[1])

    @property
    def alive(self) -> Liveness:
        """Return which atoms are not zero."""
        return live_atoms(self.U.T), live_atoms(self.V.T)

    @cached_property
    def _single(self) -> tuple[np.ndarray, np.ndarray]:
        return self.U.astype(np.float32), self.V.astype(np.float32).T

    def rows(self, part: slice) -> Float[np.ndarray, "part n_other"]:
        """Return the cosines of some rows in single precision: enough to choose by."""
        first, second = self._single
        return first[part] @ second

    def chosen(self, columns: Int[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
        """Return the cosines of each row with the columns chosen for it."""
        found = np.empty(columns.shape)
        size = max(_GATHERED // columns.shape[1], 1)
        for start in range(0, len(self.U), size):
            part = slice(start, start + size)
            found[part] = np.einsum("kd,kcd->kc", self.U[part], self.V[columns[part]])
        return found

    def whole(self) -> Float[np.ndarray, "n n_other"]:
        """Return all cosines."""
        return unit_products(self.U.T, self.V.T)

    def taken(self, rows: Int[np.ndarray, " n"], columns: Int[np.ndarray, " n_other"]) -> "Cosines":
        """Return the cosines of some atoms, in the order given."""
        return Cosines(self.U[rows], self.V[columns])


def single_rounding(d: int) -> float:
    """Return what a product of unit vectors may be off by, rounded and multiplied in float32.

    It is gamma_n, n = d + 2, of Higham (2002), Accuracy and Stability of Numerical Algorithms,
    section 3.1, with two more for vectors that are of norm 1 to float64 only.
    """
    units = (d + 4) * 2.0**-24
    return units / (1.0 - units)
