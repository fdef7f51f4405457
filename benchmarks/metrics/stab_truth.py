"""Stab(D, D*): how alike a dictionary and the true one are, by signed cosines of matched atoms."""

from benchmarks.contracts import Metric, Scored
from benchmarks.metrics._levels import MARGIN, random_for_truth


def _stability(scored: Scored) -> float:
    return scored.stability(scored.matching)


METRIC = Metric(
    "stab_truth",
    "Stab(D, D*)",
    "Stab(D, D*)",
    20,
    of_run=_stability,
    margin=MARGIN,
    bounds=(-1.0, 1.0),
    chance=random_for_truth,
    question=True,
)
