"""Correlations of two SAEs' latents: of all, of pairs, or of very many some at a time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array, diags_array, vstack

from osae_theory.errors import InputError
from osae_theory.metrics.matching import Liveness
from osae_theory.metrics.similarities import Similarities
from realdata.latents.sparse import LatentChunk, as_sparse

# Rows of a table of correlations at a time.
_ROWS = 512


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


@dataclass(frozen=True, eq=False)
class LatentCorrelations(Similarities):
    """The correlations of two SAEs' latents on the same samples, as `Similarities`.

    Attributes
    ----------
    first : (p, N) sparse
        A row a latent of one SAE, its activations divided by sqrt(N) times their standard
        deviation; without entries where they are constant.
    second : (N, p') sparse
        A column a latent of the other.
    means, other_means : (p,) and (p',)
        Means divided by standard deviations; 0 where activations are constant.
    varying : pair of (p,) and (p',) bool
        Whose activations are not constant.
    """

    first: csr_array
    second: csr_array
    means: Float[np.ndarray, " p"]
    other_means: Float[np.ndarray, " p_other"]
    varying: Liveness

    @classmethod
    def of(
        cls,
        first: Iterable[LatentChunk],
        second: Iterable[LatentChunk],
        first_latents: Int[np.ndarray, " p"] | None = None,
        second_latents: Int[np.ndarray, " p_other"] | None = None,
    ) -> "LatentCorrelations":
        """Return the correlations of some latents, in the order given; by default of all.

        Parameters and errors are those of `latent_correlations`; the activations of these latents
        are held in memory.
        """
        chunks: list[tuple[csr_array, csr_array]] = []

        def keep(A: csr_array, B: csr_array, before: np.ndarray | None) -> np.ndarray:
            chunks.append((A, B))
            return np.empty(0)

        moments = _Moments.of(first, second, first_latents, second_latents, keep)
        own, other = (
            _Scaled.of([pair[side] for pair in chunks], means, deviations)
            for side, (means, deviations) in enumerate(
                zip(moments.means, moments.deviations, strict=True)
            )
        )
        return cls(
            csr_array(own.latents.T),
            other.latents,
            own.means,
            other.means,
            (own.alive, other.alive),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Return (p, p')."""
        return len(self.means), len(self.other_means)

    @property
    def alive(self) -> Liveness:
        """Return which latents are not constant."""
        return self.varying

    @property
    def error(self) -> float:
        """Return what float64 may be off by: gamma_n of Higham (2002), section 3.1.

        Sums of N products and one more, of vectors whose squared lengths are 1 and the squared
        mean.
        """
        units = (self.second.shape[0] + 8) * 2.0**-53
        lengths = [
            np.sqrt(1.0 + float(np.square(means).max(initial=0.0)))
            for means in (self.means, self.other_means)
        ]
        return float(units / (1.0 - units) * lengths[0] * lengths[1])

    def rows(self, part: slice) -> Float[np.ndarray, "part p_other"]:
        """Return the correlations of some latents with all of the other SAE."""
        found = (self.first[part] @ self.second).toarray()
        found -= np.multiply.outer(self.means[part], self.other_means)
        return found

    def chosen(self, columns: Int[np.ndarray, "p c"]) -> Float[np.ndarray, "p c"]:
        """Return the correlations of each latent with those chosen for it."""
        others = csr_array(self.second.T)
        found = np.empty(columns.shape)
        for place, chosen in enumerate(columns.T):
            products = self.first.multiply(others[chosen]).sum(axis=1)
            found[:, place] = np.asarray(products).ravel() - self.means * self.other_means[chosen]
        return found

    def whole(self) -> Float[np.ndarray, "p p_other"]:
        """Return all correlations."""
        return np.clip(self.rows(slice(None)), -1.0, 1.0)

    def taken(
        self, rows: Int[np.ndarray, " n"], columns: Int[np.ndarray, " n_other"]
    ) -> Similarities:
        """Return the correlations of some latents, in the order given."""
        return LatentCorrelations(
            csr_array(self.first[rows]),
            csr_array(self.second[:, columns]),
            self.means[rows],
            self.other_means[columns],
            (self.alive[0][rows], self.alive[1][columns]),
        )


@dataclass(frozen=True, eq=False)
class _Scaled:
    """One SAE's latents over their deviations times sqrt(N), and their means over them."""

    latents: csr_array
    means: Float[np.ndarray, " p"]
    alive: Bool[np.ndarray, " p"]

    @classmethod
    def of(
        cls,
        chunks: list[csr_array],
        means: Float[np.ndarray, " p"],
        deviations: Float[np.ndarray, " p"],
    ) -> "_Scaled":
        alive = deviations > 0
        units = np.divide(1.0, deviations, out=np.zeros_like(deviations), where=alive)
        whole = csr_array(vstack(chunks))
        scaled = csr_array(whole @ diags_array(units / np.sqrt(whole.shape[0])))
        scaled.eliminate_zeros()
        return cls(scaled, means * units, alive)


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
