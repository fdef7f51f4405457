"""SAELens checkpoints: cfg.json and sae_weights.safetensors, of version 6 and before.

Read are the inference architectures standard, topk, abstopk, jumprelu and gated, the
training checkpoints of these, of batchtopk and of matryoshka_batchtopk, and transcoders from
activations of one width to others of the same. Of matching_pursuit, of temporal, of other
transcoders and of any other architecture the decoder alone is. Weights of half
precision are computed with in float32. What SAELens would load with a wrong meaning (top-k
without k, top-k stored as a ReLU) is refused. Activations of a hook_z are taken with the heads
side by side, as one vector of width d_in.

References
----------
SAELens 6.54: saes/, loading/pretrained_sae_loaders.py; 3.22 and 5.11: sae.py.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from reprlib import repr as brief
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from osae_theory.errors import InputError, check_finite, check_real
from realdata.checkpoints.contents import Config, Tensors, positive
from realdata.checkpoints.files import read_json, read_safetensors
from realdata.checkpoints.form import (
    Activation,
    ConstantNorm,
    Gated,
    JumpReLU,
    LayerNorm,
    NoNormalisation,
    Normalisation,
    ReLU,
    SparseAutoencoder,
    Standardisation,
    StoredDictionary,
    TopK,
    Whitening,
)
from realdata.checkpoints.format import Format, Source

WEIGHTS = "sae_weights.safetensors"
CONFIG = "cfg.json"
SCALER = "activation_scaler.json"
WHITENING = "activation_whitening.safetensors"

_CURRENT = 6
_SMALLEST_NORM = 1e-8
_WIDTHS = ("float32", "float64", "float16", "bfloat16")
_DTYPES = (*_WIDTHS, *(f"torch.{name}" for name in _WIDTHS))
_NORMALISATIONS = (
    "none",
    "expected_average_only_in",
    "constant_norm_rescale",
    "layer_norm",
    "covariance_whitening",
)
_FACTORS = ("scaling_factor", "finetuning_scaling_factor")
_OLD_NAMES = MappingProxyType(
    {
        "hook_point": "hook_name",
        "activation_fn_str": "activation_fn",
    }
)


@dataclass(frozen=True, eq=False)
class _Latents:
    """How one architecture makes latents: its own tensors' names, bias and activation."""

    names: tuple[str, ...]
    activation: Activation
    bias: Tensor | None = None


def read(source: Source) -> SparseAutoencoder:
    """Return the autoencoder of a SAELens folder.

    Raises
    ------
    InputError
        If the configuration or the tensors are missing, damaged or do not fit together, or
        the architecture is not one that is read.
    """
    path = source.folder / CONFIG
    config = _current(Config(read_json(path), path))
    if config.get("architecture") in _DECODER_ALONE:
        raise InputError(
            f"latents of architecture {config.get('architecture')!r} in {path} are not computed "
            f"here: expected one of {', '.join(_ARCHITECTURES)}"
        )
    architecture = config.choice("architecture", tuple(_ARCHITECTURES))
    wide = config.choice("dtype", _DTYPES, "float32").endswith("float64")
    weights = source.find(WEIGHTS)
    dtype = torch.float64 if wide else torch.float32
    tensors = Tensors(read_safetensors(weights), weights, dtype)
    d, K = tensors.shape("W_enc")
    config.expect("d_in", d)
    config.expect("d_sae", K)
    transcoder = architecture in _TRANSCODERS
    if transcoder and config.whole("d_out") != d:
        raise InputError(
            f"d_out = {config.get('d_out')} in {path}: expected {d}, as d_in, where latents are "
            "to be computed"
        )

    latents = _ARCHITECTURES[architecture](config, tensors, K)
    tensors.check_no_others(("W_enc", "W_dec", "b_dec", *latents.names, *_FACTORS))
    rows, offset = tensors.take("W_dec", (K, d)), tensors.take("b_dec", (d,))
    # The selection of training is by latents times the norm of their decoder row; SAELens
    # folds the norms away only when it saves a model for inference.
    rescaled = architecture in _RESCALABLE and config.flag("rescale_acts_by_decoder_norm", False)
    norms = rows.norm(dim=-1).clamp(min=_SMALLEST_NORM) if rescaled else None
    return SparseAutoencoder(
        architecture=architecture,
        encoder=tensors.take("W_enc", (d, K)),
        encoder_bias=torch.zeros(K, dtype=dtype) if latents.bias is None else latents.bias,
        decoder_rows=rows,
        decoder_bias=offset,
        activation=latents.activation,
        input_offset=offset if config.flag("apply_b_dec_to_input", not transcoder) else None,
        normalisation=_normalisation(config, source, d, dtype),
        skip=tensors.take("W_skip", (d, d)).T if "W_skip" in latents.names else None,
        preactivation_scale=norms,
        latent_scale=_factors(config, tensors, K) if norms is None else 1 / norms,
        metadata=_metadata(config),
    )


