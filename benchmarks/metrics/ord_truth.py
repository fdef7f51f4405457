"""Ord(D, D*) in the order as trained, over live latents."""

from benchmarks.contracts import Metric, Scored
from benchmarks.metrics._levels import MARGIN, no_order


def _orderedness(scored: Scored) -> float:
    return scored.matching.orderedness


METRIC = Metric(
    "ord_truth",
    "Ord(D, D*), as trained",
    "Ord as trained",
    50,
    of_run=_orderedness,
    margin=MARGIN,
    bounds=(-1.0, 1.0),
    chance=no_order,
    question=True,
)
