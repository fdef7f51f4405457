"""Held-out mean squared error."""

import math

from benchmarks.contracts import Metric, Scored
from osae_theory.metrics import mean_squared_error


def _measure(scored: Scored) -> float:
    return mean_squared_error(scored.heldout.data, scored.reconstruction)


METRIC = Metric(
    "mse",
    "held-out MSE",
    "MSE",
    110,
    of_run=_measure,
    better=-1,
    bounds=(0.0, math.inf),
    question=True,
)
