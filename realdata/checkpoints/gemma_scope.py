"""Gemma Scope's own checkpoints: params.npz of a JumpReLU autoencoder or transcoder.

Its arrays do not say which: a transcoder is one whose path says `transcoder`. Nothing is
subtracted from the input. Those of the embedding layer were trained on embeddings times sqrt(d)
and stored so: they are brought back to the activations of the model, as SAELens does, where the
path says `embedding`.

References
----------
Lieberum et al. (2024), arXiv 2408.05147; SAELens 6.54, gemma_2_sae_huggingface_loader and
gemma_2_transcoder_huggingface_loader.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as brief
from types import MappingProxyType
from typing import Any

import torch

from osae_theory.errors import InputError
from realdata.checkpoints.contents import Tensors
from realdata.checkpoints.files import read_npz
from realdata.checkpoints.form import JumpReLU, SparseAutoencoder, StoredDictionary
from realdata.checkpoints.format import Format, Source

WEIGHTS = "params.npz"
# Sides of each array: an activation's width, the number of latents.
_SIDES = MappingProxyType(
    {
        "W_enc": "dK",
        "W_dec": "Kd",
        "b_enc": "K",
        "b_dec": "d",
        "threshold": "K",
        "scaling_factor": "K",
    }
)
_HOOKS = MappingProxyType(
    {
        "res": "hook_resid_post",
        "mlp": "hook_mlp_out",
        "att": "attn.hook_z",
        "transcoders": "ln2.hook_normalized",
    }
)
_REPOSITORY = re.compile(r"gemma-scope-(2b|9b|27b)-(pt|it)-(res|mlp|att|transcoders)")


def read(source: Source) -> SparseAutoencoder:
    """Return the autoencoder of a params.npz.

    Raises
    ------
    InputError
        If the archive is damaged, holds objects, or its arrays are missing, misshaped or
        not finite.
    """
    path = source.find(WEIGHTS)
    arrays = read_npz(path, lambda shapes: _check_shapes(_renamed(shapes, path), path))
    tensors = Tensors(_renamed(arrays, path), path)
    d, K = tensors.shape("W_enc")
    if "scaling_factor" in tensors:
        factors = tensors.take("scaling_factor", (K,))
        if not torch.allclose(factors, torch.ones_like(factors)):
            raise InputError(f"scaling_factor in {path} is not 1 throughout: expected none")
    encoder, rows = tensors.take("W_enc", (d, K)), tensors.take("W_dec", (K, d))
    embedding = _is_embedding(source)
    return SparseAutoencoder(
        architecture="jumprelu",
        encoder=encoder / d**0.5 if embedding else encoder,
        encoder_bias=tensors.take("b_enc", (K,)),
        decoder_rows=rows * d**0.5 if embedding else rows,
        decoder_bias=tensors.take("b_dec", (d,)),
        activation=JumpReLU(tensors.take("threshold", (K,))),
        metadata=_metadata(source, embedding),
    )


def dictionary(source: Source) -> StoredDictionary:
    """Return the decoder of a params.npz.

    Raises
    ------
    InputError
        If the archive is damaged or holds objects, or the decoder is missing, misshaped or not
        finite.
    """
    path = source.find(WEIGHTS)
    tensors = Tensors(_renamed(read_npz(path, names=("W_dec", "w_dec")), path), path)
    rows = tensors.take("W_dec", tensors.shape("W_dec"))
    embedding = _is_embedding(source)
    return StoredDictionary(
        architecture="jumprelu",
        decoder_rows=rows * rows.shape[1] ** 0.5 if embedding else rows,
        metadata=_metadata(source, embedding),
    )


FORMAT = Format("gemma_scope", WEIGHTS, None, read, dictionary)


def _check_shapes(shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Raise InputError unless there are only known arrays, of the widths of the encoder."""
    encoder = shapes.get("W_enc", ())
    if len(encoder) != 2 or 0 in encoder:
        raise InputError(
            f"W_enc in {path} has shape {encoder}: expected a matrix that is not empty"
        )
    widths = dict(zip("dK", encoder, strict=True))
    for name, shape in shapes.items():
        if name not in _SIDES:
            raise InputError(f"{path} holds {brief(name)}: expected only {', '.join(_SIDES)}")
        expected = tuple(widths[side] for side in _SIDES[name])
        if shape != expected:
            raise InputError(f"{name} in {path} has shape {shape}: expected {expected}")


def _renamed(tensors: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return tensors with W_ for w_, which some releases write."""
    renamed = {re.sub("^w_", "W_", name): value for name, value in tensors.items()}
    if len(renamed) != len(tensors):
        raise InputError(f"{path} has a tensor twice, as W_ and as w_: expected each once")
    return renamed


def _parts(source: Source) -> tuple[str, ...]:
    """Return the folders a checkpoint lies in, outermost first."""
    return Path(source.folder).parts


def _is_embedding(source: Source) -> bool:
    """Say whether the innermost of the folders `embedding` and `layer_...` is the former."""
    kinds = [part for part in _parts(source) if part == "embedding" or part.startswith("layer_")]
    return bool(kinds) and kinds[-1] == "embedding"


def _metadata(source: Source, embedding: bool) -> Mapping[str, Any]:
    """Return the model and hook point, where the path is the repository's."""
    known: dict[str, Any] = {"format": FORMAT.name}
    path = "/".join((source.location, *_parts(source)))
    repository = _REPOSITORY.search(path)
    layers = re.findall(r"(?:^|/)layer_(\d+)(?=/|$)", path)
    if repository:
        size, kind, site = repository.groups()
        known["model"] = f"google/gemma-2-{size}" + ("-it" if kind == "it" else "")
        if embedding:
            known["hook"] = "hook_embed"
        elif layers:
            known["hook"] = f"blocks.{layers[-1]}.{_HOOKS[site]}"
    if "transcoder" in path:
        known["transcoder"] = True
    return MappingProxyType(known)
