"""The part of a corpus that a command reads: one of a split's, or the whole without a split."""

import hashlib
from collections.abc import Iterator
from itertools import chain, islice

import numpy as np

from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.seeds import Axis, generator
from realdata.text.corpora import Corpus
from realdata.text.packing import (
    EVALUATION,
    PARTS,
    TRAINING,
    PackedText,
    PackingSettings,
    Tokenise,
    pack,
)
from realdata.text.sources import Document

WHOLE = "whole"
READABLE = (WHOLE, *PARTS)
_DOCUMENTS_AT_ONCE = 64


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
        As in `realdata.text.packing.pack`.
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
    if part == WHOLE:
        return _whole(corpus, tokenise, bos, PackingSettings(context, training_tokens=tokens))
    # Of the other part nothing is wanted, and of an endless corpus one context is the least.
    other = 1 if corpus.endless else None
    wanted = {TRAINING: other, EVALUATION: other, part: tokens}
    settings = PackingSettings(
        context, training_tokens=wanted[TRAINING], evaluation_tokens=wanted[EVALUATION]
    )
    return getattr(pack(corpus, tokenise, bos, settings), part)


def _whole(
    corpus: Corpus, tokenise: Tokenise, bos: int | None, settings: PackingSettings
) -> PackedText:
    opening = [] if bos is None else [bos]
    length = settings.context - len(opening)
    check_integer("context", settings.context, 1 + len(opening))
    wanted = settings.wanted(TRAINING)
    contexts, document, start = [], [], []
    names: list[str] = []
    digests: dict[str, None] = {}
    n_tokens = n_duplicates = 0
    for one, ids in _tokenised(corpus, tokenise):
        if one.digest in digests:
            n_duplicates += 1
            continue
        for first in range(0, len(ids) - length + 1, length):
            contexts.append(np.asarray([*opening, *ids[first : first + length]], dtype=np.int32))
            document.append(len(names))
            start.append(first)
        names.append(one.name)
        digests[one.digest] = None
        n_tokens += len(ids)
        if corpus.endless and wanted is not None and len(contexts) >= wanted:
            break
    if not contexts:
        raise InputError(
            f"corpus {corpus.name!r} has no document of {length} tokens: expected one at least,"
            " or a smaller --context"
        )
    order = generator(settings.seed, Axis.DATA_ORDER).permutation(len(contexts))[:wanted]
    return PackedText(
        corpus=corpus.name,
        part=WHOLE,
        contexts=np.stack([contexts[i] for i in order]),
        document=np.asarray(document, dtype=np.int32)[order],
        start=np.asarray(start, dtype=np.int32)[order],
        names=tuple(names),
        opened=bool(opening),
        text_hash=hashlib.sha256("".join(sorted(digests)).encode()).hexdigest(),
        n_tokens=n_tokens,
        n_left_out=n_tokens - order.size * length,
        n_duplicates=n_duplicates,
    )


def _tokenised(corpus: Corpus, tokenise: Tokenise) -> Iterator[tuple[Document, list[int]]]:
    documents = chain.from_iterable(source.documents() for source in corpus.sources)
    while chunk := list(islice(documents, _DOCUMENTS_AT_ONCE)):
        yield from zip(chunk, tokenise([one.text for one in chunk]), strict=True)
