"""Stab(D, D*) by absolute cosines: an atom's sign does not count."""

from benchmarks.contracts import Metric, Scored
from benchmarks.metrics._levels import MARGIN


def _stability(scored: Scored) -> float:
    return scored.stability(scored.matched(absolute=True))


METRIC = Metric(
    "stab_truth_abs",
    "Stab(D, D*), absolute cosines",
    "- |cosine|",
    40,
    of_run=_stability,
    margin=MARGIN,
    bounds=(0.0, 1.0),
)
