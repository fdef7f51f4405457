"""Mean correlation coefficient: held-out codes against the true ones, matched by |Pearson|."""

from benchmarks.contracts import Metric, Scored
from osae_theory.metrics import mean_correlation


def _measure(scored: Scored) -> float:
    return mean_correlation(scored.codes, scored.heldout.codes)


METRIC = Metric(
    "mcc",
    "MCC of codes",
    "MCC of codes",
    160,
    of_run=_measure,
    bounds=(0.0, 1.0),
)
