"""F1 of latents as detectors of their matched atoms on held-out samples, the mean."""

from benchmarks.contracts import Metric, Scored
from benchmarks.metrics._supports import detected


def _measure(scored: Scored) -> float:
    return detected(scored).f1


METRIC = Metric(
    "f1",
    "F1 of detection",
    "F1",
    220,
    of_run=_measure,
    bounds=(0.0, 1.0),
)
