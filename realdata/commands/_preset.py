"""A preset, and what may be changed of it: for `run` and `tune`."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from osae_theory.errors import check_choice, check_integer
from realdata.commands._options import (
    add_arithmetic,
)

if TYPE_CHECKING:  # not imported for --help
    from realdata.experiment.presets import Preset


def add_preset(p: argparse.ArgumentParser) -> None:
    """Add what `run` and `tune` share: a preset and what may be changed of it."""
    from realdata.experiment.presets import DEFAULT_PRESET, PRESETS
    from realdata.training.methods import METHODS

    p.add_argument(
        "--preset",
        default=DEFAULT_PRESET,
        help=f"of {', '.join(PRESETS)} (default: {DEFAULT_PRESET}); the other options change it",
    )
    p.add_argument("--methods", help=f"comma-separated, of {', '.join(METHODS)}")
    p.add_argument("--corpora", help="one or two, comma-separated: see realdata.text.corpora")
    p.add_argument("--K", type=int, help="latents")
    p.add_argument("--m", type=int, help="active latents")
    p.add_argument("--steps", type=int, help="optimiser steps of each run")
    p.add_argument("--batch-size", type=int, help="activations a step")
    p.add_argument("--tokens", type=int, help="training tokens of each corpus")
    p.add_argument("--evaluation-tokens", type=int, help="held-out tokens of each corpus")
    add_arithmetic(p, default=None)
    p.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="processes of training and threads of the model; weights do not depend on it, the"
        " cross-entropies do in their last digits (default: the machine's cores)",
    )
    p.add_argument(
        "--cache",
        type=Path,
        default=Path("out/realdata-cache"),
        help="folder for activations and weights (default: out/realdata-cache)",
    )


_OVERRIDES: Mapping[str, str] = MappingProxyType(
    {
        "K": "K",
        "m": "m",
        "steps": "n_steps",
        "batch_size": "batch_size",
        "tokens": "training_tokens",
        "evaluation_tokens": "evaluation_tokens",
        "arithmetic": "arithmetic",
        "seeds": "n_seeds",
        "seed": "seed",
        "wide": "wide",
        "splice": "splice_contexts",
        "block": "block",
    }
)


def preset_of(options: argparse.Namespace) -> "Preset":
    """Return the preset that the options ask for, changed as they say."""
    from realdata.experiment.presets import PRESETS
    from realdata.training.methods import method_names

    check_choice("preset", options.preset, PRESETS)
    check_integer("--workers", options.workers, 1)
    given = {
        field: getattr(options, name)
        for name, field in _OVERRIDES.items()
        if getattr(options, name, None) is not None
    }
    if options.methods is not None:
        given["methods"] = method_names(options.methods)
    if options.corpora is not None:
        given["corpora"] = tuple(options.corpora.split(","))
    preset = PRESETS[options.preset]
    # What was not named follows what was: the wide SAE stays as many times wider.
    K, m = given.get("K", preset.K), given.get("m", preset.m)
    given.setdefault("wide", preset.wide * K // preset.K)
    if getattr(options, "stream", False):
        from realdata.activations.blocks import BLOCK

        given.setdefault("block", preset.block or BLOCK)
    others = getattr(options, "other_m", None)
    if others is None:
        others = [other for other in preset.other_m if other <= K and other != m]
    return replace(preset, other_m=tuple(others), **given)