def dictionary(source: Source) -> StoredDictionary:
    """Return the decoder of a SAELens folder of any architecture, up to a factor of all rows.

    Of a transcoder it is that of the activations it predicts.

    Raises
    ------
    InputError
        If the files are missing or damaged, the decoder is no matrix or not as wide as the
        configuration says, or the input's normalisation is not known.
    """
    path, weights = source.folder / CONFIG, source.find(WEIGHTS)
    config = Config(read_json(path), path)
    dtype = torch.float64 if str(config.get("dtype")).endswith("float64") else torch.float32
    tensors = Tensors(read_safetensors(weights), weights, dtype)
    K, d = tensors.shape("W_dec")
    predicts = "d_out" in config
    config.agree(**{"d_out" if predicts else "d_in": d}, d_sae=K)
    normalisation: Normalisation = NoNormalisation()
    # A boolean is of version 5 and before, the constant of temporal SAEs: both are one factor.
    scaling = config.get("normalize_activations")
    if not predicts and not isinstance(scaling, bool) and scaling != "constant_scalar_rescale":
        name = config.choice("normalize_activations", _NORMALISATIONS, "none")
        if name == "covariance_whitening":
            normalisation = _whitening(source, d, dtype)
    return StoredDictionary(
        architecture=_stated_architecture(config),
        decoder_rows=tensors.take("W_dec", (K, d)),
        normalisation=normalisation,
        metadata=_metadata(config),
    )


FORMAT = Format("saelens", WEIGHTS, CONFIG, read, dictionary, extras=(SCALER, WHITENING))


def _standard(config: Config, tensors: Tensors, K: int) -> _Latents:
    return _Latents(("b_enc",), ReLU(), tensors.take("b_enc", (K,)))


def _topk(config: Config, tensors: Tensors, K: int) -> _Latents:
    # Where k is missing SAELens takes 100: a guess.
    return _Latents(("b_enc",), TopK(config.whole("k", maximum=K)), tensors.take("b_enc", (K,)))


def _abstopk(config: Config, tensors: Tensors, K: int) -> _Latents:
    activation = TopK(config.whole("k", maximum=K), signed=True)
    return _Latents(("b_enc",), activation, tensors.take("b_enc", (K,)))


def _jumprelu(config: Config, tensors: Tensors, K: int) -> _Latents:
    # Training checkpoints of early versions store the logarithm.
    name = "threshold" if "threshold" in tensors else "log_threshold"
    if name not in tensors:
        raise InputError(f"{tensors.path} has no tensor 'threshold': expected one")
    stored = tensors.take(name, (K,))
    threshold = stored if name == "threshold" else stored.exp()
    check_finite(f"{name} in {tensors.path}", threshold.numpy())
    return _Latents(("b_enc", name), JumpReLU(threshold), tensors.take("b_enc", (K,)))


def _batchtopk(config: Config, tensors: Tensors, K: int) -> _Latents:
    # A training checkpoint; SAELens's own inference model has this one threshold K times.
    check_real(f"k in {config.path}", config.get("k"), above=0, at_most=K)
    threshold = tensors.take("topk_threshold", ()).expand(K).contiguous()
    names = ("b_enc", "topk_threshold")
    return _Latents(names, JumpReLU(threshold), tensors.take("b_enc", (K,)))


