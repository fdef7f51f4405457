"""Checkpoints of the dictionary_learning library: `ae.pt` and its `config.json`.

Each class computes what `dictionary_learning.utils.load_dictionary` of release 0.1.0 gives:
`encode` for the latents and `decode` of them for the reconstruction. What its loader and
its classes do that the weights alone do not tell:

- `AutoEncoder.from_pretrained` scales every decoder column to norm 1 and its encoder row by
  the old norm, unless all norms are 1 already: latents differ from those of the weights as
  stored, reconstructions do not.
- `AutoEncoderTopK` stores a threshold and selects by k; `BatchTopKSAE` and
  `MatryoshkaBatchTopKSAE` store k and select by the threshold; a threshold of -1, before
  training has set it, leaves the ReLU.
- `JumpReluAutoEncoder` never subtracts its decoder bias from the input.
- `AutoEncoderNew.forward` reports latents times decoder norms; `encode` does not, nor do we.
- A snapshot taken while k is annealed stores the k of that step, not the configuration's;
  `from_pretrained` takes it, and so do we.

A mid-run backup has the file name of a finished dictionary and another schema, which the
library's own loader cannot read. Its biases are those of activations divided by the norm
factor, and are scaled here as the library scales them when a run ends.

Source: dictionary_learning 0.1.0, modules `utils`, `dictionary`, `training` and
`trainers.{top_k, batch_top_k, matryoshka_batch_top_k}`; backups: its later `training`.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as brief
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from osae_theory.errors import InputError
from realdata.checkpoints.contents import Config, Tensors, positive
from realdata.checkpoints.files import read_json, read_torch, unwrapped
from realdata.checkpoints.form import (
    Gated,
    JumpReLU,
    ReLU,
    SparseAutoencoder,
    StoredDictionary,
    TopK,
)
from realdata.checkpoints.format import Format, Source

_CONFIG = "config.json"
# What the library's `scale_biases` multiplies, in any of its classes.
_BIASES = frozenset(
    {"bias", "encoder.bias", "decoder_bias", "mag_bias", "gate_bias", "b_enc", "b_dec", "threshold"}
)


def _auto_encoder(tensors: Tensors, config: Config) -> dict[str, Any]:
    tensors.check_no_others(("bias", "encoder.weight", "encoder.bias", "decoder.weight"))
    K, d = _widths(tensors, config, "encoder.weight")
    decoder = tensors.take("decoder.weight", (d, K))
    norms = decoder.norm(dim=0)
    encoder, encoder_bias = (
        tensors.take("encoder.weight", (K, d)),
        tensors.take("encoder.bias", (K,)),
    )
    if not torch.allclose(norms, torch.ones_like(norms)):
        decoder = decoder / norms
        encoder, encoder_bias = encoder * norms[:, None], encoder_bias * norms
        _check_normalised(tensors.path, decoder, encoder, encoder_bias)
    bias = tensors.take("bias", (d,))
    return {
        "encoder": encoder.T,
        "encoder_bias": encoder_bias,
        "decoder_rows": decoder.T,
        "decoder_bias": bias,
        "input_offset": bias,
        "activation": ReLU(),
    }


def _auto_encoder_new(tensors: Tensors, config: Config) -> dict[str, Any]:
    tensors.check_no_others(("encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"))
    K, d = _widths(tensors, config, "encoder.weight")
    return {
        "encoder": tensors.take("encoder.weight", (K, d)).T,
        "encoder_bias": tensors.take("encoder.bias", (K,)),
        "decoder_rows": tensors.take("decoder.weight", (d, K)).T,
        "decoder_bias": tensors.take("decoder.bias", (d,)),
        "activation": ReLU(),
    }


def _gated(tensors: Tensors, config: Config) -> dict[str, Any]:
    latentwise = ("gate_bias", "r_mag", "mag_bias")
    tensors.check_no_others(("encoder.weight", "decoder.weight", "decoder_bias", *latentwise))
    K, d = _widths(tensors, config, "encoder.weight")
    bias = tensors.take("decoder_bias", (d,))
    return {
        "encoder": tensors.take("encoder.weight", (K, d)).T,
        "encoder_bias": torch.zeros(K),
        "decoder_rows": tensors.take("decoder.weight", (d, K)).T,
        "decoder_bias": bias,
        "input_offset": bias,
        "activation": Gated(*(tensors.take(name, (K,)) for name in latentwise)),
    }


def _jump_relu(tensors: Tensors, config: Config) -> dict[str, Any]:
    tensors.check_no_others(("W_enc", "b_enc", "W_dec", "b_dec", "threshold"))
    d, K = _widths(tensors, config, "W_enc")
    return _plain(tensors, d, K) | {"activation": JumpReLU(tensors.take("threshold", (K,)))}


def _top_k(tensors: Tensors, config: Config) -> dict[str, Any]:
    # Dictionaries of 2024 hold neither k nor threshold, and need neither.
    form = _linear_with_k(tensors, config)
    if "threshold" in tensors:
        tensors.take("threshold", ())
    return form | {"activation": TopK(_sparsity(tensors, config, len(form["encoder_bias"])))}


def _batch_top_k(tensors: Tensors, config: Config) -> dict[str, Any]:
    form = _linear_with_k(tensors, config)
    return form | {"activation": _shared_threshold(tensors, config, len(form["encoder_bias"]))}


def _matryoshka_batch_top_k(tensors: Tensors, config: Config) -> dict[str, Any]:
    tensors.check_no_others(("W_enc", "b_enc", "W_dec", "b_dec", "k", "threshold", "group_sizes"))
    d, K = _widths(tensors, config, "W_enc")
    sizes = tensors.whole_numbers("group_sizes")
    if min(sizes) < 1 or sum(sizes) != K:
        raise InputError(
            f"group_sizes = {brief(sizes)} in {tensors.path}: expected whole numbers of at least 1 "
            f"that sum to {K}, the number of latents"
        )
    form = _plain(tensors, d, K)
    form["input_offset"] = form["decoder_bias"]
    return form | {"activation": _shared_threshold(tensors, config, K)}


_CLASSES: Mapping[str, Callable[[Tensors, Config], dict[str, Any]]] = MappingProxyType(
    {
        "AutoEncoder": _auto_encoder,
        "AutoEncoderNew": _auto_encoder_new,
        "AutoEncoderTopK": _top_k,
        "BatchTopKSAE": _batch_top_k,
        "GatedAutoEncoder": _gated,
        "JumpReluAutoEncoder": _jump_relu,
        "MatryoshkaBatchTopKSAE": _matryoshka_batch_top_k,
    }
)


def read(source: Source) -> SparseAutoencoder:
    """Return a dictionary of the dictionary_learning library, as its own loader gives it.

    Parameters
    ----------
    source : Source
        A folder with `ae.pt` and `config.json`; or one file: `ae.pt`, or a snapshot
        `checkpoints/ae_<step>.pt` of a run, whose configuration is one folder up.

    Raises
    ------
    InputError
        If the files are damaged, disagree with each other, hold Python objects, or are of a
        class whose computation is not known here.
    """
    path = _weights(source)
    config = _trainer_config(source.folder)
    architecture = config.choice("dict_class", _CLASSES)
    tensors, of_backup = _tensors(read_torch(path), path)
    if "k" in tensors and (of_backup or path.name != "ae.pt"):
        # While the sparsity is annealed a snapshot has a k of its own.
        config = Config({**config.values, "k": _stored_sparsity(tensors)}, path)
    form = _CLASSES[architecture](tensors, config)
    return SparseAutoencoder(
        architecture=architecture, metadata=_metadata(config, of_backup), **form
    )


def dictionary(source: Source) -> StoredDictionary:
    """Return the decoder of any class that stores it as `decoder.weight` or as `W_dec`.

    The configuration may be missing: it only says what the dictionary is.

    Raises
    ------
    InputError
        If the files are damaged, hold Python objects, or disagree on the decoder's widths.
    """
    path, config_path = _weights(source), _config_path(source.folder)
    known = os.path.lexists(config_path)
    config = _trainer_config(source.folder) if known else Config({}, config_path)
    content, step = read_torch(path), {}
    if isinstance(content, dict) and isinstance(content.get("ae"), dict):
        content, step = content["ae"], {"step": content.get("step")}
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}: expected a state dictionary")
    tensors = Tensors(unwrapped(content), path)
    name = "W_dec" if "W_dec" in tensors else "decoder.weight"
    stored = tensors.take(name, tensors.shape(name))
    rows = stored if name == "W_dec" else stored.T.contiguous()
    config.agree(activation_dim=rows.shape[1], dict_size=rows.shape[0])
    return StoredDictionary(
        architecture=str(config.get("dict_class") or "unknown"),
        decoder_rows=rows,
        metadata=_metadata(config, step),
    )


def _weights(source: Source) -> Path:
    return source.folder / "ae.pt" if "ae.pt" in source.files else source.find("ae*.pt")


def _metadata(config: Config, of_backup: Mapping[str, Any]) -> Mapping[str, Any]:
    names = {
        "model": "lm_name",
        "hook": "submodule_name",
        "layer": "layer",
        "seed": "seed",
        "k": "k",
    }
    given = {**{ours: config.get(theirs) for ours, theirs in names.items()}, **of_backup}
    known = {name: value for name, value in given.items() if value is not None}
    return MappingProxyType({"format": FORMAT.name, **known})


def _trainer_config(folder: Path) -> Config:
    """Return the trainer's part of the configuration."""
    path = _config_path(folder)
    trainer = read_json(path).get("trainer")
    if not isinstance(trainer, dict):
        raise InputError(f"{path} has no section 'trainer': expected the trainer's configuration")
    return Config(trainer, path)


