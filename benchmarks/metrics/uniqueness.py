"""How many true atoms are the nearest one of some latent, as a share of the latents."""

from benchmarks.contracts import Metric, Scored
from osae_theory.metrics import feature_uniqueness


def _measure(scored: Scored) -> float:
    return feature_uniqueness(scored.fitted.dictionary, scored.problem.dictionary)


METRIC = Metric(
    "uniqueness",
    "uniqueness",
    "uniqueness",
    170,
    of_run=_measure,
    bounds=(0.0, 1.0),
)