def _gated(config: Config, tensors: Tensors, K: int) -> _Latents:
    names = ("b_gate", "r_mag", "b_mag")
    gate, scale, magnitude = (tensors.take(name, (K,)) for name in names)
    return _Latents(names, Gated(gate, scale, magnitude))


def _transcoder(config: Config, tensors: Tensors, K: int) -> _Latents:
    """Return the latents of a transcoder, of whose input nothing is subtracted.

    Its normalisation is not undone, which the internal form cannot say.
    """
    architecture = str(config.get("architecture"))
    config.choice("normalize_activations", ("none",), "none")
    if config.flag("apply_b_dec_to_input", False):
        raise InputError(
            f"apply_b_dec_to_input = true in {config.path}: expected false in a transcoder"
        )
    found = (_jumprelu if "jumprelu" in architecture else _standard)(config, tensors, K)
    names = (*found.names, "W_skip") if "skip" in architecture else found.names
    return replace(found, names=names)


_TRANSCODERS = (
    "transcoder",
    "skip_transcoder",
    "jumprelu_transcoder",
    "jumprelu_skip_transcoder",
)
# Their encoders iterate over residuals, or see whole sequences.
_DECODER_ALONE = ("matching_pursuit", "temporal")
_ARCHITECTURES: Mapping[str, Callable[[Config, Tensors, int], _Latents]] = MappingProxyType(
    {
        "standard": _standard,
        "topk": _topk,
        "abstopk": _abstopk,
        "jumprelu": _jumprelu,
        "batchtopk": _batchtopk,
        "matryoshka_batchtopk": _batchtopk,
        "gated": _gated,
        **dict.fromkeys(_TRANSCODERS, _transcoder),
    }
)
_RESCALABLE = ("topk", "abstopk", "batchtopk", "matryoshka_batchtopk")


def _stated_architecture(config: Config) -> str:
    """Return the name of an architecture: early top-k ones are called standard."""
    name = str(config.get("architecture") or "standard")
    early = "topk" in (config.get("activation_fn_str"), config.get("activation_fn"))
    return "topk" if name == "standard" and early else name


def _current(config: Config) -> Config:
    """Return a configuration with the names and defaults of version 6."""
    if _major_version(config) >= _CURRENT:
        if config.get("activation_fn_str") not in (None, "relu"):
            raise _two_activations(config)
        return config
    values = {**config.values}
    for old, new in _OLD_NAMES.items():
        if old in values:
            if values.get(new) not in (None, values[old]):
                raise InputError(
                    f"{old} = {brief(values[old])} in {config.path}: expected the same as {new}"
                )
            values[new] = values.pop(old)
    values["architecture"] = values.get("architecture") or "standard"
    activation = values.get("activation_fn")
    if activation == "topk":
        values |= _old_topk(values, config)
    elif activation not in (None, "relu"):
        raise InputError(
            f"activation_fn = {brief(activation)} in {config.path}: expected relu or topk"
        )
    if isinstance(values.get("normalize_activations"), bool):
        averaged = values["normalize_activations"]
        values["normalize_activations"] = "expected_average_only_in" if averaged else "none"
    return Config(values, config.path)


