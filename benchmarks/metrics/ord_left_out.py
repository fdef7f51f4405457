"""The share of latents that Ord leaves out: those never active, or matched to an absent atom."""

from benchmarks.contracts import Metric, Scored


def _measure(scored: Scored) -> float:
    return scored.matching.left_out


METRIC = Metric(
    "ord_left_out",
    "share left out of Ord",
    "left out of Ord",
    90,
    of_run=_measure,
    better=0,
    bounds=(0.0, 1.0),
)
