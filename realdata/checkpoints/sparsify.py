"""Checkpoints of the sparsify library: `sae.safetensors` and its `cfg.json`.

Latents are those of `SparseCoder.encode`, k a row, and the reconstruction is `decode` of
them, plus the skip connection from the raw input, as `forward` computes it. With
`multi_topk`, a loss for training, `forward` answers with 4k latents instead; nothing else
in the library does, nor do we. A transcoder's reconstruction is its prediction of another
activation; it does not subtract its decoder bias from the input.

Source: sparsify (eai-sparsify 1.3.3), modules `sparse_coder`, `config` and `fused_encoder`.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from osae_theory.errors import InputError
from realdata.checkpoints.contents import Config, Tensors
from realdata.checkpoints.files import read_json, read_safetensors
from realdata.checkpoints.form import SparseAutoencoder, StoredDictionary, TopK
from realdata.checkpoints.format import Format, Source

_FLAGS = frozenset({"normalize_decoder", "multi_topk", "skip_connection", "transcode"})


@dataclass(frozen=True)
class GroupMax:
    """The largest of each of k groups of neighbouring latents, if it is positive.

    Parameters
    ----------
    k : int
        Number of groups; it divides K.
    """

    k: int

    def __call__(self, preactivations: Float[Tensor, "n K"]) -> Float[Tensor, "n K"]:
        """Return the latents of each row."""
        grouped = preactivations.relu().unflatten(-1, (self.k, -1))
        largest, place = grouped.max(dim=-1, keepdim=True)
        return torch.zeros_like(grouped).scatter(-1, place, largest).flatten(-2)

    def check(self, K: int) -> None:
        """Raise InputError unless k is a whole number in 1..K that divides K."""
        TopK(self.k).check(K)
        if K % self.k:
            raise InputError(f"k = {self.k} with groupmax: expected a divisor of K = {K}")


_ACTIVATIONS = MappingProxyType({"topk": TopK, "groupmax": GroupMax})


def read(source: Source) -> SparseAutoencoder:
    """Return a sparse coder of the sparsify library, as its own loader gives it.

    Weights of half precision are computed with in float32.

    Parameters
    ----------
    source : Source
        A folder with `cfg.json` and `sae.safetensors`.

    Raises
    ------
    InputError
        If the files are damaged or disagree with each other, or the configuration asks for
        what the library does not do, or does no longer (`signed`).
    """
    config_path, path = source.folder / "cfg.json", source.find("sae.safetensors")
    config = Config(read_json(config_path), config_path)
    _check_flags(config)
    values = read_safetensors(path)
    tensors = Tensors(values, path, _dtype(values, path))
    d, K = config.whole("d_in"), _width(config)
    activation, k = config.choice("activation", _ACTIVATIONS, "topk"), config.whole("k", maximum=K)
    if activation == "groupmax" and K % k:
        raise InputError(f"k = {k} in {config_path}: expected a divisor of {K} with groupmax")
    names = ("W_dec", "b_dec", "encoder.bias", "encoder.weight")
    with_skip = config.flag("skip_connection", False)
    tensors.check_no_others((*names, "W_skip") if with_skip else names)
    bias = tensors.take("b_dec", (d,))
    transcode = config.flag("transcode", False)
    return SparseAutoencoder(
        architecture=activation,
        encoder=tensors.take("encoder.weight", (K, d)).T,
        encoder_bias=tensors.take("encoder.bias", (K,)),
        decoder_rows=tensors.take("W_dec", (K, d)),
        decoder_bias=bias,
        activation=_ACTIVATIONS[activation](k),
        input_offset=None if transcode else bias,
        skip=tensors.take("W_skip", (d, d)).T if with_skip else None,
        metadata=MappingProxyType({"format": FORMAT.name, "k": k, "transcoder": transcode}),
    )


def dictionary(source: Source) -> StoredDictionary:
    """Return the decoder of a sparse coder, whatever its activation and its switches.

    Raises
    ------
    InputError
        If the files are damaged, or the decoder is missing or not as wide as the configuration
        says.
    """
    config_path, path = source.folder / "cfg.json", source.find("sae.safetensors")
    config = Config(read_json(config_path), config_path)
    values = read_safetensors(path)
    tensors = Tensors(values, path, _dtype({"W_dec": values.get("W_dec")}, path))
    K, d = tensors.shape("W_dec")
    config.agree(d_in=d)
    known = config.plain({"k": "k", "transcoder": "transcode"})
    return StoredDictionary(
        architecture=str(config.get("activation") or "topk"),
        decoder_rows=tensors.take("W_dec", (K, d)),
        metadata=MappingProxyType({"format": FORMAT.name, "transcoder": False, **known}),
    )


def _check_flags(config: Config) -> None:
    """Refuse a switch that is on and that the library does not have.

    Its loader drops such fields, although earlier releases and its experimental branches
    compute something else with them.
    """
    for name, value in config.values.items():
        if name in _FLAGS:
            config.flag(name, False)
        elif value is True:
            raise InputError(
                f"{name} = true in {config.path} is not known here: expected only "
                f"{', '.join(sorted(_FLAGS))} to be true or false"
            )


def _width(config: Config) -> int:
    """Return the number of latents; 0, or none, means expansion_factor times d_in."""
    stated = config.whole("num_latents", 0) if "num_latents" in config else 0
    return stated or config.whole("expansion_factor") * config.whole("d_in")


def _dtype(values: dict[str, Any], path: object) -> torch.dtype:
    stored = {value.dtype for value in values.values() if value is not None}
    if len(stored) > 1:
        raise InputError(
            f"{path} holds tensors of {' and '.join(sorted(map(str, stored)))}: expected one "
            "type, since its library would round all to that of one of them"
        )
    return torch.float64 if stored == {torch.float64} else torch.float32


FORMAT = Format("sparsify", "sae.safetensors", "cfg.json", read, dictionary)
