"""Ord(D, D*) over the atoms that were recovered: absolute cosine of 0.9 or more."""

from benchmarks.contracts import Metric, Scored
from benchmarks.metrics._levels import MARGIN


def _measure(scored: Scored) -> float:
    return scored.matching.recovered_orderedness()


METRIC = Metric(
    "ord_recovered",
    "Ord over recovered atoms",
    "Ord, recovered",
    80,
    of_run=_measure,
    better=1,
    bounds=(-1.0, 1.0),
    margin=MARGIN,
)
