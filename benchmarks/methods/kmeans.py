"""Spherical k-means: centroids as atoms, with codes by nonnegative orthogonal matching pursuit.

A sample belongs to the centroid with the largest cosine, and a centroid is the direction of the
sum of its samples, each scaled to norm 1. An empty cluster gets the sample with the least cosine
to its own. Where codes are signed, cosines count in absolute value. Dhillon and Modha (2001),
"Concept decompositions for large sparse text data using clustering", Machine Learning 42.
"""

import numpy as np
from jaxtyping import Float, Int

from benchmarks.contracts import Data, Fit, Method
from benchmarks.methods._pursuit import (
    SIGNED,
    each_run,
    is_signed,
    random_samples,
    scaled,
    too_few_samples,
)
from benchmarks.spec import Budget
from osae_theory.portable import matmul
from osae_theory.sae import RunSeeds


def _atoms(data: Data, how: Fit, own: RunSeeds) -> Float[np.ndarray, "K d"]:
    return spherical_kmeans(
        scaled(data.rows),
        random_samples(data, own),
        how.budget.amount,
        signed=is_signed(how.params),
    )


def spherical_kmeans(
    rows: Float[np.ndarray, "N d"],
    start: Float[np.ndarray, "K d"],
    iterations: int,
    *,
    signed: bool = False,
) -> Float[np.ndarray, "K d"]:
    """Return centroids of norm 1 after Lloyd's iterations, or once no sample changes its cluster.

    Parameters
    ----------
    rows : array of shape (N, d)
        Samples of norm 1, or 0, float64.
    start : array of shape (K, d)
        The first centroids, of norm 1.
    iterations : int
        Most iterations.
    signed : bool
        Whether a sample and its negative are the same to a centroid.
    """
    centroids, before = start, None
    for _ in range(iterations):
        cosines = matmul(rows, np.ascontiguousarray(centroids.T))
        sizes = np.abs(cosines) if signed else cosines
        labels = np.argmax(sizes, axis=1)
        if before is not None and np.array_equal(labels, before):
            break
        before = labels
        nearest = np.take_along_axis(cosines, labels[:, None], axis=1)
        turned = np.where(nearest < 0, -rows, rows) if signed else rows
        sums = np.zeros_like(centroids)
        np.add.at(sums, labels, turned)
        empty = np.flatnonzero((sums == 0).all(axis=1))
        sums[empty] = rows[_farthest(nearest, signed)[: len(empty)]]
        centroids = np.where(sums.any(axis=1, keepdims=True), scaled(sums), centroids)
    return centroids


def _farthest(nearest: Float[np.ndarray, "N 1"], signed: bool) -> Int[np.ndarray, " N"]:
    """Return the samples by rising cosine to their centroid."""
    return np.argsort((np.abs(nearest) if signed else nearest).ravel(), kind="stable")


METHOD = Method(
    "kmeans",
    "spherical k-means",
    each_run(_atoms),
    (SIGNED,),
    budget=Budget("iterations", 50, 0),
    skip=too_few_samples,
)
