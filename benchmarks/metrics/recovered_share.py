"""The share of true atoms that a latent matches with an absolute cosine of 0.9 or more."""

from benchmarks.contracts import Metric, Scored


def _measure(scored: Scored) -> float:
    return float(scored.matching.recovered().sum() / scored.problem.K)


METRIC = Metric(
    "recovered_share",
    "share of recovered atoms",
    "recovered",
    100,
    of_run=_measure,
    better=1,
    bounds=(0.0, 1.0),
)
