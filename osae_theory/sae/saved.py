"""A fitted OrderedSAE as a checkpoint of the project's format, and back."""

import math
import numbers
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from osae_theory.errors import InputError, check_choice, check_real, shown
from osae_theory.prefixes import (
    AnnealedLaw,
    ExactPenalty,
    FitSchedule,
    PrefixLaw,
    RandomPrefixes,
    SampledPrefix,
    WeightSchedule,
    as_law,
    as_schedule,
)
from osae_theory.sae.checkpoint import Origin, TopMCheckpoint
from osae_theory.sae.kernels import ARITHMETICS


def checkpoint_of(sae: Any) -> TopMCheckpoint:
    """Return a fitted OrderedSAE as a checkpoint: its tensors in units of `scale_`.

    Raises
    ------
    InputError
        If a parameter cannot be stored, as a schedule of a kind of one's own.
    """
    exponent = math.frexp(sae.scale_)[1] - 1

    def tensor(fitted: np.ndarray, shift: int = 0) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(np.ldexp(fitted, shift)))

    d, K = sae.encoder_.shape
    decoder = tensor(sae.components_)
    batch = sae.threshold_ is not None
    details = {
        "ordered_sae": {
            "parameters": {name: _plain(name, given) for name, given in sae.get_params().items()},
            "arithmetic": sae.arithmetic_,
            "law": _plain("law_", sae.law_),
            "losses": sae.loss_curve_.tolist(),
            "features": list(getattr(sae, "feature_names_in_", [])),
        }
    }
    seed = sae.random_state if isinstance(sae.random_state, numbers.Integral) else None
    return TopMCheckpoint(
        encoder=tensor(sae.encoder_),
        encoder_bias=tensor(sae.encoder_bias_, -exponent),
        decoder=decoder,
        decoder_bias=tensor(sae.decoder_bias_, -exponent),
        input_mean=decoder.new_zeros(d),
        input_scale=decoder.new_full((d,), sae.scale_),
        m=int(sae.n_nonzero_),
        activation="jumprelu" if batch else sae.activation_,
        threshold=(
            decoder.new_full((K,), math.ldexp(sae.threshold_, -exponent)) if batch else None
        ),
        origin=Origin(
            _method(sae.law_, batch),
            order=sae.sort_by_ or "native",
            seed=None if seed is None else int(seed),
            details=MappingProxyType(details),
        ),
    )


def fitted_from(
    checkpoint: TopMCheckpoint, folder: str | Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters of an OrderedSAE and its fitted attributes, each by name.

    Parameters
    ----------
    checkpoint : TopMCheckpoint
    folder : str or Path
        Where it was, for messages.

    Raises
    ------
    InputError
        If it is no checkpoint of an OrderedSAE.
    """
    kept = checkpoint.origin.details.get("ordered_sae")
    scale = float(checkpoint.input_scale[0])
    mantissa, exponent = math.frexp(scale)
    if (
        not isinstance(kept, dict)
        or not {"parameters", "arithmetic", "law", "losses", "features"} <= kept.keys()
        or mantissa != 0.5
        or bool((checkpoint.input_scale != scale).any())
        or bool(checkpoint.input_mean.any())
    ):
        raise InputError(f"{folder} holds a checkpoint of another kind: expected an OrderedSAE")
    try:
        parameters = {name: _read(value) for name, value in kept["parameters"].items()}
        law = as_schedule("law", _read(kept["law"]), checkpoint.K)
        arithmetic = str(kept["arithmetic"])
        check_choice("arithmetic", arithmetic, ARITHMETICS)
        losses = np.array(kept["losses"], dtype=np.float64)
        features = np.array([str(name) for name in kept["features"]], dtype=object)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{folder} is damaged ({error}): expected an OrderedSAE") from error
    threshold = checkpoint.threshold
    order = checkpoint.origin.order
    dtype = checkpoint.decoder.numpy().dtype
    fitted = {
        "components_": checkpoint.decoder.numpy(),
        "encoder_": checkpoint.encoder.numpy(),
        "encoder_bias_": np.ldexp(checkpoint.encoder_bias.numpy(), exponent - 1),
        "decoder_bias_": np.ldexp(checkpoint.decoder_bias.numpy(), exponent - 1),
        "scale_": scale,
        "arithmetic_": arithmetic,
        "activation_": "batch" if threshold is not None else checkpoint.activation,
        "threshold_": None if threshold is None else math.ldexp(float(threshold[0]), exponent - 1),
        "n_nonzero_": checkpoint.m,
        "law_": law,
        "sort_by_": None if order == "native" else order,
        "loss_curve_": losses.astype(dtype),
        "n_iter_": len(losses),
        "n_features_in_": checkpoint.d,
    }
    if features.size:
        fitted["feature_names_in_"] = features
    return parameters, fitted


def _method(law: WeightSchedule | FitSchedule, batch: bool) -> str:
    """Return the name of a training method, as `Origin` has it."""
    if isinstance(law, ExactPenalty):
        return "osae-exact"
    if isinstance(law, RandomPrefixes):
        return "msae-random"
    if isinstance(law, AnnealedLaw):
        return "osae-annealed"
    if isinstance(law, SampledPrefix):
        return _method(law.law, batch)
    if not isinstance(law, PrefixLaw) or (law.has_full_support and law.K > 1):
        return "osae"
    if law.probabilities[-1] == 1:
        return "batch-topk" if batch else "topk"
    return "msae-fixed"


def _plain(name: str, value: Any) -> Any:
    """Return a parameter as JSON has it."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        check_real(name, value)
        return float(value)
    if isinstance(value, np.random.RandomState):
        return None
    # Of these very kinds: what a subclass does besides would be lost.
    if type(value) is AnnealedLaw:
        law = _plain(name, value.law)
        return {"kind": "annealed", "law": law, "begin": value.begin, "end": value.end}
    if type(value) is ExactPenalty:
        law = _plain(name, value.law)
        whole = {"strength": float(value.strength), "every": int(value.every)}
        return {"kind": "exact-penalty", "law": law, "by_sample": value.by_sample, **whole}
    if type(value) is RandomPrefixes:
        whole = {"K": int(value.K), "n_drawn": int(value.n_drawn)}
        return {"kind": "random", **whole, "include_full": bool(value.include_full)}
    if type(value) is SampledPrefix:
        return {"kind": "sampled", "law": _plain(name, value.law)}
    if isinstance(value, WeightSchedule | FitSchedule) and not isinstance(value, PrefixLaw):
        raise InputError(f"{name} = {shown(value)}: expected a law of the project's, to be stored")
    law = as_law(name, value)
    return {"kind": "fixed", "probabilities": law.probabilities.tolist(), "name": law.name}


def _read(value: Any) -> Any:
    """Return a parameter from JSON."""
    if not isinstance(value, Mapping):
        return value
    if value["kind"] == "annealed":
        return AnnealedLaw(_read(value["law"]), value["begin"], value["end"])
    if value["kind"] == "exact-penalty":
        options = {"by_sample": value["by_sample"], "every": value["every"]}
        return ExactPenalty(_read(value["law"]), value["strength"], **options)
    if value["kind"] == "sampled":
        return SampledPrefix(_read(value["law"]))
    if value["kind"] == "random":
        return RandomPrefixes(value["K"], value["n_drawn"], value["include_full"])
    return PrefixLaw(value["probabilities"], str(value["name"]))
