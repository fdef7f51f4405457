"""Held-out L0: the mean number of active latents a sample."""

import math

from benchmarks.contracts import Metric, Scored
from osae_theory.metrics import mean_l0


def _measure(scored: Scored) -> float:
    return mean_l0(scored.codes)


METRIC = Metric(
    "l0",
    "held-out L0",
    "L0",
    140,
    of_run=_measure,
    better=0,
    bounds=(0.0, math.inf),
)
