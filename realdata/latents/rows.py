"""Activations that stay on disk: of a .npy file or of a store, checked once and read in chunks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from osae_theory.errors import InputError
from realdata.activations.given import open_matrix
from realdata.activations.store import ActivationStore
from realdata.checkpoints.form import CHUNK, SparseAutoencoder


@runtime_checkable
class Rows(Protocol):
    """Activations (n, d) that are read a slice at a time: an array, or a store."""

    @property
    def shape(self) -> tuple[int, ...]:
        """How many there are, and their width."""
        ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


def read_activations(path: Path, autoencoder: SparseAutoencoder, location: str) -> Rows:
    """Return activations (n, d) that stay on disk, once all of them are known to be usable.

    Parameters
    ----------
    path : Path
        A .npy file, or a folder of collected activations: of these the model's own values.
    autoencoder : SparseAutoencoder
        Whose width the activations must have.
    location : str
        Its name, for messages.

    Raises
    ------
    InputError
        If the file cannot be read, is of another kind or width, or holds NaN or Inf.
    """
    x = (
        _StoredRows(ActivationStore.open(path))
        if path.is_dir()
        else open_matrix(path, str(autoencoder.d))
    )
    if x.shape[1] != autoencoder.d:
        raise InputError(
            f"{path} has activations of width {x.shape[1]}: expected {autoencoder.d}, the width "
            f"of {location}"
        )
    for first, part in row_chunks(x, autoencoder.dtype):
        bad = ~torch.isfinite(part).all(dim=1)
        if bool(bad.any()):
            row = first + int(bad.nonzero()[0])
            raise InputError(f"{path} holds NaN or Inf in row {row}: expected finite numbers")
    return x


@dataclass(frozen=True, eq=False)
class _StoredRows:
    """A store's activations as the model gave them."""

    store: ActivationStore

    @property
    def shape(self) -> tuple[int, int]:
        return self.store.n, self.store.d

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        return self.store.rows(np.arange(*rows.indices(self.store.n)), raw=True)


def row_chunks(x: Rows, dtype: torch.dtype) -> Iterator[tuple[int, Tensor]]:
    """Yield (first row, rows) of activations (n, d), in the precision of a checkpoint."""
    to = np.float64 if dtype == torch.float64 else np.float32
    for first in range(0, x.shape[0], CHUNK):
        with np.errstate(over="ignore"):  # an overflow is found as Inf
            rows = np.array(x[first : first + CHUNK], dtype=to, order="C")
        yield first, torch.from_numpy(rows)
