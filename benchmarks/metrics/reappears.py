"""The share of atoms that another run's match with an absolute cosine of 0.9 or more."""

import numpy as np
from jaxtyping import Float

from benchmarks.contracts import Metric
from osae_theory.metrics import match


def _measure(first: Float[np.ndarray, "d K"], second: Float[np.ndarray, "d K"]) -> float:
    return match(first, second).recovered_share()


METRIC = Metric(
    "reappears",
    "share of atoms that reappear",
    "reappearing",
    180,
    of_pair=_measure,
    bounds=(0.0, 1.0),
)