def _old_topk(values: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """Return what an old configuration with a top-k activation means today."""
    if values["architecture"] not in ("standard", "topk"):
        raise _two_activations(config)
    options = values.get("activation_fn_kwargs") or {}
    if not isinstance(options, dict):
        raise InputError(
            f"activation_fn_kwargs = {brief(options)} in {config.path}: expected an object with k"
        )
    k = options.get("k", values.get("k"))
    if k is None:
        raise InputError(f"{config.path} has a top-k activation without k: expected a k")
    if values.get("k") not in (None, k):
        raise InputError(f"{config.path} has k = {brief(values['k'])} and {brief(k)}: expected one")
    return {"architecture": "topk", "k": k}


def _two_activations(config: Config) -> InputError:
    activation = config.get("activation_fn_str") or config.get("activation_fn")
    return InputError(
        f"{config.path} has activation {brief(activation)} beside architecture "
        f"{brief(config.get('architecture'))}: expected activations of one kind"
    )


def _major_version(config: Config) -> int:
    """Return the major version of SAELens that wrote a configuration, 0 if it says none."""
    metadata = config.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise InputError(f"metadata = {brief(metadata)} in {config.path}: expected an object")
    version = config.get("sae_lens_version") or (metadata or {}).get("sae_lens_version")
    if version is None:
        return 0
    found = re.match(r"(\d{1,3})\.", version) if isinstance(version, str) else None
    if found is None:
        raise InputError(
            f"sae_lens_version = {brief(version)} in {config.path}: expected a version"
        )
    return int(found[1])


def _normalisation(config: Config, source: Source, d: int, dtype: torch.dtype) -> Normalisation:
    name = config.choice("normalize_activations", _NORMALISATIONS, "none")
    if name == "layer_norm":
        if d == 1:
            raise InputError(f"layer_norm in {config.path} with d_in = 1: expected at least 2")
        return LayerNorm()
    if name == "constant_norm_rescale":
        return ConstantNorm()
    if name == "expected_average_only_in":
        return _average_scaling(source, d, dtype)
    if name == "covariance_whitening":
        return _whitening(source, d, dtype)
    return NoNormalisation()


def _average_scaling(source: Source, d: int, dtype: torch.dtype) -> Normalisation:
    """Return the scaling of training stored beside its checkpoint.

    Without that file SAELens takes activations that were scaled before: so is it here.
    """
    path = source.folder / SCALER
    if not os.path.lexists(path):
        return NoNormalisation()
    factor = read_json(path).get("scaling_factor")
    if factor is None:
        return NoNormalisation()
    scale = torch.full((d,), 1 / positive(f"scaling_factor in {path}", factor, dtype), dtype=dtype)
    return Standardisation(torch.zeros(d, dtype=dtype), scale)


def _whitening(source: Source, d: int, dtype: torch.dtype) -> Normalisation:
    path = source.folder / WHITENING
    if not os.path.lexists(path):
        raise InputError(f"{source.location} was trained on whitened activations: expected {path}")
    tensors = Tensors(read_safetensors(path), path, dtype)
    return Whitening(
        tensors.take("mean", (d,)),
        tensors.take("matrix", (d, d)),
        tensors.take("inverse_matrix", (d, d)),
    )


def _factors(config: Config, tensors: Tensors, K: int) -> Tensor | None:
    """Return what finetuning multiplies latents by before the decoder, in versions before 6.

    Version 6 cannot load a checkpoint with such factors; here they have their old meaning.
    """
    names = [name for name in _FACTORS if name in tensors]
    stated = config.flag("finetuning_scaling_factor", False)
    if not names and not stated:
        return None
    if len(names) != 1:
        raise InputError(
            f"{tensors.path} has {len(names)} tensors of finetuning factors: expected one"
        )
    factors = tensors.take(names[0], (K,))
    if torch.allclose(factors, torch.ones_like(factors)):
        return None
    if not stated:
        raise InputError(
            f"{tensors.path} has a tensor {names[0]!r}, but finetuning_scaling_factor is not true "
            f"in {CONFIG}: expected both or neither"
        )
    return factors


def _metadata(config: Config) -> Mapping[str, Any]:
    inside = config.get("metadata")
    given = Config({**config.values, **(inside if isinstance(inside, dict) else {})}, config.path)
    names = {
        "model": "model_name",
        "hook": "hook_name" if "hook_name" in given else "hook_point",
        "dataset": "dataset_path",
        "k": "k",
        "version": "sae_lens_version",
    }
    kind = {"transcoder": True} if config.get("architecture") in _TRANSCODERS else {}
    return MappingProxyType({"format": FORMAT.name, **given.plain(names), **kind})
