"""Latents of SAEs on some samples, sparse or dense: how often active, how correlated."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest

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


def latent_correlations(
    first: Iterable[LatentChunk],
    second: Iterable[LatentChunk],
    first_latents: Int[np.ndarray, " p"] | None = None,
    second_latents: Int[np.ndarray, " p_other"] | None = None,
) -> Float[np.ndarray, "p p_other"]:
    """Return the Pearson correlations of the latents of two SAEs on the same samples.

    It is `osae_theory.metrics.activation_correlations` for latents that are sparse or come in
    chunks: memory is that of one chunk and of a few (p, p') matrices, whatever the number of
    samples.

    Parameters
    ----------
    first, second : iterables of chunks
        The same samples in the same order and cut into the same chunks.
    first_latents, second_latents : (p,) and (p',) int, optional
        Which latents to take, in which order; by default all, as they come.

    Returns
    -------
    (p, p') float64
        In [-1, 1]. A latent that is constant, such as a dead one, correlates 0 with every other.

    Raises
    ------
    InputError
        If the chunks do not agree in number or size, or there are fewer than two samples.
    """
    moments: _Moments | None = None
    for A, B in zip_longest(first, second):
        if A is None or B is None:
            raise InputError("the latents of two SAEs differ in their number of chunks")
        own = _Moments.of(_columns(A, first_latents), _columns(B, second_latents))
        moments = own if moments is None else moments.plus(own)
    n = 0 if moments is None else moments.n
    if moments is None or n < 2:
        raise InputError(f"the latents are those of {n} samples: expected at least two")
    return moments.correlations()


@dataclass(frozen=True, eq=False)
class _Moments:
    """Sums of two SAEs' latents over samples; those of two chunks add up.

    `first` and `second` hold four rows each: sum, sum of squares, least and greatest value.
    """

    n: int
    first: Float[np.ndarray, "4 p"]
    second: Float[np.ndarray, "4 p_other"]
    products: Float[np.ndarray, "p p_other"]

    @classmethod
    def of(cls, A: csr_array, B: csr_array) -> "_Moments":
        if A.shape[0] != B.shape[0]:
            raise InputError(
                f"a chunk has {B.shape[0]} samples: expected {A.shape[0]}, as in the other SAE's"
            )
        products = A.transpose().dot(B).toarray()
        return cls(A.shape[0], _column_sums(A), _column_sums(B), products)

    def plus(self, other: "_Moments") -> "_Moments":
        """Return the sums over both chunks; InputError if they differ in their latents."""
        if self.products.shape != other.products.shape:
            raise InputError(
                f"a chunk has {other.products.shape} latents: expected {self.products.shape},"
                " as before"
            )
        return _Moments(
            self.n + other.n,
            _merged(self.first, other.first),
            _merged(self.second, other.second),
            self.products + other.products,
        )

    def correlations(self) -> Float[np.ndarray, "p p_other"]:
        means, other_means = self.first[0] / self.n, self.second[0] / self.n
        covariances = self.products / self.n - np.outer(means, other_means)
        scales = np.outer(_deviations(self.first, self.n), _deviations(self.second, self.n))
        found = np.divide(covariances, scales, out=np.zeros_like(scales), where=scales > 0)
        return np.clip(found, -1.0, 1.0)


def _columns(chunk: LatentChunk, latents: Int[np.ndarray, " p"] | None) -> csr_array:
    Z = as_sparse(chunk)
    return Z if latents is None else csr_array(Z[:, latents])


def _column_sums(Z: csr_array) -> Float[np.ndarray, "4 p"]:
    if Z.shape[0] == 0:
        return np.array([[0.0], [0.0], [np.inf], [-np.inf]]) * np.ones(Z.shape[1])
    sums = (Z.sum(axis=0), Z.multiply(Z).sum(axis=0))
    extremes = (Z.min(axis=0).toarray(), Z.max(axis=0).toarray())
    return np.stack([np.asarray(row, dtype=np.float64).ravel() for row in (*sums, *extremes)])


def _merged(
    sums: Float[np.ndarray, "4 p"], other: Float[np.ndarray, "4 p"]
) -> Float[np.ndarray, "4 p"]:
    added = sums[:2] + other[:2]
    return np.stack([*added, np.minimum(sums[2], other[2]), np.maximum(sums[3], other[3])])


def _deviations(sums: Float[np.ndarray, "4 p"], n: int) -> Float[np.ndarray, " p"]:
    """Return the standard deviations; exactly 0 for constant latents, told by their range."""
    variances = np.maximum(sums[1] / n - (sums[0] / n) ** 2, 0.0)
    return np.where(sums[3] > sums[2], np.sqrt(variances), 0.0)
