"""Held-out fraction of variance unexplained."""

import math

from benchmarks.contracts import Metric, Scored
from osae_theory.metrics import fraction_of_variance_unexplained


def _measure(scored: Scored) -> float:
    return fraction_of_variance_unexplained(scored.heldout.data, scored.reconstruction)


METRIC = Metric(
    "fvu",
    "held-out FVU",
    "FVU",
    120,
    of_run=_measure,
    better=-1,
    bounds=(0.0, math.inf),
)
