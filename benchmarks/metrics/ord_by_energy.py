"""Ord(D, D*) with the latents sorted by energy after training."""

from benchmarks.contracts import Metric, Scored
from benchmarks.metrics._levels import MARGIN, no_order


def _orderedness(scored: Scored) -> float:
    return scored.matching.reordered(scored.by_energy).orderedness


METRIC = Metric(
    "ord_by_energy",
    "Ord, sorted by energy",
    "Ord by energy",
    60,
    of_run=_orderedness,
    margin=MARGIN,
    bounds=(-1.0, 1.0),
    chance=no_order,
    question=True,
)
