"""The project's own checkpoint format: sae.safetensors and config.json.

A top-m autoencoder trained on standardised data: with z = (x - input_mean) / input_scale,
latents are the selection of (z - decoder_bias) encoder + encoder_bias, and the reconstruction
is (latents decoder + decoder_bias) * input_scale + input_mean. Nothing is pickled.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from osae_theory.errors import InputError, check_choice, check_integer, shown
from osae_theory.files import check_file
from osae_theory.folders import write_folder

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
        if self.m > self.K:
            raise InputError(f"m = {self.m}: expected at most K = {self.K}, the number of latents")
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


def write_checkpoint(
    folder: Path, checkpoint: TopMCheckpoint, dtype: torch.dtype = torch.float32
) -> None:
    """Write a checkpoint's folder, whole or not at all; an older one there is replaced.

    Parameters
    ----------
    folder : Path
        Where to; its parents are made.
    checkpoint : TopMCheckpoint
    dtype : torch.dtype
        What the tensors are stored in.

    Raises
    ------
    InputError
        If the folder holds anything else or cannot be written to, or a tensor overflows
        `dtype`.
    """
    stored = {
        name: value.detach().to("cpu", dtype).contiguous().clone()
        for name, value in checkpoint.tensors().items()
    }
    for name, value in stored.items():
        if not bool(torch.isfinite(value).all()):
            kind = str(dtype).removeprefix("torch.")
            raise InputError(f"{name} overflows {kind}: expected numbers that fit")
    config = {
        "schema": SCHEMA,
        "d": checkpoint.d,
        "K": checkpoint.K,
        "m": checkpoint.m,
        "activation": checkpoint.activation,
        **known_of(checkpoint.origin),
    }
    text = json.dumps(config, indent=2, sort_keys=True, allow_nan=False) + "\n"
    write_folder(
        folder,
        {
            WEIGHTS: lambda path: save_file(stored, path),
            CONFIG: lambda path: path.write_text(text, encoding="utf-8"),
        },
    )


def known_of(origin: Origin) -> dict[str, Any]:
    """Return what is known of an origin, as plain JSON values."""
    values = {entry.name: getattr(origin, entry.name) for entry in fields(origin)}
    values["details"] = dict(origin.details) or None
    return {name: value for name, value in values.items() if value is not None}


def read_checkpoint(folder: Path) -> TopMCheckpoint:
    """Return the checkpoint in a folder that `write_checkpoint` made, in the precision stored.

    Raises
    ------
    InputError
        If a file is missing or damaged, of another schema, or the tensors do not fit together.
    """
    check_file(folder / CONFIG, "a checkpoint's configuration")
    config, path = _read_config(folder / CONFIG), folder / WEIGHTS
    check_file(path, "a safetensors file")
    try:
        stored = load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise _unreadable(path, "a safetensors file", error) from error
    d, K, activation = config.get("d"), config.get("K"), str(config.get("activation"))
    shapes = {
        "encoder": (d, K),
        "encoder_bias": (K,),
        "decoder": (K, d),
        "decoder_bias": (d,),
        "input_mean": (d,),
        "input_scale": (d,),
        **({"threshold": (K,)} if activation == "jumprelu" else {}),
    }
    if sorted(stored) != sorted(shapes):
        raise InputError(
            f"{path} holds {shown(', '.join(sorted(stored)))}: expected {', '.join(shapes)}"
        )
    for name, shape in shapes.items():
        value = stored[name]
        if tuple(value.shape) != shape or not value.is_floating_point():
            raise InputError(
                f"{name} in {path} is of shape {tuple(value.shape)} and {value.dtype}: expected "
                f"floating-point numbers of shape {shape}"
            )
    try:
        return TopMCheckpoint(
            **stored, m=config["m"], activation=activation, origin=_origin(config)
        )
    except (InputError, LookupError, TypeError) as error:
        raise InputError(
            f"{folder} does not fit together ({error}): expected a checkpoint"
        ) from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, "a JSON object", error) from error
    if not isinstance(config, dict) or config.get("schema") != SCHEMA:
        raise InputError(f"{path} is of another schema: expected an object with schema {SCHEMA}")
    return config


def _origin(config: Mapping[str, Any]) -> Origin:
    known = {entry.name: config[entry.name] for entry in fields(Origin) if entry.name in config}
    if not isinstance(known.get("details", {}), dict):
        raise InputError(f"details = {shown(known['details'])}: expected an object")
    return Origin(**known)


def _unreadable(path: Path, expected: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return InputError(f"{path} cannot be read ({reason}): expected {expected}")