def _config_path(folder: Path) -> Path:
    path = folder / _CONFIG
    inside_a_run = not path.exists() and folder.name == "checkpoints"
    return folder.parent / _CONFIG if inside_a_run else path


@dataclass(frozen=True, eq=False)
class _BackupTensors(Tensors):
    """The tensors of a mid-run backup, its biases scaled by the norm factor as at the end.

    A threshold of -1 means that there is none; any other below 0 means the same.
    """

    norm_factor: float = 1.0

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        taken = super().take(name, shape)
        if name not in _BIASES:
            return taken
        scaled = taken * self.norm_factor
        if not bool(torch.isfinite(scaled).all()):
            raise InputError(
                f"{name} times norm_factor in {self.path} overflows float32: expected numbers "
                "that fit"
            )
        return scaled


def _tensors(content: Any, path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Return the tensors of a file, and what a mid-run backup says of itself."""
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}: expected a state dictionary")
    if "ae" not in content:
        return Tensors(unwrapped(content), path), {}
    state, step, factor = content["ae"], content.get("step"), content.get("norm_factor")
    if not isinstance(state, dict):
        raise InputError(f"{path} is a backup without a state dictionary 'ae': expected one")
    backup = {"step": step if isinstance(step, int) and not isinstance(step, bool) else None}
    state = unwrapped(state)
    if factor is None:
        return Tensors(state, path), backup
    factor = positive(f"norm_factor in {path}", factor, torch.float32)
    return _BackupTensors(state, path, norm_factor=factor), backup


def _widths(tensors: Tensors, config: Config, name: str) -> tuple[int, int]:
    """Return the encoder's shape, held to the widths that the configuration states."""
    shape = tensors.shape(name)
    K, d = shape if name == "encoder.weight" else shape[::-1]
    config.agree(activation_dim=d, dict_size=K)
    return shape


def _plain(tensors: Tensors, d: int, K: int) -> dict[str, Any]:
    """Return the linear parts of the classes that store matrices instead of layers."""
    return {
        "encoder": tensors.take("W_enc", (d, K)),
        "encoder_bias": tensors.take("b_enc", (K,)),
        "decoder_rows": tensors.take("W_dec", (K, d)),
        "decoder_bias": tensors.take("b_dec", (d,)),
    }


def _linear_with_k(tensors: Tensors, config: Config) -> dict[str, Any]:
    """Return the linear parts of the top-k and batch top-k classes."""
    layers = ("encoder.weight", "encoder.bias", "decoder.weight")
    tensors.check_no_others((*layers, "b_dec", "k", "threshold"))
    K, d = _widths(tensors, config, "encoder.weight")
    bias = tensors.take("b_dec", (d,))
    return {
        "encoder": tensors.take("encoder.weight", (K, d)).T,
        "encoder_bias": tensors.take("encoder.bias", (K,)),
        "decoder_rows": tensors.take("decoder.weight", (d, K)).T,
        "decoder_bias": bias,
        "input_offset": bias,
    }


def _sparsity(tensors: Tensors, config: Config, K: int) -> int:
    """Return k, which the configuration and the weights must agree on."""
    k = config.whole("k", maximum=K)
    if "k" not in tensors:
        return k
    stored = _stored_sparsity(tensors)
    if stored != k:
        raise InputError(f"k = {stored} in {tensors.path}: expected {k}, as in {config.path}")
    return k


def _stored_sparsity(tensors: Tensors) -> int:
    stored = tensors.whole_numbers("k")
    if len(stored) != 1:
        raise InputError(f"k = {brief(stored)} in {tensors.path}: expected one number")
    return stored[0]


def _shared_threshold(tensors: Tensors, config: Config, K: int) -> JumpReLU:
    """Return what batch top-k does at inference: one threshold for all latents."""
    _sparsity(tensors, config, K)
    return JumpReLU(tensors.take("threshold", ()).repeat(K))


def _check_normalised(path: Path, decoder: Tensor, *scaled: Tensor) -> None:
    norms = decoder.norm(dim=0)
    finite = all(bool(torch.isfinite(part).all()) for part in scaled)
    if not finite or not torch.allclose(norms, torch.ones_like(norms)):
        raise InputError(
            f"{path} has decoder columns that cannot be scaled to norm 1, as its library does: "
            "expected norms that are neither 0 nor too large for float32"
        )


FORMAT = Format("dictionary_learning", "ae*.pt", None, read, dictionary, extras=(_CONFIG,))
