"""Documents packed into contexts: all of them, or split into training and evaluation.

A document's part depends on the seed and on its own text alone, so that no text is in both
parts and no other document changes it. A document's tokens are cut into contexts of one
length; no context holds two documents, and what is left at a document's end, shorter than a
context, is left out, so that there is no padding.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np
from jaxtyping import Int32

from osae_theory.errors import InputError, check_choice, check_integer, check_real
from osae_theory.seeds import Axis, generator
from realdata.text.corpora import Corpus

TRAINING, EVALUATION = PARTS = ("training", "evaluation")
WHOLE = "whole"
READABLE = (WHOLE, *PARTS)

Tokenise = Callable[[Sequence[str]], list[list[int]]]

_DOCUMENTS_AT_ONCE = 64


@dataclass(frozen=True)
class PackingSettings:
    """How a corpus becomes contexts.

    Attributes
    ----------
    context : int
        Tokens of a context, with the beginning-of-sequence token that opens it.
    seed : int
        Decides the split and the order of the contexts.
    evaluation_share : float
        Probability of a document to be in the evaluation part, in (0, 1).
    training_tokens, evaluation_tokens : int or None
        Positions to keep, counted without the first of each context and rounded up to whole
        contexts; None takes all there are.
    """

    context: int = 128
    seed: int = 0
    evaluation_share: float = 0.2
    training_tokens: int | None = None
    evaluation_tokens: int | None = None

    def __post_init__(self) -> None:
        check_integer("context", self.context, 2)
        check_integer("seed", self.seed, 0)
        check_real("evaluation_share", self.evaluation_share, above=0, below=1)
        for name in ("training_tokens", "evaluation_tokens"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), 1)

    def wanted(self, part: str) -> int | None:
        """Return how many contexts a part is to have; None is all."""
        tokens = self.training_tokens if part == TRAINING else self.evaluation_tokens
        return None if tokens is None else -(-tokens // (self.context - 1))


@dataclass(frozen=True, eq=False)
class PackedText:
    """One part of a corpus as contexts, in a seeded order.

    Attributes
    ----------
    corpus, part : str
        Where it is from: the corpus, and "training", "evaluation" or "whole".
    contexts : (n, t) int32
        Token ids.
    document : (n,) int32
        The document of each context, as an index of `names`.
    start : (n,) int32
        Where in its document, in tokens, each context's text begins.
    names : tuple of str
        The part's documents.
    opened : bool
        Position 0 of each context is a beginning-of-sequence token.
    text_hash : str
        A sha256 of the texts of the part's documents, whatever their order.
    n_tokens, n_left_out, n_duplicates : int
        Tokens of the documents that were read; those in no context, at the documents' ends or
        beyond what was wanted; and documents dropped because their text was there before.
    """

    corpus: str
    part: str
    contexts: Int32[np.ndarray, "n t"]
    document: Int32[np.ndarray, " n"]
    start: Int32[np.ndarray, " n"]
    names: tuple[str, ...]
    opened: bool
    text_hash: str
    n_tokens: int
    n_left_out: int
    n_duplicates: int

    @property
    def n_positions(self) -> int:
        """Return the number of positions, without the first of each context."""
        return self.contexts.shape[0] * (self.contexts.shape[1] - 1)

    def first(self, n: int) -> "PackedText":
        """Return the first `n` contexts, or all where there are not so many."""
        contexts = self.contexts[:n]
        dropped = self.contexts.shape[0] - contexts.shape[0]
        return replace(
            self,
            contexts=contexts,
            document=self.document[:n],
            start=self.start[:n],
            n_left_out=self.n_left_out + dropped * (contexts.shape[1] - self.opened),
        )

    @property
    def token_hash(self) -> str:
        """Return a sha256 of the contexts: of text, tokeniser, split and order together."""
        contexts = np.ascontiguousarray(self.contexts, dtype="<i4")
        digest = hashlib.sha256(repr(contexts.shape).encode())
        digest.update(contexts.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class TextSplit:
    """Both parts of a corpus; no text is in both."""

    training: PackedText
    evaluation: PackedText


def part_of(digest: str, seed: int, evaluation_share: float) -> str:
    """Return the part of a document, by a hash of the seed and of its text's hash."""
    drawn = hashlib.sha256(f"split:{seed}:{digest}".encode()).digest()
    return EVALUATION if int.from_bytes(drawn[:8]) < evaluation_share * 2**64 else TRAINING


def pack(
    corpus: Corpus,
    tokenise: Tokenise,
    bos: int | None,
    settings: PackingSettings | None = None,
) -> TextSplit:
    """Split a corpus by document and pack both parts into contexts.

    Parameters
    ----------
    corpus : Corpus
        What to read.
    tokenise : callable
        Gives the token ids of each of several texts, without special tokens.
    bos : int or None
        The token that opens each context, counted in its length; None for none.
    settings : PackingSettings, optional
        Length, split, order and how much.

    Returns
    -------
    TextSplit
        The contexts of a part are in a random order of the seed's, over all documents that
        were read, before those beyond what is wanted are cut off.

    Raises
    ------
    InputError
        If a source cannot be read, or a part has no context, or fewer than wanted.
    """
    settings = settings or PackingSettings()
    wanted = {part: settings.wanted(part) for part in PARTS}
    read = _read(corpus, tokenise, bos, settings, wanted)
    return TextSplit(
        *(_packed(corpus.name, part, read[part], settings, wanted[part]) for part in PARTS)
    )


