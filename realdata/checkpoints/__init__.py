"""Checkpoints of sparse autoencoders, from any of the field's libraries, in one form."""

from collections.abc import Mapping
from types import MappingProxyType

from realdata.checkpoints import (
    array,
    dictionary_learning,
    gemma_scope,
    gemma_scope_2,
    llama_scope,
    openai,
    ours,
    saelens,
    sparsify,
)
from realdata.checkpoints.form import SparseAutoencoder, StoredDictionary
from realdata.checkpoints.format import Format, Source
from realdata.checkpoints.locations import locate, recognise

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        format_.name: format_
        for format_ in (
            saelens.FORMAT,
            dictionary_learning.FORMAT,
            sparsify.FORMAT,
            gemma_scope.FORMAT,
            gemma_scope_2.FORMAT,
            llama_scope.FORMAT,
            ours.FORMAT,
            openai.FORMAT,
            array.NPY,
            array.SAFETENSORS,
        )
    }
)


def load(location: str, revision: str | None = None) -> SparseAutoencoder:
    """Return the sparse autoencoder at a location, whichever library wrote it.

    Parameters
    ----------
    location : str
        A local folder or file, or a hub id "owner/name" with an optional "/subfolder".
    revision : str, optional
        Branch, tag or commit on the hub.

    Returns
    -------
    SparseAutoencoder
        It computes latents and reconstructions as that library does at inference.

    Raises
    ------
    InputError
        If nothing is there, no format or several recognise the files, or the checkpoint
        cannot be used.
    """
    format_, source = _found(location, revision)
    return format_.read(source)


def load_dictionary(location: str, revision: str | None = None) -> StoredDictionary:
    """Return the decoder of the checkpoint at a location, whichever library wrote it.

    It looks at nothing that only latents need: a checkpoint whose encoder is unknown, or whose
    k or threshold is missing, has a dictionary all the same.

    Parameters
    ----------
    location, revision : str, str or None
        See `load`.

    Returns
    -------
    StoredDictionary
        Its rows are those of the `SparseAutoencoder` that `load` returns, each up to a positive
        factor.

    Raises
    ------
    InputError
        If nothing is there, no format or several recognise the files, or the decoder is damaged
        or is not one matrix.
    """
    format_, source = _found(location, revision)
    return format_.dictionary(source)


def _found(location: str, revision: str | None) -> tuple[Format, Source]:
    formats = FORMATS.values()
    source = locate(location, revision, [name for format_ in formats for name in format_.files])
    return recognise(source, formats), source
