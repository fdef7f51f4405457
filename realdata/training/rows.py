"""Standardised activations by number, for a training that shuffles over all of them."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int

from realdata.activations.store import ActivationStore

# Activations beyond this many bytes stay on disk and are read row by row.
IN_MEMORY = 2 * 1024**3


@runtime_checkable
class Rows(Protocol):
    """Standardised activations by number: an array in memory, or a store on disk."""

    @property
    def n(self) -> int:
        """How many there are."""
        ...

    @property
    def d(self) -> int:
        """Their width."""
        ...

    def rows(self, indices: Int[np.ndarray, " b"]) -> Float32[np.ndarray, "b d"]:
        """Return those with these numbers."""
        ...


@dataclass(frozen=True, eq=False)
class RowsInMemory:
    """An array of standardised activations."""

    values: Float32[np.ndarray, "n d"]

    @property
    def n(self) -> int:
        """How many there are."""
        return self.values.shape[0]

    @property
    def d(self) -> int:
        """Their width."""
        return self.values.shape[1]

    def rows(self, indices: Int[np.ndarray, " b"]) -> Float32[np.ndarray, "b d"]:
        """Return those with these numbers."""
        return self.values[indices]


def rows_of(store: ActivationStore, limit: int = IN_MEMORY) -> Rows:
    """Return a store's activations, in memory if they take at most `limit` bytes there."""
    return RowsInMemory(store.read_all()) if 4 * store.n * store.d <= limit else store
