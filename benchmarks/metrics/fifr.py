"""FIFR error: the error of each feature's part of the data, its mean over features."""

import math

from benchmarks.contracts import Metric, Scored
from osae_theory.metrics import fifr_error


def _measure(scored: Scored) -> float:
    return fifr_error(
        scored.heldout.dictionary,
        scored.heldout.codes,
        scored.fitted.dictionary,
        scored.codes,
    )


METRIC = Metric(
    "fifr",
    "FIFR error",
    "FIFR",
    130,
    of_run=_measure,
    better=-1,
    bounds=(0.0, math.inf),
)
