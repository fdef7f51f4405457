"""Stab(D, D*) on the scale where random dictionaries score 0 and the true one scores 1."""

from benchmarks.contracts import Metric, Shape
from benchmarks.metrics._levels import random_for_truth
from osae_theory.metrics import corrected


def _over_chance(value: float, shape: Shape) -> float:
    return corrected(value, random_for_truth(shape))


METRIC = Metric(
    "stab_truth_corrected",
    "Stab(D, D*), chance-corrected",
    "- over chance",
    30,
    of_value=("stab_truth", _over_chance),
    bounds=(float("-inf"), 1.0),
    chance=lambda shape: 0.0,
)
