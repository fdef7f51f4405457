"""Latents and reconstructions of stored activations by any checkpoint: `realdata apply`."""

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from osae_theory.errors import InputError
from osae_theory.files import check_writable, refused_by_system, write_atomically
from realdata.checkpoints import load
from realdata.checkpoints.form import SparseAutoencoder
from realdata.latents.rows import Rows, read_activations, row_chunks
from realdata.models.disk import check_disk

LATENTS = "latents.npy"
RECONSTRUCTION = "reconstruction.npy"


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
