"""Latents and reconstructions of stored activations by any checkpoint: `realdata apply`."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from osae_theory.errors import InputError
from osae_theory.files import check_writable, refused_by_system, write_atomically
from realdata.activations.given import open_matrix
from realdata.activations.store import ActivationStore
from realdata.checkpoints import load
from realdata.checkpoints.form import CHUNK, SparseAutoencoder
from realdata.models.disk import check_disk

LATENTS = "latents.npy"
RECONSTRUCTION = "reconstruction.npy"


@runtime_checkable
class Rows(Protocol):
    """Activations (n, d) that are read a slice at a time: an array, or a store."""

    @property
    def shape(self) -> tuple[int, ...]:
        """How many there are, and their width."""
        ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


def apply_checkpoint(
    location: str, revision: str | None, input_npy: Path, out_dir: Path
) -> tuple[Path, Path]:
    """Write what a checkpoint makes of activations: latents.npy and reconstruction.npy.

    Parameters
    ----------
    location, revision : str, str or None
        The checkpoint; see `realdata.checkpoints.load`.
    input_npy : Path
        Activations (n, d), finite floating-point numbers, or a folder of collected ones; read in
        chunks.
    out_dir : Path
        Made if it is not there. Files of these names are replaced.

    Returns
    -------
    tuple of Path
        latents.npy (n, K) and reconstruction.npy (n, d), as the checkpoint's own library
        computes them at inference; float32, or float64 for a checkpoint of that.

    Raises
    ------
    InputError
        Before anything is written, if the checkpoint or the activations cannot be used or
        do not fit together, if a result would take the place of the activations, or there is
        too little room; and, leaving nothing behind, if a result is not finite.
    """
    paths = out_dir / LATENTS, out_dir / RECONSTRUCTION
    check_writable(out_dir, files=(LATENTS, RECONSTRUCTION))
    _check_input_is_kept(input_npy, paths)
    autoencoder = load(location, revision)
    x = read_activations(input_npy, autoencoder, location)
    with refused_by_system(out_dir):
        n = x.shape[0]
        check_disk(
            out_dir,
            n * (autoencoder.K + autoencoder.d) * autoencoder.dtype.itemsize,
            f"latents and reconstructions of {n:,} activations",
        )
        write_atomically(
            paths[0],
            lambda latents: write_atomically(
                paths[1],
                lambda reconstruction: _write(autoencoder, x, latents, reconstruction),
            ),
        )
    return paths


def _check_input_is_kept(input_npy: Path, paths: tuple[Path, ...]) -> None:
    read = os.path.realpath(input_npy)
    for path in paths:
        if os.path.realpath(path) == read:
            raise InputError(
                f"{input_npy} would be replaced by {path}: expected --out another folder"
            )


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


def _write(autoencoder: SparseAutoencoder, x: Rows, latents: Path, reconstruction: Path) -> None:
    n = x.shape[0]
    with latents.open("wb") as first_file, reconstruction.open("wb") as second_file:
        _begin(first_file, (n, autoencoder.K), autoencoder.dtype)
        _begin(second_file, (n, autoencoder.d), autoencoder.dtype)
        for first, part in row_chunks(x, autoencoder.dtype):
            made = autoencoder.encode(part)
            rebuilt = autoencoder.decode(made, part)
            for file, what, values in (
                (first_file, "latent", made),
                (second_file, "reconstruction", rebuilt),
            ):
                bad = ~torch.isfinite(values).all(dim=1)
                if bool(bad.any()):
                    row = first + int(bad.nonzero()[0])
                    raise InputError(
                        f"the {what} of row {row} is not finite: expected an activation that the "
                        "checkpoint can take"
                    )
                file.write(values.contiguous().numpy().tobytes())


def _begin(file: BinaryIO, shape: tuple[int, int], dtype: torch.dtype) -> None:
    """Write the header of a .npy array whose rows follow."""
    descr = np.lib.format.dtype_to_descr(np.dtype("<f8" if dtype == torch.float64 else "<f4"))
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(file, header)
