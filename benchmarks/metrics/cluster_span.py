"""How much of the span of each cluster of true atoms its matched latents span."""

import numpy as np

from benchmarks.contracts import Metric, Scored
from osae_theory.metrics import cluster_span


def _measure(scored: Scored) -> float:
    K, K_true = scored.fitted.dictionary.shape[1], scored.problem.K
    mu = scored.matching.permutation
    latents = np.argsort(mu)[:K_true]
    partners = np.where(latents < K, latents, -1)
    return cluster_span(scored.problem.dictionary, scored.fitted.dictionary, partners)


METRIC = Metric(
    "cluster_span",
    "recovery of the spans of clusters",
    "cluster span",
    190,
    of_run=_measure,
    bounds=(0.0, 1.0),
)
