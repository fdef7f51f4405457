"""The text at which latents are most active: top contexts, found in one pass over the latents."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csc_array, csr_array, vstack

from osae_theory.errors import InputError, check_integer
from osae_theory.metrics import LatentStatistics
from realdata.activations.store import ActivationStore
from realdata.latents.sparse import LatentChunk, as_sparse, latent_statistics

# Of a snippet's tokens before its peak: a causal model has seen nothing after it.
LEAD = 2 / 3


@dataclass(frozen=True, eq=False)
class SearchedText:
    """The contexts in which top activations are searched, and where each sample comes from.

    Attributes
    ----------
    contexts : (c, t) int
        Token ids. A context holds tokens of one document only.
    documents : (c,) int
        The document of each context.
    context, position : (n,) int
        Of each sample, in the order of the latents' rows: its context, and which of the
        context's tokens it is. Tokens without a sample are shown, but have no activation.
    opened : bool
        Whether token 0 of each context is a beginning-of-sequence token, which is no text.
    names : sequence of str
        The documents' names, shown beside the snippets; empty if they have none.

    Raises
    ------
    InputError
        If arrays differ in length, an index is outside, or a token has two samples.
    """

    contexts: Int[np.ndarray, "c t"]
    documents: Int[np.ndarray, " c_documents"]
    context: Int[np.ndarray, " n"]
    position: Int[np.ndarray, " n_positions"]
    opened: bool = False
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        n_contexts, length = self.contexts.shape
        if len(self.documents) != n_contexts:
            raise InputError(f"{len(self.documents)} documents: expected {n_contexts}, by context")
        if len(self.position) != len(self.context):
            raise InputError(f"{len(self.position)} positions: expected {len(self.context)}")
        _check_below("context", self.context, n_contexts)
        _check_below("position", self.position, length)
        if self.names:
            _check_below("documents", self.documents, len(self.names))
        if np.count_nonzero(self.samples() >= 0) != self.n:
            raise InputError("context and position name a token twice: expected one sample each")

    @classmethod
    def of(cls, store: ActivationStore) -> "SearchedText":
        """Return the text of a collection, for latents of all its rows in their order."""
        places = store.places(np.arange(store.n))
        return cls(
            contexts=store.contexts,
            documents=store.context_document,
            context=places.context,
            position=places.position,
            opened=bool(store.manifest["text"]["opened"]),
            names=store.documents,
        )

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(self.context)

    def samples(self) -> Int[np.ndarray, "c t"]:
        """Return the sample of each token, -1 where there is none."""
        found = np.full(self.contexts.shape, -1, dtype=np.int64)
        found[self.context, self.position] = np.arange(self.n)
        return found


@dataclass(frozen=True, eq=False)
class Snippet:
    """A window of one context around a token at which a latent is strongly active.

    Attributes
    ----------
    context, document : int
        Where it is.
    start : int
        The position, in its context, of its first token.
    peak : int
        Which of its own tokens the latent's activation brought it here for.
    tokens : (w,) int
        Token ids.
    activations : (w,) float64
        Of the latent, at each token; NaN at a token without a sample.
    """

    context: int
    document: int
    start: int
    peak: int
    tokens: Int[np.ndarray, " w"]
    activations: Float[np.ndarray, " w"]

    @property
    def place(self) -> tuple[int, int]:
        """The peak's context and its position there."""
        return self.context, self.start + self.peak


@dataclass(frozen=True, eq=False)
class TopContexts:
    """What a search gives.

    Attributes
    ----------
    statistics : LatentStatistics
        Of all latents, over all samples that were searched.
    snippets : mapping of int to tuple of Snippet
        Of each latent that was searched for, from the greatest activation down; none where it
        is never positive.
    """

    statistics: LatentStatistics
    snippets: Mapping[int, tuple[Snippet, ...]]


