"""The share of latents that are never active on the training samples."""

from benchmarks.contracts import Metric, Scored


def _measure(scored: Scored) -> float:
    return float(scored.latents.dead.mean())


METRIC = Metric(
    "dead_share",
    "share of dead latents",
    "dead",
    150,
    of_run=_measure,
    better=-1,
    bounds=(0.0, 1.0),
)
