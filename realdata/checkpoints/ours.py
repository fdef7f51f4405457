"""Checkpoints of the top-m autoencoders trained here, in the internal form.

The format is `osae_theory.sae.checkpoint`: sae.safetensors and config.json.
"""

from dataclasses import fields
from types import MappingProxyType

import torch

from osae_theory.errors import InputError
from osae_theory.sae.checkpoint import (
    ACTIVATIONS,
    CONFIG,
    ORDERS,
    SCHEMA,
    WEIGHTS,
    Origin,
    TopMCheckpoint,
    known_of,
    write_checkpoint,
)
from realdata.checkpoints.contents import Config, Tensors
from realdata.checkpoints.files import read_json, read_safetensors
from realdata.checkpoints.form import (
    Activation,
    JumpReLU,
    SparseAutoencoder,
    Standardisation,
    StoredDictionary,
    TopM,
)
from realdata.checkpoints.format import Format, Source

__all__ = ["FORMAT", "Origin", "TopMCheckpoint", "form_of", "read", "read_ours", "write_ours"]

write_ours = write_checkpoint


def form_of(checkpoint: TopMCheckpoint) -> SparseAutoencoder:
    """Return the autoencoder in the internal form."""
    activation: Activation = (
        TopM(checkpoint.m, checkpoint.activation)
        if checkpoint.threshold is None
        else JumpReLU(checkpoint.threshold)
    )
    return SparseAutoencoder(
        architecture=checkpoint.origin.method,
        encoder=checkpoint.encoder,
        encoder_bias=checkpoint.encoder_bias,
        decoder_rows=checkpoint.decoder,
        decoder_bias=checkpoint.decoder_bias,
        activation=activation,
        input_offset=checkpoint.decoder_bias,
        normalisation=Standardisation(checkpoint.input_mean, checkpoint.input_scale),
        metadata=MappingProxyType(
            {"format": "ours", "k": checkpoint.m, **known_of(checkpoint.origin)}
        ),
    )


def read_ours(source: Source) -> TopMCheckpoint:
    """Return the checkpoint in a folder that `write_checkpoint` made.

    Raises
    ------
    InputError
        If the configuration or the tensors are missing, damaged, of another schema or do
        not fit together.
    """
    path = source.folder / CONFIG
    config = Config(read_json(path), path)
    if config.whole("schema") != SCHEMA:
        raise InputError(f"schema = {config.get('schema')} in {path}: expected {SCHEMA}")
    tensors = _tensors(source)
    d, K = tensors.shape("encoder")
    config.expect("d", d)
    config.expect("K", K)
    shapes = {
        "encoder": (d, K),
        "encoder_bias": (K,),
        "decoder": (K, d),
        "decoder_bias": (d,),
        "input_mean": (d,),
        "input_scale": (d,),
    }
    activation = config.choice("activation", ACTIVATIONS)
    if activation == "jumprelu":
        shapes["threshold"] = (K,)
    tensors.check_no_others(tuple(shapes))
    taken = {name: tensors.take(name, shape) for name, shape in shapes.items()}
    m = config.whole("m", maximum=K)
    try:
        return TopMCheckpoint(**taken, m=m, activation=activation, origin=_origin(config))
    except InputError as error:
        raise InputError(f"{source.location}: {error}") from error


def read(source: Source) -> SparseAutoencoder:
    """Return the autoencoder in a folder that `write_checkpoint` made; see `read_ours`."""
    return form_of(read_ours(source))


def dictionary(source: Source) -> StoredDictionary:
    """Return the decoder in a folder that `write_checkpoint` made, with its standardisation.

    Raises
    ------
    InputError
        If these are missing or damaged, or not as wide as the configuration says.
    """
    path = source.folder / CONFIG
    config = Config(read_json(path), path)
    tensors = _tensors(source)
    K, d = tensors.shape("decoder")
    config.expect("d", d)
    config.expect("K", K)
    scale = tensors.take("input_scale", (d,))
    if not bool((scale > 0).all()):
        raise InputError(f"input_scale in {tensors.path} is not above 0 throughout: expected that")
    names = {entry.name: entry.name for entry in fields(Origin)}
    return StoredDictionary(
        architecture=str(config.get("method") or "unknown"),
        decoder_rows=tensors.take("decoder", (K, d)),
        normalisation=Standardisation(tensors.take("input_mean", (d,)), scale),
        metadata=MappingProxyType({"format": "ours", **config.plain({"k": "m", **names})}),
    )


def _tensors(source: Source) -> Tensors:
    """Return the tensors, in float64 where they are stored so: estimators of float64 data are."""
    path = source.find(WEIGHTS)
    values = read_safetensors(path)
    wide = all(value.dtype == torch.float64 for value in values.values())
    return Tensors(values, path, torch.float64 if wide else torch.float32)


FORMAT = Format("ours", WEIGHTS, CONFIG, read, dictionary)


def _origin(config: Config) -> Origin:
    config.choice("order", ORDERS)
    values = {entry.name: config.get(entry.name) for entry in fields(Origin)}
    for name, value in values.items():
        kind = int if name in ("layer", "seed", "n_tokens") else str
        kind = dict if name == "details" else kind
        missing = value is None and name != "method"
        if not missing and (not isinstance(value, kind) or isinstance(value, bool)):
            raise InputError(f"{name} in {config.path} is no {kind.__name__}: expected one")
    return Origin(**{**values, "details": MappingProxyType(values["details"] or {})})