def top_contexts(
    chunks: Iterable[LatentChunk],
    text: SearchedText,
    latents: Int[np.ndarray, " p"],
    n_snippets: int = 8,
    window: int = 24,
) -> TopContexts:
    """Find the text at which latents are most active.

    A context gives at most one snippet, at its greatest activation. Snippets of distinct
    documents are taken first; only when there are fewer such documents than snippets asked for
    do further contexts of the same documents follow. Of equal activations the earlier sample
    wins. Memory is that of one chunk and of the activations of the latents searched for.

    Parameters
    ----------
    chunks : iterable of SparseLatents or of (_, K) arrays
        Latents of the samples, in the order of `text`.
    text : SearchedText
        Where the samples come from.
    latents : (p,) int
        Which latents to search for.
    n_snippets : int
        The most snippets a latent gets, at least 1.
    window : int
        Tokens of a snippet, at least 1; fewer where the context is shorter. About two thirds
        stand before the peak.

    Raises
    ------
    InputError
        If chunks and text differ in their number of samples, there is no sample, a latent is
        outside 0..K-1, or a chunk is not sound (see `as_sparse`).
    """
    check_integer("n_snippets", n_snippets, 1)
    check_integer("window", window, 1)
    Z, statistics = _gathered(chunks, latents)
    if Z.shape[0] != text.n:
        raise InputError(f"there are latents of {Z.shape[0]} samples: expected {text.n}")
    samples = text.samples()
    found = {}
    for column, latent in enumerate(latents.tolist()):
        entries = slice(Z.indptr[column], Z.indptr[column + 1])
        rows, values = Z.indices[entries], Z.data[entries]
        peaks = _top_samples(rows, values, text, n_snippets)
        activations = np.zeros(text.n)
        activations[rows] = values
        found[latent] = tuple(
            _snippet(int(row), activations, text, samples, window) for row in peaks
        )
    return TopContexts(statistics, found)


def _gathered(
    chunks: Iterable[LatentChunk], latents: Int[np.ndarray, " p"]
) -> tuple[csc_array, LatentStatistics]:
    """Return the columns of some latents, and the statistics of all, in one pass."""
    columns: list[csr_array] = []
    statistics: LatentStatistics | None = None
    for chunk in chunks:
        Z = as_sparse(chunk)
        _check_below("latents", latents, Z.shape[1])
        if Z.shape[0]:
            own = latent_statistics([chunk])
            statistics = own if statistics is None else statistics + own
            columns.append(csr_array(Z[:, latents]))
    if statistics is None:
        raise InputError("latents are empty: expected at least one sample")
    return csc_array(vstack(columns)), statistics


def _top_samples(
    rows: Int[np.ndarray, " a"], values: Float[np.ndarray, " a"], text: SearchedText, n: int
) -> Int[np.ndarray, " s"]:
    """Return the samples at the peaks of the snippets, the most active first."""
    positive = values > 0
    if text.opened:
        positive &= text.position[rows] > 0
    rows, values = rows[positive], values[positive]
    ranked = rows[np.lexsort((rows, -values))].astype(np.int64)
    ranked = ranked[_is_first(text.context[ranked])]
    repeated = ~_is_first(text.documents[text.context[ranked]])
    chosen = np.argsort(repeated, kind="stable")[:n]
    return ranked[np.sort(chosen)]


def _is_first(values: Int[np.ndarray, " a"]) -> Bool[np.ndarray, " a"]:
    """Return which entries equal none before them."""
    first = np.zeros(len(values), dtype=bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first


def _snippet(
    row: int,
    activations: Float[np.ndarray, " n"],
    text: SearchedText,
    samples: Int[np.ndarray, "c t"],
    window: int,
) -> Snippet:
    context, position = int(text.context[row]), int(text.position[row])
    first, length = int(text.opened), text.contexts.shape[1]
    # Near an end of its context a window moves inwards rather than be cut.
    start = max(first, min(position - int(LEAD * window), length - window))
    stop = min(start + window, length)
    here = samples[context, start:stop]
    return Snippet(
        context=context,
        document=int(text.documents[context]),
        start=start,
        peak=position - start,
        tokens=text.contexts[context, start:stop],
        activations=np.where(here >= 0, activations[here], np.nan),
    )


def _check_below(name: str, values: Int[np.ndarray, " n"], limit: int) -> None:
    outside = (values < 0) | (values >= limit)
    if outside.any():
        raise InputError(f"{name} hold {values[outside][0]}: expected indices in 0..{limit - 1}")
