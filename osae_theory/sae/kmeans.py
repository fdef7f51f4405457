"""Atoms to start from by spherical k-means on a part of the data."""

import numpy as np
from jaxtyping import Float, Int

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_integer
from osae_theory.portable import matmul
from osae_theory.seeds import Axis, generator


@at_the_door
def kmeans_atoms(
    x: Float[np.ndarray, "N d"],
    n_atoms: int,
    seed: int,
    *,
    n_samples: int = 16_384,
    n_iterations: int = 20,
) -> Float[np.ndarray, "K d"]:
    """Return the mean directions of K clusters of samples: unit rows, float64.

    A sample belongs to the mean direction with the largest cosine, the first of equals. The
    means start at K samples. A cluster that is left empty keeps its direction. The bits are the
    same on any machine.

    Parameters
    ----------
    x : array of shape (N, d)
        Data, rows. Samples of zeros have no direction and are left out.
    n_atoms : int
        Number of clusters K, at least 1.
    seed : int
        Decides which samples are used, and which ones the means start at.
    n_samples : int
        How many samples are used, at least 1; capped at N.
    n_iterations : int
        Most passes over them, at least 1; fewer where the clusters no longer change.

    Raises
    ------
    InputError
        If there are fewer than K samples other than zero to be used.

    References
    ----------
    Dhillon and Modha (2001), "Concept decompositions for large sparse text data using clustering".
    """
    check_integer("n_atoms", n_atoms, 1)
    check_integer("n_samples", n_samples, 1)
    check_integer("n_iterations", n_iterations, 1)
    places = generator(seed, Axis.KMEANS).permutation(len(x))[:n_samples]
    rows = x[places].astype(np.float64)
    rows, _ = _directions(rows[(rows != 0).any(axis=1)])
    if len(rows) < n_atoms:
        raise InputError(f"k-means on {len(rows)} samples: expected at least K = {n_atoms} of them")
    return spherical_kmeans(rows, rows[:n_atoms], n_iterations)


def spherical_kmeans(
    rows: Float[np.ndarray, "n d"],
    start: Float[np.ndarray, "K d"],
    n_iterations: int,
    *,
    signed: bool = False,
) -> Float[np.ndarray, "K d"]:
    """Return the mean directions of clusters, once no sample changes its own.

    Parameters
    ----------
    rows : array of shape (n, d)
        Samples at unit length, or 0, float64.
    start : array of shape (K, d)
        The first directions, unit rows. One whose cluster is empty stays.
    n_iterations : int
        Most passes over the samples.
    signed : bool
        Whether a sample and its negative are the same.
    """
    atoms = start.copy()
    nearest = np.full(len(rows), -1)
    for _ in range(n_iterations):
        cosines = matmul(rows, np.ascontiguousarray(atoms.T))
        before, nearest = nearest, (np.abs(cosines) if signed else cosines).argmax(axis=1)
        if np.array_equal(before, nearest):
            break
        own = np.take_along_axis(cosines, nearest[:, None], axis=1)
        turned = np.where(own < 0, -rows, rows) if signed else rows
        found, lengths = _directions(_cluster_sums(turned, nearest, len(atoms)))
        atoms[lengths > 0] = found[lengths > 0]
    return atoms


def _cluster_sums(
    rows: Float[np.ndarray, "n d"], nearest: Int[np.ndarray, " n"], K: int
) -> Float[np.ndarray, "K d"]:
    """Return each cluster's sum, added in the order of the samples."""
    columns = [np.bincount(nearest, column, K) for column in np.ascontiguousarray(rows.T)]
    return np.ascontiguousarray(np.stack(columns, axis=1))


def _directions(
    rows: Float[np.ndarray, "n d"],
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """Return rows at unit length, and the lengths they had; a row of zeros stays."""
    lengths = np.sqrt((rows * rows).sum(axis=1))
    return rows / np.where(lengths > 0, lengths, 1)[:, None], lengths
