"""Activations as they are needed, by the rule of `realdata.activations.rule`, without a store."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from osae_theory.errors import InputError
from realdata.activations.blocks import check_block
from realdata.activations.collection import check_fitted_on
from realdata.activations.rounding import Rounded, restored
from realdata.activations.rule import Calibration, CollectionSettings, kept_activations
from realdata.activations.standardisation import Standardisation
from realdata.activations.store import ActivationStore
from realdata.models.language import LanguageModel
from realdata.models.loading import load
from realdata.text.corpora import Corpus, find_corpus
from realdata.text.packing import PackedText, packed_part


@dataclass(frozen=True, eq=False)
class ActivationStream:
    """The blocks of a text's activations, each computed when it is read and never stored.

    They hold the bits that a store of the text would hold, rounded by shard as there.

    Attributes
    ----------
    model, text, settings : as given to `stream`
    calibration, standardisation : Calibration, Standardisation
        As those of the store that was given to `stream`.
    size : int
        Contexts of a block.
    """

    model: LanguageModel
    text: PackedText
    settings: CollectionSettings
    calibration: Calibration
    standardisation: Standardisation
    size: int

    @property
    def n(self) -> int:
        """How many blocks there are."""
        return -(-len(self.text.contexts) // self.size)

    @property
    def d(self) -> int:
        """The width of an activation."""
        return self.model.d

    def read(self, number: int) -> Float32[np.ndarray, "rows d"]:
        """Return the activations of a block, from 0 to n - 1, in their order.

        Raises
        ------
        InputError
            If the model gives activations that are not finite.
        """
        first = number * self.size
        end = min(first + self.size, len(self.text.contexts))
        starts = range(first, end, self.settings.shard)
        return np.concatenate([self._shard(start, end) for start in starts])

    def _shard(self, start: int, end: int) -> Float32[np.ndarray, "rows d"]:
        contexts = self.text.contexts[start : min(start + self.settings.shard, end)]
        x, _ = kept_activations(self.model, contexts, self.settings.batch, self.calibration)
        centre = self.calibration.centre
        stored = Rounded.of(x, centre, self.settings.precision).values
        return self.standardisation.apply(restored(stored, centre))


def stream_like(
    store: ActivationStore,
    size: int,
    *,
    tokens: int | None = None,
    device: str = "cpu",
    corpus: Corpus | None = None,
    model: LanguageModel | None = None,
) -> ActivationStream:
    """Return a stream of the text that a store is a part of: its contexts, and those after them.

    Parameters
    ----------
    store : ActivationStore
        Of the training part of a corpus, or of the whole. It names model, hook point, corpus,
        part and length of a context; norm limit and standardisation are the store's.
    size : int
        As in `stream`.
    tokens : int, optional
        Positions of the text, counted as in `realdata.text.packing.packed_part`; by default
        those of the store, where an endless corpus ends too.
    device : str
        Of the model.
    corpus, model : optional
        In place of those of the registries.

    Raises
    ------
    InputError
        As in `stream`; if the store is not of a text or of an evaluation part, or the text is
        not the one that it was collected from.
    """
    check_block(size, store.settings.shard)
    store.check_for_training()
    named = store.manifest["text"]
    corpus = corpus or find_corpus(named["corpus"])
    model = model or load(store.manifest["model"], hook=store.manifest["hook"], device=device)
    n, context = store.contexts.shape
    wanted = n * (context - 1) if tokens is None else tokens
    text = packed_part(corpus, model.tokenise, model.bos, named["part"], context, wanted)
    # An endless corpus is read as far as it is needed, and its order depends on that.
    both = min(n, len(text.contexts))
    same = np.array_equal(text.contexts[:both], store.contexts[:both])
    if not (same or (corpus.endless and tokens is not None)):
        otherwise = ", or more of it was read: expected --tokens" if corpus.endless else ""
        raise InputError(
            f"{store.folder}: expected its text, but {corpus.name} has changed since{otherwise}"
        )
    return stream(model, text, store, size)


def stream(
    model: LanguageModel, text: PackedText, fitted_on: ActivationStore, size: int
) -> ActivationStream:
    """Return the activations of a text as blocks that are not stored.

    Parameters
    ----------
    model : LanguageModel
        The model at its hook point.
    text : PackedText
        The contexts.
    fitted_on : ActivationStore
        A collection, of a part of the text or of another, whose settings, norm limit and
        standardisation are used.
    size : int
        Contexts of a block: a multiple of the contexts of a shard.

    Raises
    ------
    InputError
        If `size` is no such multiple, or `fitted_on` is of another model.
    """
    settings = fitted_on.settings
    check_block(size, settings.shard)
    check_fitted_on(fitted_on, model)
    return ActivationStream(
        model, text, settings, fitted_on.calibration, fitted_on.standardisation, size
    )
