"""The page of two given checkpoints: their latents side by side, on a text that a model reads.

Activations come from a store, or from a language model as they are needed: then none is kept,
but for the active latents.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32

from osae_theory.errors import InputError
from osae_theory.metrics import chance_stability
from realdata.activations.rule import CollectionSettings, activation_batches, calibrate, kept_rows
from realdata.activations.store import ActivationStore
from realdata.checkpoints.form import CHUNK, SparseAutoencoder
from realdata.latents.contexts import SearchedText
from realdata.latents.sparse import SparseLatents, sparse
from realdata.models.language import LanguageModel
from realdata.models.sources import MODELS
from realdata.report.page import DecodeToken, PageHeader, PageSettings, Side, render
from realdata.text.packing import PackedText

# From here on a draw of unrelated dictionaries takes seconds to match.
_MOST_ATOMS_OF_CHANCE = 2048
_CHANCE_DRAWS = 4


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
    _check_width(autoencoders, store.d, f"the activations in {store.folder}")
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
    _check_width(autoencoders, model.d, f"{model.name} at {model.hook}")
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


def checkpoint_page(
    found: LatentsOnText,
    autoencoders: Mapping[str, SparseAutoencoder],
    settings: PageSettings | None = None,
) -> str:
    """Return the page of two SAEs whose latents on a text are known.

    Parameters
    ----------
    found : LatentsOnText
        Of both, in their order.
    autoencoders : mapping of str to SparseAutoencoder
        The two, by label.
    settings : PageSettings, optional
        How many latents and snippets.

    Raises
    ------
    InputError
        As `check_pair`, and as `realdata.report.page.render`.
    """
    check_pair(autoencoders)
    left, right = (
        Side(label, _contributions(own), latents)
        for (label, own), latents in zip(autoencoders.items(), found.latents, strict=True)
    )
    K, d = left.decoder.shape
    chance = (
        chance_stability(d, K, n_draws=_CHANCE_DRAWS).mean if K <= _MOST_ATOMS_OF_CHANCE else None
    )
    header = PageHeader(
        model=found.model,
        hook_point=found.hook,
        method=" and ".join(dict.fromkeys(own.architecture for own in autoencoders.values())),
        corpus=found.corpus,
        corpus_hash=found.corpus_hash,
        dequantised=found.model in MODELS and "dequantised" in MODELS[found.model].note,
        chance=chance,
    )
    return render(left, right, found.text, found.decode_token, header, settings)


def check_pair(autoencoders: Mapping[str, SparseAutoencoder]) -> None:
    """Raise InputError unless both SAEs have as many latents: they are matched one to one."""
    (first, left), (second, right) = autoencoders.items()
    if left.K != right.K:
        raise InputError(
            f"{second} has {right.K} latents: expected {left.K}, as {first}, for each latent to"
            " stand beside one"
        )


def elsewhere(own: SparseAutoencoder, model: str, hook: str) -> str | None:
    """Return what a checkpoint says of its model and hook point where that is not this one."""
    said = (own.metadata.get("model"), own.metadata.get("hook"))
    different = any(
        isinstance(one, str) and one != known
        for one, known in zip(said, (model, hook), strict=True)
    )
    return f"{said[0] or 'its model'} at {said[1] or 'its hook point'}" if different else None


def _check_width(autoencoders: Mapping[str, SparseAutoencoder], d: int, whose: str) -> None:
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


def _contributions(own: SparseAutoencoder) -> Float[np.ndarray, "K d"]:
    """Return what one unit of each latent adds to a reconstruction, so that energies are its."""
    rows = own.decoder.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    lengths = np.sqrt(own.unit_energies)
    return rows * np.divide(lengths, norms, out=np.zeros_like(norms), where=norms > 0)[:, None]
