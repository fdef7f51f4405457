"""The latents of SAEs on one text, whose activations a store holds or a model computes.

Of those that a model computes none is kept, but for the active latents.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32

from osae_theory.errors import InputError
from realdata.activations.rule import CollectionSettings, activation_batches, calibrate, kept_rows
from realdata.activations.store import ActivationStore
from realdata.checkpoints.form import CHUNK, SparseAutoencoder
from realdata.latents.contexts import SearchedText
from realdata.latents.sparse import SparseLatents, sparse
from realdata.models.language import LanguageModel
from realdata.text.packing import PackedText

DecodeToken = Callable[[int], str]


@dataclass(frozen=True, eq=False)
class LatentsOnText:
    """What SAEs make of one text.

    Attributes
    ----------
    text : SearchedText
        Where the activations come from.
    latents : sequence of sequence of SparseLatents
        Of each SAE, in the order of the text's samples.
    decode_token : callable
        Gives the text of a token id.
    model, hook : str
        What was read, and where.
    corpus, corpus_hash : str
        The text's name, with its part, and its hash.
    """

    text: SearchedText
    latents: Sequence[Sequence[SparseLatents]]
    decode_token: DecodeToken
    model: str
    hook: str
    corpus: str
    corpus_hash: str


def latents_on_store(
    store: ActivationStore, autoencoders: Mapping[str, SparseAutoencoder]
) -> LatentsOnText:
    """Return the latents of SAEs on a collection of activations.

    Raises
    ------
    InputError
        If an SAE has another width than the activations, or the store has no text.
    """
    manifest = store.manifest
    check_width(autoencoders, store.d, f"the activations in {store.folder}")
    text = SearchedText.of(store)
    latents: list[list[SparseLatents]] = [[] for _ in autoencoders]
    for x in store.chunks(raw=True):
        _encode(x, autoencoders, latents)
    return LatentsOnText(
        text=text,
        latents=latents,
        decode_token=store.token_text,
        model=manifest["model"],
        hook=manifest["hook"],
        corpus=f"{manifest['text']['corpus']} ({manifest['text']['part']})",
        corpus_hash=manifest["text"]["text_hash"],
    )


def latents_on_text(
    model: LanguageModel,
    text: PackedText,
    autoencoders: Mapping[str, SparseAutoencoder],
    settings: CollectionSettings | None = None,
    *,
    progress: bool = True,
) -> LatentsOnText:
    """Return the latents of SAEs on a text, read by a model once and not stored.

    Which positions are left out follows the rule of a collection of the same text
    (`realdata.activations.rule`).

    Parameters
    ----------
    model : LanguageModel
        At the hook point that the SAEs are of.
    text : PackedText
        The contexts.
    autoencoders : mapping of str to SparseAutoencoder
        By label.
    settings : CollectionSettings, optional
        Contexts at once, and the rule's numbers.
    progress : bool
        Show a bar on standard error.

    Raises
    ------
    InputError
        If an SAE has another width than the model, or the model gives NaN or Inf.
    """
    from tqdm import tqdm

    settings = settings or CollectionSettings()
    check_width(autoencoders, model.d, f"{model.name} at {model.hook}")
    limit = calibrate(model, text, settings).norm_limit
    latents: list[list[SparseLatents]] = [[] for _ in autoencoders]
    keep = np.zeros(text.contexts.shape, dtype=bool)
    at = 0
    bar = tqdm(
        total=len(text.contexts),
        desc=f"{model.name} {text.corpus}",
        unit="context",
        file=sys.stderr,
        disable=not progress,
    )
    with bar:
        for x in activation_batches(model, text.contexts, settings.batch):
            kept = keep[at : at + len(x)] = kept_rows(x, limit)
            _encode(x[kept], autoencoders, latents)
            at += len(x)
            bar.update(len(x))
    context, position = np.nonzero(keep)
    return LatentsOnText(
        text=SearchedText(
            contexts=text.contexts,
            documents=text.document,
            context=context,
            position=position,
            opened=text.opened,
            names=text.names,
        ),
        latents=latents,
        decode_token=lambda token: model.decode([token]),
        model=model.name,
        hook=model.hook,
        corpus=f"{text.corpus} ({text.part})",
        corpus_hash=text.text_hash,
    )


def check_width(autoencoders: Mapping[str, SparseAutoencoder], d: int, whose: str) -> None:
    """Raise InputError unless all SAEs, by label, take activations of width d."""
    for label, own in autoencoders.items():
        if own.d != d:
            raise InputError(
                f"{label} takes activations of width {own.d}: expected {d}, the width of {whose}"
            )


def _encode(
    x: Float32[np.ndarray, "n d"],
    autoencoders: Mapping[str, SparseAutoencoder],
    latents: Sequence[list[SparseLatents]],
) -> None:
    """Add the latents of some activations to those of each SAE."""
    for start in range(0, len(x), CHUNK):
        part = torch.from_numpy(np.ascontiguousarray(x[start : start + CHUNK]))
        for own, made in zip(autoencoders.values(), latents, strict=True):
            made.append(sparse(own.encode(part).numpy()))
