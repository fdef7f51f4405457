"""Gemma Scope 2's own checkpoints: params.safetensors and config.json of a JumpReLU model.

Autoencoders and transcoders of one layer, of Gemma 3: nothing is subtracted from the input,
and a transcoder with an affine connection adds x affine_skip_connection to its reconstruction,
untransposed, as the authors' own class does. Crosscoders and cross-layer transcoders, whose
arrays have a layer axis more, are refused.

References
----------
google/gemma-scope-2-* on the Hugging Face hub, and the class JumpReLUSAE of its tutorial.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from realdata.checkpoints.contents import Config, Tensors
from realdata.checkpoints.files import read_json, read_safetensors
from realdata.checkpoints.form import JumpReLU, SparseAutoencoder, StoredDictionary
from realdata.checkpoints.format import Format, Source

WEIGHTS = "params.safetensors"
CONFIG = "config.json"
_NAMES = ("w_enc", "w_dec", "b_enc", "b_dec", "threshold")
_SKIP = "affine_skip_connection"
_ARCHITECTURES = ("jump_relu",)
# The residual stream after a layer; other sites keep the name that the configuration gives.
_RESIDUAL = re.compile(r"model\.layers\.(\d+)\.output")


def read(source: Source) -> SparseAutoencoder:
    """Return the autoencoder or transcoder of a params.safetensors.

    Raises
    ------
    InputError
        If the files are damaged or disagree with each other, the architecture is not
        jump_relu, or the arrays are those of several layers.
    """
    config_path, path = source.folder / CONFIG, source.find(WEIGHTS)
    config = Config(read_json(config_path), config_path)
    config.choice("architecture", _ARCHITECTURES)
    tensors = Tensors(read_safetensors(path), path)
    d, K = tensors.shape("w_enc")
    with_skip = config.flag("affine_connection", False) or _SKIP in tensors
    tensors.check_no_others((*_NAMES, _SKIP))
    config.agree(width=K)
    return SparseAutoencoder(
        architecture="jump_relu",
        encoder=tensors.take("w_enc", (d, K)),
        encoder_bias=tensors.take("b_enc", (K,)),
        decoder_rows=tensors.take("w_dec", (K, d)),
        decoder_bias=tensors.take("b_dec", (d,)),
        activation=JumpReLU(tensors.take("threshold", (K,))),
        skip=tensors.take(_SKIP, (d, d)) if with_skip else None,
        metadata=_metadata(config, with_skip),
    )


def dictionary(source: Source) -> StoredDictionary:
    """Return the decoder of a params.safetensors, whatever its architecture.

    Raises
    ------
    InputError
        If the files are damaged or disagree with each other, or the decoder is missing or that
        of several layers.
    """
    config_path, path = source.folder / CONFIG, source.find(WEIGHTS)
    config = Config(read_json(config_path), config_path)
    tensors = Tensors(read_safetensors(path), path)
    K, d = tensors.shape("w_dec")
    config.agree(width=K)
    return StoredDictionary(
        architecture=str(config.get("architecture") or "unknown"),
        decoder_rows=tensors.take("w_dec", (K, d)),
        metadata=_metadata(config, _SKIP in tensors),
    )


FORMAT = Format("gemma_scope_2", WEIGHTS, CONFIG, read, dictionary)


def _metadata(config: Config, with_skip: bool) -> Mapping[str, Any]:
    entered, left = config.get("hf_hook_point_in"), config.get("hf_hook_point_out")
    residual = _RESIDUAL.fullmatch(entered) if isinstance(entered, str) else None
    known = {
        "model": config.get("model_name"),
        "hook": f"blocks.{residual[1]}.hook_resid_post" if residual else entered,
        "transcoder": with_skip or left not in (None, entered),
    }
    given = {name: value for name, value in known.items() if value is not None}
    return MappingProxyType({"format": FORMAT.name, **given})
