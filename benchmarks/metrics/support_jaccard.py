"""Jaccard index of the active latents, as their matched atoms, and the true support."""

from benchmarks.contracts import Metric, Scored
from benchmarks.metrics._supports import matched_supports
from osae_theory.metrics import support_jaccard


def _measure(scored: Scored) -> float:
    return support_jaccard(*matched_supports(scored, scored.codes))


METRIC = Metric(
    "support_jaccard",
    "Jaccard index of supports",
    "Jaccard",
    230,
    of_run=_measure,
    bounds=(0.0, 1.0),
)
