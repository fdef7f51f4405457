"""The methods under test: one file each, listed here and nowhere else."""

from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.methods.base import Fitted, Method, SAEMethod, tuned_learning_rate
from benchmarks.methods.msae_fixed import MSAE_FIXED, MSAE_FIXED_DOUBLING
from benchmarks.methods.msae_random import MSAE_RANDOM, MSAE_RANDOM_FREE
from benchmarks.methods.osae import OSAE, OSAE_ANNEALED, OSAE_SWEPT, OSAE_ZIPF
from benchmarks.methods.topk import TOPK
from osae_theory.errors import InputError, check_choice

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        method.name: method
        for method in (
            TOPK,
            MSAE_FIXED,
            MSAE_RANDOM,
            OSAE,
            MSAE_FIXED_DOUBLING,
            MSAE_RANDOM_FREE,
            OSAE_ZIPF,
            OSAE_ANNEALED,
            OSAE_SWEPT,
        )
    }
)
PAPER_METHODS = ("topk", "msae-fixed", "msae-random", "osae")


def method_names(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list of methods, each known, none twice."""
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        check_choice("method", name, METHODS)
    if len(set(names)) < len(names):
        raise InputError(f"methods {text!r}: expected each method once")
    return names


__all__ = [
    "METHODS",
    "PAPER_METHODS",
    "Fitted",
    "Method",
    "SAEMethod",
    "method_names",
    "tuned_learning_rate",
]
