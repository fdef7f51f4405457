"""Latents of SAEs on some samples, sparse or dense: how often active, how correlated."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from osae_theory.errors import InputError, check_finite
from osae_theory.metrics import LatentStatistics, order_by

# Rows of a table of correlations at a time.
_ROWS = 512


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
    chunks: memory is that of one chunk and of one (p, p') matrix, whatever the number of samples.

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
    moments = _Moments.of(first, second, first_latents, second_latents, _table)
    means, other_means = moments.means
    deviations, other_deviations = moments.deviations
    found = moments.products
    # In place and some rows at a time: of very many latents there is room for one table.
    for start in range(0, len(found), _ROWS):
        part = slice(start, start + _ROWS)
        found[part] = _correlations(
            found[part] / moments.n - np.outer(means[part], other_means),
            np.outer(deviations[part], other_deviations),
        )
    return found


def paired_correlations(
    first: Iterable[LatentChunk],
    second: Iterable[LatentChunk],
    first_latents: Int[np.ndarray, " n"],
    second_latents: Int[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Return the correlation of each pair of latents: `latent_correlations` without its table.

    Parameters
    ----------
    first, second : iterables of chunks
        As in `latent_correlations`.
    first_latents, second_latents : (n,) int
        The pairs.

    Raises
    ------
    InputError
        As `latent_correlations`.
    """
    moments = _Moments.of(first, second, first_latents, second_latents, _diagonal)
    means, other_means = moments.means
    deviations, other_deviations = moments.deviations
    return _correlations(
        moments.products / moments.n - means * other_means, deviations * other_deviations
    )


def _correlations(
    covariances: Float[np.ndarray, "*shape"], scales: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    found = np.divide(covariances, scales, out=np.zeros_like(scales), where=scales > 0)
    return np.clip(found, -1.0, 1.0)


@dataclass(eq=False)
class _Moments:
    """Sums of two SAEs' latents over samples.

    `first` and `second` hold four rows each: sum, sum of squares, least and greatest value.
    `products` holds the sums of products of every two latents, or of pairs.
    """

    n: int
    first: Float[np.ndarray, "4 p"]
    second: Float[np.ndarray, "4 p_other"]
    products: Float[np.ndarray, "..."]

    @classmethod
    def of(
        cls,
        first: Iterable[LatentChunk],
        second: Iterable[LatentChunk],
        first_latents: Int[np.ndarray, " p"] | None,
        second_latents: Int[np.ndarray, " p_other"] | None,
        add_products: Callable[[csr_array, csr_array, np.ndarray | None], np.ndarray],
    ) -> "_Moments":
        """Return the sums over all chunks.

        Raises InputError unless these agree in number and size and hold at least two samples.
        """
        found: _Moments | None = None
        for own, other in zip_longest(first, second):
            if own is None or other is None:
                raise InputError("the latents of two SAEs differ in their number of chunks")
            A, B = _columns(own, first_latents), _columns(other, second_latents)
            if A.shape[0] != B.shape[0]:
                raise InputError(
                    f"a chunk has {B.shape[0]} samples: expected {A.shape[0]}, as in the other"
                    " SAE's"
                )
            sums = _column_sums(A), _column_sums(B)
            if found is None:
                found = cls(A.shape[0], *sums, add_products(A, B, None))
                continue
            shape, expected = (
                (A.shape[1], B.shape[1]),
                (found.first.shape[1], found.second.shape[1]),
            )
            if shape != expected:
                raise InputError(f"a chunk has {shape} latents: expected {expected}, as before")
            found.n += A.shape[0]
            found.first, found.second = map(_merged, (found.first, found.second), sums)
            found.products = add_products(A, B, found.products)
        n = 0 if found is None else found.n
        if found is None or n < 2:
            raise InputError(f"the latents are those of {n} samples: expected at least two")
        return found

    @property
    def means(self) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p_other"]]:
        return self.first[0] / self.n, self.second[0] / self.n

    @property
    def deviations(self) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p_other"]]:
        return _deviations(self.first, self.n), _deviations(self.second, self.n)


def _table(A: csr_array, B: csr_array, before: np.ndarray | None) -> np.ndarray:
    """Add the sums of products of every two latents to those before, in place."""
    products = A.transpose().dot(B)
    if before is None:
        return products.toarray()
    entries = products.tocoo()
    before[entries.row, entries.col] += entries.data
    return before


def _diagonal(A: csr_array, B: csr_array, before: np.ndarray | None) -> np.ndarray:
    """Add the sums of products of latents that stand in one place to those before."""
    products = np.asarray(A.multiply(B).sum(axis=0), dtype=np.float64).ravel()
    return products if before is None else before + products


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
