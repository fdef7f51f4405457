"""Recall of latents as detectors of their matched atoms on held-out samples, the mean."""

from benchmarks.contracts import Metric, Scored
from benchmarks.metrics._supports import detected


def _measure(scored: Scored) -> float:
    return detected(scored).recall


METRIC = Metric(
    "recall",
    "recall of detection",
    "recall",
    210,
    of_run=_measure,
    bounds=(0.0, 1.0),
)
