"""Checkpoints of the top-m autoencoders trained here: sae.safetensors and config.json.

A top-m autoencoder trained on standardised activations: with z = (x - input_mean) /
input_scale, latents are the selection of (z - decoder_bias) encoder + encoder_bias, and the
reconstruction is (latents decoder + decoder_bias) * input_scale + input_mean.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from osae_theory.errors import InputError, check_choice, check_integer
from realdata.checkpoints.form import (
    Activation,
    JumpReLU,
    SparseAutoencoder,
    Standardisation,
    TopM,
)
from realdata.checkpoints.reading import (
    Config,
    Format,
    Source,
    Tensors,
    read_json,
    read_safetensors,
)
from realdata.checkpoints.writing import write_folder

WEIGHTS = "sae.safetensors"
CONFIG = "config.json"
SCHEMA = 1
ACTIVATIONS = ("relu", "signed", "jumprelu")
ORDERS = ("native", "frequency", "energy")


@dataclass(frozen=True)
class Origin:
    """What a checkpoint was trained by, on and from; all of it optional but the method.

    Parameters
    ----------
    method : str
        Name of the training method: topk, batch-topk, msae-fixed, msae-random, osae.
    order : {"native", "frequency", "energy"}
        Order of the latents: as trained, or sorted afterwards.
    model, hook, dataset : str, optional
        Language model, hook point in TransformerLens's names, corpus.
    layer, seed, n_tokens : int, optional
        Layer, seed of the run, tokens trained on.
    dataset_hash : str, optional
        Digest of the training documents.
    details : mapping of str to JSON values
        Anything else worth keeping, such as the training configuration.
    """

    method: str
    order: str = "native"
    model: str | None = None
    hook: str | None = None
    layer: int | None = None
    seed: int | None = None
    dataset: str | None = None
    dataset_hash: str | None = None
    n_tokens: int | None = None
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        check_choice("order", self.order, ORDERS)


@dataclass(frozen=True, eq=False)
class TopMCheckpoint:
    """The tensors of one trained top-m autoencoder and where they come from.

    Parameters
    ----------
    encoder : tensor of shape (d, K)
    encoder_bias : tensor of shape (K,)
    decoder : tensor of shape (K, d)
        Rows, in the order of the latents, in standardised coordinates.
    decoder_bias : tensor of shape (d,)
        Also subtracted from the standardised input; zeros where there is none.
    input_mean, input_scale : tensors of shape (d,)
        The standardisation of the activations; `input_scale` above 0.
    m : int
        Latents kept an activation, 1..K; their mean number for "jumprelu".
    activation : {"relu", "signed", "jumprelu"}
        The selection of `osae_theory.sae.select_top_m`, or latents above `threshold`,
        which is batch top-k at inference.
    origin : Origin
    threshold : tensor of shape (K,), optional
        Given with "jumprelu" and only then.

    Raises
    ------
    InputError
        If m, the activation, the scales or the threshold are none of these.
    """

    encoder: Float[Tensor, "d K"]
    encoder_bias: Float[Tensor, " K"]
    decoder: Float[Tensor, "K d"]
    decoder_bias: Float[Tensor, " d"]
    input_mean: Float[Tensor, " d"]
    input_scale: Float[Tensor, " d"]
    m: int
    activation: str
    origin: Origin
    threshold: Float[Tensor, " K"] | None = None

    def __post_init__(self) -> None:
        check_choice("activation", self.activation, ACTIVATIONS)
        check_integer("m", self.m, 1)
        TopM(self.m).check(self.K)
        if (self.threshold is None) == (self.activation == "jumprelu"):
            raise InputError(
                f"activation {self.activation!r}: expected a threshold with jumprelu and only then"
            )
        for name, value in self.tensors().items():
            if not bool(torch.isfinite(value).all()):
                raise InputError(f"{name} holds NaN or Inf: expected finite numbers")
        if not bool((self.input_scale > 0).all()):
            raise InputError("input_scale holds a number that is not above 0: expected all above 0")

    @property
    def d(self) -> int:
        """Width of the activations."""
        return self.decoder.shape[1]

    @property
    def K(self) -> int:
        """Number of latents."""
        return self.decoder.shape[0]

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def form(self) -> SparseAutoencoder:
        """Return the autoencoder in the internal form."""
        activation: Activation = (
            TopM(self.m, self.activation) if self.threshold is None else JumpReLU(self.threshold)
        )
        return SparseAutoencoder(
            architecture=self.origin.method,
            encoder=self.encoder,
            encoder_bias=self.encoder_bias,
            decoder_rows=self.decoder,
            decoder_bias=self.decoder_bias,
            activation=activation,
            input_offset=self.decoder_bias,
            normalisation=Standardisation(self.input_mean, self.input_scale),
            metadata=MappingProxyType({"format": "ours", "k": self.m, **_given(self.origin)}),
        )


def write_ours(folder: Path, checkpoint: TopMCheckpoint) -> None:
    """Write a checkpoint's folder, whole or not at all; an older one there is replaced.

    Tensors are stored in float32.

    Raises
    ------
    InputError
        If the folder holds anything else or cannot be written to, or a tensor overflows
        float32.
    """
    from safetensors.torch import save_file

    stored = {
        name: value.detach().to("cpu", torch.float32).contiguous().clone()
        for name, value in checkpoint.tensors().items()
    }
    for name, value in stored.items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"{name} overflows float32: expected numbers that fit")
    config = {
        "schema": SCHEMA,
        "d": checkpoint.d,
        "K": checkpoint.K,
        "m": checkpoint.m,
        "activation": checkpoint.activation,
        **_given(checkpoint.origin),
    }
    text = json.dumps(config, indent=2, sort_keys=True, allow_nan=False) + "\n"
    write_folder(
        folder,
        {
            WEIGHTS: lambda path: save_file(stored, path),
            CONFIG: lambda path: path.write_text(text, encoding="utf-8"),
        },
    )


def read_ours(source: Source) -> TopMCheckpoint:
    """Return the checkpoint in a folder that `write_ours` made.

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
    weights = source.find(WEIGHTS)
    tensors = Tensors(read_safetensors(weights), weights)
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
    """Return the autoencoder in a folder that `write_ours` made; see `read_ours`."""
    return read_ours(source).form()


FORMAT = Format("ours", WEIGHTS, CONFIG, read)


def _given(origin: Origin) -> dict[str, Any]:
    """Return what is known of an origin, as plain JSON values."""
    values = {entry.name: getattr(origin, entry.name) for entry in fields(origin)}
    values["details"] = dict(origin.details) or None
    return {name: value for name, value in values.items() if value is not None}


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
