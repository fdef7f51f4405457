"""Llama Scope's checkpoints: hyperparams.json and checkpoints/final.safetensors.

They are of OpenMOSS's library at the time of the release. Its loader brings the weights to the
activations as they are: with f = sqrt(d) / their average norm (`dataset_average_activation_norm`,
one for the input and one for what is predicted) biases are divided by f and the decoder is
multiplied by f_in / f_out; then, with `sparsity_include_decoder_norm`, decoder norms move into the
encoder. Latents and the one threshold of all of them are in the units that this gives.

References
----------
He et al. (2024), arXiv 2410.20526; github.com/OpenMOSS/Language-Model-SAEs, commit 47a0fb00,
modules `sae` and `config`; SAELens 6.54, llama_scope_sae_huggingface_loader, whose latents are
f_in times these.
"""

from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from osae_theory.errors import InputError, check_real, shown
from realdata.checkpoints.contents import Config, Tensors, positive
from realdata.checkpoints.files import read_json, read_safetensors
from realdata.checkpoints.form import (
    Activation,
    JumpReLU,
    ReLU,
    SparseAutoencoder,
    StoredDictionary,
    TopK,
)
from realdata.checkpoints.format import Format, Source

WEIGHTS = "checkpoints/final.safetensors"
CONFIG = "hyperparams.json"
_NORMS = "dataset_average_activation_norm"
_NORMALISATIONS = ("none", "inference", "dataset-wise")


def read(source: Source) -> SparseAutoencoder:
    """Return the autoencoder or transcoder of a folder, as its own library's loader gives it.

    Raises
    ------
    InputError
        If the files are damaged or disagree with each other, or the configuration asks for what
        the release does not (norms of single activations or batches, a gated linear encoder).
    """
    config, tensors = _content(source)
    d, K = config.whole("d_model"), config.whole("d_sae")
    if config.flag("use_glu_encoder", False):
        raise InputError(f"use_glu_encoder = true in {config.path}: expected false")
    with_bias = config.flag("use_decoder_bias", True)
    names = ("encoder.weight", "encoder.bias", "decoder.weight")
    tensors.check_no_others((*names, "decoder.bias") if with_bias else names)
    scaling = config.choice("norm_activation", _NORMALISATIONS)
    entered, left = _factors(config, d) if scaling == "dataset-wise" else (1.0, 1.0)
    encoder = tensors.take("encoder.weight", (K, d)).T
    encoder_bias = tensors.take("encoder.bias", (K,)) / entered
    rows = tensors.take("decoder.weight", (d, K)).T * (entered / left)
    bias = tensors.take("decoder.bias", (d,)) / left if with_bias else torch.zeros(d)
    if config.flag("sparsity_include_decoder_norm", True):
        norms = rows.norm(dim=1)
        encoder, encoder_bias, rows = encoder * norms, encoder_bias * norms, rows / norms[:, None]
    _check_scaled(tensors, encoder, encoder_bias, rows, bias)
    subtracts = with_bias and config.flag("apply_decoder_bias_to_pre_encoder", True)
    activation = _activation(config, K)
    return SparseAutoencoder(
        architecture="jumprelu" if isinstance(activation, JumpReLU) else str(config.get("act_fn")),
        encoder=encoder,
        encoder_bias=encoder_bias,
        decoder_rows=rows,
        decoder_bias=bias,
        activation=activation,
        input_offset=bias if subtracts else None,
        metadata=_metadata(config),
    )


def dictionary(source: Source) -> StoredDictionary:
    """Return the decoder of a folder, up to a positive factor of each row.

    Raises
    ------
    InputError
        If the files are damaged, or the decoder is missing or not as wide as the configuration
        says.
    """
    config, tensors = _content(source)
    d, K = tensors.shape("decoder.weight")
    config.agree(d_model=d, d_sae=K)
    return StoredDictionary(
        architecture=str(config.get("act_fn") or "unknown"),
        decoder_rows=tensors.take("decoder.weight", (d, K)).T.contiguous(),
        metadata=_metadata(config),
    )


def _content(source: Source) -> tuple[Config, Tensors]:
    config_path, path = source.folder / CONFIG, source.find(WEIGHTS)
    return Config(read_json(config_path), config_path), Tensors(read_safetensors(path), path)


def _factors(config: Config, d: int) -> tuple[float, float]:
    """Return what activations, entering and leaving, are multiplied by in training."""
    norms = config.get(_NORMS)
    if not isinstance(norms, dict):
        raise InputError(
            f"{_NORMS} = {shown(norms)} in {config.path}: expected an object with in and out"
        )
    sides = (
        positive(f"{_NORMS}.{side} in {config.path}", norms.get(side), torch.float32)
        for side in ("in", "out")
    )
    entered, left = (d**0.5 / norm for norm in sides)
    return entered, left


def _activation(config: Config, K: int) -> Activation:
    # Where a threshold is known the library takes top-k for JumpReLU.
    name = config.choice("act_fn", ("relu", "topk", "jumprelu"))
    threshold = config.get("jump_relu_threshold")
    if name == "jumprelu" or (name == "topk" and threshold not in (None, 0, 0.0)):
        largest = torch.finfo(torch.float32).max
        named = f"jump_relu_threshold in {config.path}"
        check_real(named, threshold, at_least=0, at_most=largest)
        return JumpReLU(torch.full((K,), float(threshold)))
    return TopK(config.whole("top_k", maximum=K)) if name == "topk" else ReLU()


def _check_scaled(tensors: Tensors, *scaled: Tensor) -> None:
    if not all(bool(torch.isfinite(part).all()) for part in scaled):
        raise InputError(
            f"{tensors.path} has decoder norms that are 0, or numbers that are too large once they "
            "are scaled: expected numbers that fit float32"
        )


def _metadata(config: Config) -> MappingProxyType[str, Any]:
    names = {"hook": "hook_point_in", "k": "top_k"}
    entered, left = config.get("hook_point_in"), config.get("hook_point_out")
    transcoder = {"transcoder": left not in (None, entered)}
    return MappingProxyType({"format": FORMAT.name, **config.plain(names), **transcoder})


FORMAT = Format("llama_scope", WEIGHTS, CONFIG, read, dictionary)
