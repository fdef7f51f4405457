"""Latents of SAEs on some samples, sparse or dense: how often active, how correlated."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from osae_theory.errors import InputError, check_finite
from osae_theory.metrics import LatentStatistics, order_by


@dataclass(frozen=True, eq=False)
class SparseLatents:
    """The active latents of n samples.

    Attributes
    ----------
    indices : (n, m) int
        Which latents are active on each sample, each in 0..K-1 and at most once where its
        value is not 0: a value of 0 fills a place and is no activation.
    values : (n, m)
        Their activations.
    K : int
        How many latents the SAE has.
    """

    indices: Int[np.ndarray, "n m"]
    values: Float[np.ndarray, "n m"]
    K: int


# Dense, one row a sample; chunks differ in n, so that the shape is checked by what takes them.
LatentChunk = SparseLatents | Float[np.ndarray, "_ _"]


def as_sparse(chunk: LatentChunk) -> csr_array:
    """Return a chunk of latents, (indices, values) or dense (n, K), as a float64 sparse matrix.

    Raises InputError if an index is outside 0..K-1, a value is NaN or infinite, or an array is
    not two-dimensional.
    """
    if isinstance(chunk, np.ndarray):
        check_finite("latents", chunk)
        return csr_array(chunk.astype(np.float64))
    check_finite("values", chunk.values)
    outside = (chunk.indices < 0) | (chunk.indices >= chunk.K)
    if outside.any():
        raise InputError(
            f"indices hold {chunk.indices[outside][0]}: expected latents in 0..{chunk.K - 1}"
        )
    n, m = chunk.indices.shape
    found = csr_array(
        (
            chunk.values.astype(np.float64).ravel(),
            chunk.indices.astype(np.int64).ravel(),
            np.arange(0, n * m + 1, m) if m else np.zeros(n + 1, dtype=np.int64),
        ),
        shape=(n, chunk.K),
    )
    found.sum_duplicates()
    found.eliminate_zeros()
    return found


def sparse(latents: Float[np.ndarray, "n K"]) -> SparseLatents:
    """Return dense latents by their active entries, each row as wide as the fullest."""
    values = torch.from_numpy(latents)
    width = max(int(torch.count_nonzero(values, dim=1).max()), 1)
    kept = values.abs().topk(width, dim=1).indices
    return SparseLatents(kept.numpy(), values.gather(1, kept).numpy(), latents.shape[1])


def latent_statistics(chunks: Iterable[LatentChunk]) -> LatentStatistics:
    """Return how often and how strongly each latent is active, chunk by chunk.

    Raises InputError if there is no sample, the chunks differ in K, or as `as_sparse`.
    """
    total: LatentStatistics | None = None
    for chunk in chunks:
        Z = as_sparse(chunk)
        if Z.shape[0] == 0:
            continue
        energies = np.asarray(Z.multiply(Z).sum(axis=0), dtype=np.float64).ravel()
        own = LatentStatistics(np.bincount(Z.indices, minlength=Z.shape[1]), energies, Z.shape[0])
        total = own if total is None else total + own
    if total is None:
        raise InputError("latents are empty: expected at least one sample")
    return total


def order_by_contribution(
    statistics: LatentStatistics, unit_energies: Float[np.ndarray, " K"], tie_seed: int
) -> Int[np.ndarray, " K"]:
    """Return the latents from that which adds most to the reconstructions down, dead ones last.

    Parameters
    ----------
    statistics : LatentStatistics
    unit_energies : (K,)
        Squared length of what one unit of each latent adds: its row's, of whatever norm.
    tie_seed : int
        As in `osae_theory.metrics.order_by`.
    """
    return order_by(statistics.energies * unit_energies, statistics.dead, tie_seed)
