"""The methods that are trained on activations: a schedule of prefix laws and a selection each.

Budget, warm-up, optimiser and initialisation are the same for all; a method has its own prefix
law, its own way to select active latents, and a learning rate chosen by one protocol
(`realdata.experiment.tuning`). Matryoshka groups take the fractions 1/32, 1/16, 1/8, 1/4 and 17/32
of the dictionary, so that they end at 128, 384, 896, 1920 and 4096 of 4096: the first is the
paper's, the others are ours. OSAE spreads each group's mass evenly over its indices (paper, section
3.2).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from osae_theory.errors import InputError, check_choice
from osae_theory.prefixes import (
    AnnealedLaw,
    ExactPenalty,
    FitSchedule,
    PrefixLaw,
    RandomPrefixes,
    WeightSchedule,
)
from osae_theory.prefixes import matryoshka_group_ends as group_ends
from osae_theory.sae import Resampling, Resorting

LEARNING_RATES = resources.files("realdata.training") / "learning_rates.json"


@dataclass(frozen=True)
class TrainingMethod:
    """A sparse autoencoder's training method.

    Attributes
    ----------
    name : str
        On the command line and in tables.
    schedule : callable
        Gives the prefix law, or schedule of laws, for K atoms.
    activation : {"relu", "batch"}
        The m largest latents of each sample, or the n m largest of a batch of n.
    resampling : Resampling or None
        When the least useful latents start anew at the largest residuals, if ever.
    resorting : Resorting or None
        When latents are put in order of their running energy, if ever.
    tuned_as : str
        The method that it is with one thing changed, whose learning rate it has; empty if it has
        its own.
    """

    name: str
    schedule: Callable[[int], WeightSchedule | FitSchedule]
    activation: str = "relu"
    resampling: Resampling | None = None
    resorting: Resorting | None = None
    tuned_as: str = ""


def _fixed_groups(K: int) -> PrefixLaw:
    return PrefixLaw.groups(K, group_ends(K))


def _random_prefixes(K: int) -> RandomPrefixes:
    # As many prefixes a step as there are groups, the last one K.
    return RandomPrefixes(K, min(len(group_ends(K)) - 1, K - 1))


def _piecewise(K: int) -> PrefixLaw:
    return PrefixLaw.piecewise(K, group_ends(K))


def _annealed(K: int) -> AnnealedLaw:
    return AnnealedLaw(_piecewise(K))


def _exact_penalty(K: int) -> ExactPenalty:
    # The strength that the toy's protocol chose at the paper's cell.
    return ExactPenalty(_piecewise(K), strength=0.5)


# As on the toy.
_RESORTING = Resorting(every=50)

METHODS: Mapping[str, TrainingMethod] = MappingProxyType(
    {
        method.name: method
        for method in (
            TrainingMethod("topk", PrefixLaw.full),
            TrainingMethod(
                "topk-resampled", PrefixLaw.full, resampling=Resampling(), tuned_as="topk"
            ),
            TrainingMethod(
                "topk-resampled-resorted",
                PrefixLaw.full,
                resampling=Resampling(),
                resorting=_RESORTING,
                tuned_as="topk",
            ),
            TrainingMethod("batch-topk", PrefixLaw.full, "batch"),
            TrainingMethod("msae-fixed", _fixed_groups),
            TrainingMethod("msae-random", _random_prefixes),
            TrainingMethod("osae", _piecewise),
            TrainingMethod("osae-annealed", _annealed),
            TrainingMethod("osae-exact", _exact_penalty),
        )
    }
)
DEFAULT_METHODS = ("topk", "batch-topk", "msae-fixed", "msae-random", "osae")


def method_names(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list of methods, each known, none twice."""
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        check_choice("method", name, METHODS)
    if len(set(names)) < len(names):
        raise InputError(f"methods {text!r}: expected each method once")
    return names


def tuned_learning_rate(method: str, preset: str) -> float:
    """Return the learning rate that `python -m realdata tune` chose for a method and preset.

    A method that is another one with one thing changed has that one's.

    Raises
    ------
    InputError
        If the method has not been tuned for the preset.
    """
    tuned = json.loads(LEARNING_RATES.read_text("utf-8")) if LEARNING_RATES.is_file() else {}
    rates = tuned.get(preset, {}).get("chosen", {})
    known = METHODS.get(method)
    if known is not None and known.tuned_as:
        method = known.tuned_as
    if method not in rates:
        raise InputError(
            f"method {method!r} has no learning rate tuned for {preset!r}: expected --lr, or a"
            f" run of 'python -m realdata tune --preset {preset} --methods {method}' first"
        )
    return float(rates[method])