def packed_part(
    corpus: Corpus,
    tokenise: Tokenise,
    bos: int | None,
    part: str = WHOLE,
    context: int = 128,
    tokens: int | None = None,
) -> PackedText:
    """Return one part of a corpus as contexts.

    Parameters
    ----------
    corpus : Corpus
        What to read.
    tokenise, bos
        As in `pack`.
    part : {"whole", "training", "evaluation"}
        The latter two are those of `pack` under its default seed and share, which `run` trains
        on and holds out. The whole has no held-out part, so that one document is enough.
    context : int
        Tokens of a context, at least 2.
    tokens : int, optional
        Positions to keep, counted and rounded as in `PackingSettings`. A whole that has fewer
        is taken as it is.

    Raises
    ------
    InputError
        If the corpus is endless and `tokens` is not given, a source cannot be read, or there is
        no context, or in a part of a split fewer than wanted.
    """
    check_choice("part", part, READABLE)
    if corpus.endless and tokens is None:
        raise InputError(f"corpus {corpus.name!r} is read until there is enough: expected --tokens")
    settings = PackingSettings(context, training_tokens=tokens)
    # Of the other part of a split nothing is taken; an endless corpus is read until it has begun.
    least = {} if part == WHOLE else dict.fromkeys(PARTS, 1)
    wanted = {**least, part: settings.wanted(TRAINING)}
    read = _read(corpus, tokenise, bos, settings, wanted)
    return _packed(corpus.name, part, read[part], settings, wanted[part])


class _Part:
    """A part of a corpus while it is read."""

    def __init__(self, settings: PackingSettings, bos: int | None) -> None:
        self.opening = [] if bos is None else [bos]
        self.length = settings.context - len(self.opening)
        self.contexts: list[np.ndarray] = []
        self.document: list[int] = []
        self.start: list[int] = []
        self.names: list[str] = []
        self.digests: list[str] = []
        self.n_tokens = self.n_duplicates = 0

    def add(self, name: str, digest: str, ids: list[int]) -> None:
        """Cut a document's tokens into whole contexts."""
        for start in range(0, len(ids) - self.length + 1, self.length):
            piece = [*self.opening, *ids[start : start + self.length]]
            self.contexts.append(np.asarray(piece, dtype=np.int32))
            self.document.append(len(self.names))
            self.start.append(start)
        self.names.append(name)
        self.digests.append(digest)
        self.n_tokens += len(ids)

    def has(self, wanted: int | None) -> bool:
        """Return whether there are as many contexts as wanted; never when that is all."""
        return wanted is not None and len(self.contexts) >= wanted


def _read(
    corpus: Corpus,
    tokenise: Tokenise,
    bos: int | None,
    settings: PackingSettings,
    wanted: Mapping[str, int | None],
) -> dict[str, _Part]:
    """Return the parts that contexts are wanted of: the whole, or both of a split."""
    parts = {part: _Part(settings, bos) for part in wanted}
    whole = WHOLE in parts
    seen: set[str] = set()
    # How far an endless corpus is read decides the order of its contexts: a whole to the
    # document that is enough, a split to the end of that document's chunk.
    stride = 1 if whole else _DOCUMENTS_AT_ONCE
    documents = chain.from_iterable(source.documents() for source in corpus.sources)
    n_documents = 0
    while chunk := list(islice(documents, _DOCUMENTS_AT_ONCE)):
        for document, ids in zip(chunk, tokenise([one.text for one in chunk]), strict=True):
            digest = document.digest
            split = part_of(digest, settings.seed, settings.evaluation_share)
            part = parts[WHOLE if whole else split]
            if digest in seen:
                part.n_duplicates += 1
            else:
                seen.add(digest)
                part.add(document.name, digest, ids)
            n_documents += 1
            may_end = corpus.endless and n_documents % stride == 0
            if may_end and all(parts[name].has(wanted[name]) for name in parts):
                return parts
    return parts


def _packed(
    corpus: str, part: str, read: _Part, settings: PackingSettings, wanted: int | None
) -> PackedText:
    found = len(read.contexts)
    if part == WHOLE and not found:
        raise InputError(
            f"corpus {corpus!r} has no document of {read.length} tokens: expected one at least,"
            " or a smaller --context"
        )
    if part != WHOLE and found < (wanted or 1):
        raise InputError(
            f"corpus {corpus!r} has {found} contexts of {settings.context} tokens in its "
            f"{part} part: expected at least {wanted or 1}"
        )
    stream = generator(settings.seed, Axis.DATA_ORDER, int(part == EVALUATION))
    order = stream.permutation(found)[:wanted]
    return PackedText(
        corpus=corpus,
        part=part,
        contexts=np.stack([read.contexts[i] for i in order]),
        document=np.asarray(read.document, dtype=np.int32)[order],
        start=np.asarray(read.start, dtype=np.int32)[order],
        names=tuple(read.names),
        opened=bool(read.opening),
        text_hash=hashlib.sha256("".join(sorted(read.digests)).encode()).hexdigest(),
        n_tokens=read.n_tokens,
        n_left_out=read.n_tokens - order.size * read.length,
        n_duplicates=read.n_duplicates,
    )
