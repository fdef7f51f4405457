"""FIFR error: the error of each feature's part of the data, its mean over features."""

import math

from benchmarks.contracts import Metric, Scored, padded
from osae_theory.metrics import fifr_error


def _measure(scored: Scored) -> float:
    truth, fitted = scored.heldout, scored.fitted.dictionary
    width = max(truth.K, fitted.shape[1])
    return fifr_error(
        padded(truth.dictionary, width),
        padded(truth.codes.T, width).T,
        padded(fitted, width),
        padded(scored.codes.T, width).T,
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
