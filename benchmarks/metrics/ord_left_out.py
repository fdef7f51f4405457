"""The share of pairs that Ord leaves out: a latent never active, or a true atom that is absent."""

from benchmarks.contracts import Metric, Scored


def _measure(scored: Scored) -> float:
    live = scored.matching.live
    assert live is not None
    return float((scored.n_pairs - live.sum()) / scored.n_pairs)


METRIC = Metric(
    "ord_left_out",
    "share left out of Ord",
    "left out of Ord",
    90,
    of_run=_measure,
    better=0,
    bounds=(0.0, 1.0),
)
