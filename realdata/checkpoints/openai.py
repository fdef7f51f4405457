"""Checkpoints of OpenAI's sparse_autoencoder: one .pt file with the weights and the activation.

Latents are activation((z - pre_bias) encoder + latent_bias) and the reconstruction is latents
decoder + pre_bias. With TopK, and only then, z is the layer-normed activation, and the
reconstruction is brought back by its deviation and mean: the library takes the one for a sign of
the other. The file is looked at where it is named, since it may have any name.

References
----------
Gao et al. (2024), arXiv 2406.04093; github.com/openai/sparse_autoencoder, its module `model`.
"""

from types import MappingProxyType
from typing import Any

from osae_theory.errors import InputError
from realdata.checkpoints.contents import Config, Tensors
from realdata.checkpoints.files import read_torch, unwrapped
from realdata.checkpoints.form import (
    LayerNorm,
    NoNormalisation,
    ReLU,
    SparseAutoencoder,
    StoredDictionary,
    TopK,
)
from realdata.checkpoints.format import Format, Source

_WEIGHTS = ("pre_bias", "encoder.weight", "latent_bias", "decoder.weight")
# Running statistics of training, which no latent depends on.
_STATISTICS = ("stats_last_nonzero", "latents_activation_frequency", "latents_mean_square")
_ACTIVATION, _OPTIONS = "activation", "activation_state_dict"


def read(source: Source) -> SparseAutoencoder:
    """Return the autoencoder of a .pt file, as the library's own loader gives it.

    Raises
    ------
    InputError
        If the file is damaged, holds Python objects or tensors of another kind, or the
        activation is neither ReLU nor TopK followed by it.
    """
    tensors, config = _content(source)
    tensors.check_no_others((*_WEIGHTS, *_STATISTICS, _ACTIVATION, _OPTIONS))
    K, d = tensors.shape("encoder.weight")
    architecture = config.choice(_ACTIVATION, ("ReLU", "TopK"), "ReLU")
    layer_normed = architecture == "TopK"
    bias = tensors.take("pre_bias", (d,))
    if layer_normed and d == 1:
        raise InputError(f"{tensors.path} layer-norms activations of width 1: expected at least 2")
    return SparseAutoencoder(
        architecture=architecture,
        encoder=tensors.take("encoder.weight", (K, d)).T,
        encoder_bias=tensors.take("latent_bias", (K,)),
        decoder_rows=tensors.take("decoder.weight", (d, K)).T,
        decoder_bias=bias,
        activation=_top_k(config, K) if layer_normed else ReLU(),
        input_offset=bias,
        normalisation=LayerNorm() if layer_normed else NoNormalisation(),
        metadata=_metadata(config),
    )


def dictionary(source: Source) -> StoredDictionary:
    """Return the decoder of a .pt file, whatever its activation.

    Raises
    ------
    InputError
        If the file is damaged, holds Python objects, or its decoder is missing or no matrix.
    """
    tensors, config = _content(source)
    rows = tensors.take("decoder.weight", tensors.shape("decoder.weight")).T
    return StoredDictionary(
        architecture=str(config.get(_ACTIVATION) or "ReLU"),
        decoder_rows=rows.contiguous(),
        metadata=_metadata(config),
    )


def _content(source: Source) -> tuple[Tensors, Config]:
    path = source.folder / str(source.named)
    content = read_torch(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}: expected a state dictionary")
    values = unwrapped(content)
    return Tensors(values, path), Config(values, path)


def _options(config: Config) -> Config:
    options = config.get(_OPTIONS)
    return Config(options if isinstance(options, dict) else {}, config.path)


def _top_k(config: Config, K: int) -> TopK:
    options = _options(config)
    options.choice("postact_fn", ("ReLU",))
    return TopK(options.whole("k", maximum=K))


def _metadata(config: Config) -> MappingProxyType[str, Any]:
    return MappingProxyType({"format": FORMAT.name, **_options(config).plain({"k": "k"})})


FORMAT = Format("openai", "*.pt", None, read, dictionary, by_name=True)
