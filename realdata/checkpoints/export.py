"""Our checkpoints as SAELens checkpoints, with the same latents and reconstructions."""

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from osae_theory.errors import InputError
from osae_theory.folders import write_folder
from realdata.checkpoints import FORMATS
from realdata.checkpoints.locations import locate, recognise
from realdata.checkpoints.ours import FORMAT, TopMCheckpoint, read_ours
from realdata.checkpoints.saelens import CONFIG, WEIGHTS

# The version whose configuration is written: SAELens reads one without it as of before 6.
SCHEMA_VERSION = "6.54.0"
_ARCHITECTURES = MappingProxyType({"relu": "topk", "jumprelu": "jumprelu"})


def export_checkpoint(location: str, revision: str | None, out_dir: Path) -> Path:
    """Write one of our checkpoints as a SAELens folder.

    Parameters
    ----------
    location, revision : str, str or None
        A checkpoint of ours; see `realdata.checkpoints.load`.
    out_dir : Path
        Folder to make, whole or not at all; an older export there is replaced.

    Returns
    -------
    Path
        The folder, with sae_weights.safetensors and cfg.json.

    Raises
    ------
    InputError
        If the checkpoint is another library's, cannot be read, or has signed latents; if
        folding overflows float32; or if the folder cannot be written.
    """
    formats = FORMATS.values()
    source = locate(location, revision, FORMAT.files)
    found = recognise(source, formats)
    if found.name != FORMAT.name:
        raise InputError(f"{location} is a checkpoint of {found.name}: expected one of ours")
    write_saelens(out_dir, read_ours(source))
    return out_dir


def write_saelens(folder: Path, checkpoint: TopMCheckpoint) -> None:
    """Write a checkpoint as a SAELens folder of architecture topk, or jumprelu.

    Raises
    ------
    InputError
        See `export_checkpoint`.
    """
    from safetensors.torch import save_file

    if checkpoint.activation not in _ARCHITECTURES:
        raise InputError(
            f"activation {checkpoint.activation!r} cannot be exported: expected "
            f"{' or '.join(_ARCHITECTURES)}, since SAELens's topk has no negative latents"
        )
    tensors = folded(checkpoint)
    text = json.dumps(_config(checkpoint), indent=2, allow_nan=False) + "\n"
    write_folder(
        folder,
        {
            WEIGHTS: lambda path: save_file(tensors, path),
            CONFIG: lambda path: path.write_text(text, encoding="utf-8"),
        },
    )


def folded(checkpoint: TopMCheckpoint) -> dict[str, Tensor]:
    """Return SAELens's tensors, with the standardisation folded into them.

    With z = (x - mean) / scale, the offset b = decoder_bias * scale + mean gives
    z - decoder_bias = (x - b) / scale. So the encoder's rows are divided by the scale, the
    decoder's columns multiplied by it, b is SAELens's b_dec with apply_b_dec_to_input, and
    latents stay as they are. Decoder rows then have norms other than 1, and must keep them:
    normalised, latents would be of another size and selected otherwise. Folding is done in
    float64 and rounded once; where a mean is large beside its scale, the rounding of b would
    move the latents, and the encoder bias takes that back.

    Raises
    ------
    InputError
        If a folded number overflows float32.
    """
    scale = checkpoint.input_scale.double()
    offset = checkpoint.decoder_bias.double() * scale + checkpoint.input_mean.double()
    encoder = checkpoint.encoder.double() / scale[:, None]
    moved = (offset.float().double() - offset) @ encoder
    exact = {
        "W_enc": encoder,
        "b_enc": checkpoint.encoder_bias.double() + moved,
        "W_dec": checkpoint.decoder.double() * scale,
        "b_dec": offset,
    }
    if checkpoint.threshold is not None:
        exact["threshold"] = checkpoint.threshold
    rounded = {name: value.to(torch.float32).contiguous() for name, value in exact.items()}
    for name, value in rounded.items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(
                f"{name} overflows float32 once the standardisation is folded in: expected scales "
                "that fit"
            )
    return rounded


def _config(checkpoint: TopMCheckpoint) -> dict[str, Any]:
    origin = checkpoint.origin
    architecture = _ARCHITECTURES[checkpoint.activation]
    selection = {"k": checkpoint.m, "rescale_acts_by_decoder_norm": False}
    metadata = {
        "sae_lens_version": SCHEMA_VERSION,
        "sae_lens_training_version": None,
        "model_name": origin.model,
        "hook_name": origin.hook,
        "dataset_path": origin.dataset,
        "training_method": origin.method,
        "latent_order": origin.order,
        "seed": origin.seed,
        "training_tokens": origin.n_tokens,
    }
    return {
        "architecture": architecture,
        "d_in": checkpoint.d,
        "d_sae": checkpoint.K,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        **(selection if architecture == "topk" else {}),
        "metadata": {name: value for name, value in metadata.items() if value is not None},
    }
