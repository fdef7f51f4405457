"""A model by name, at the hook point asked for, ready to be read."""

from pathlib import Path

from osae_theory.devices import check_device
from osae_theory.errors import InputError, check_choice, check_integer
from realdata.models.bridge import BridgedModel, boot
from realdata.models.conversion import check_cached, convert
from realdata.models.hooks import block_of_hook, hook_of_layer
from realdata.models.hub import download
from realdata.models.language import LanguageModel
from realdata.models.libraries import SETUP, need
from realdata.models.sources import MODELS, HubModel, ModelSource, PackagedModel


def load(
    name: str,
    *,
    layer: int | None = None,
    hook: str | None = None,
    cache: Path | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> LanguageModel:
    """Return a model read at one hook point, prepared first if it has not been before.

    Parameters
    ----------
    name : str
        One of `MODELS`.
    layer : int, optional
        Read hidden_states[layer], from 1 to the model's number of layers.
    hook : str, optional
        Or name the hook point. With neither, the source's own.
    cache : Path, optional
        As in `convert`.
    device, dtype : str
        Where and in which precision it runs: "float32", or "bfloat16" for a GPU.

    Raises
    ------
    InputError
        If the name, the layer, the hook point or the device is not there, a package is not
        installed, a checksum differs, the disk is too small, or the hub cannot be reached or
        does not give the model.
    """
    check_choice("model", name, MODELS)
    check_choice("dtype", dtype, ("float32", "bfloat16"))
    source = MODELS[name]
    hook = chosen_hook(source, layer, hook)
    check_device(device)
    need("transformer_lens", f"model {name!r}", SETUP)
    if isinstance(source, PackagedModel):
        folder = convert(name, cache=cache)
        check_cached(folder)
        weights = f"GGUF sha256 {source.sha256}"
    else:
        assert isinstance(source, HubModel)
        folder = download(source)
        weights = f"hub {source.repository}@{folder.name}"
    return BridgedModel(boot(folder, device, dtype), name, hook, weights)


def chosen_hook(source: ModelSource, layer: int | None, hook: str | None) -> str:
    """Return the hook point that a layer or a hook name means, or the source's own.

    Raises
    ------
    InputError
        If both are given, or the model has no such layer or hook point.
    """
    if layer is not None and hook is not None:
        raise InputError(f"layer {layer} and hook point {hook!r}: expected one of the two")
    if layer is not None:
        check_integer("layer", layer, 1)
        if layer > source.n_layers:
            raise InputError(
                f"layer {layer}: expected from 1 to {source.n_layers}, the layers of {source.name}"
            )
        return hook_of_layer(layer)
    if hook is not None:
        block_of_hook(hook, source.n_layers)
        return hook
    return source.hook
