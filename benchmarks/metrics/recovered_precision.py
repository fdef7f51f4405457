"""The share of latents that match a true atom with an absolute cosine of 0.9 or more."""

from benchmarks.contracts import Metric, Scored


def _measure(scored: Scored) -> float:
    return float(scored.matching.recovered().sum() / scored.fitted.dictionary.shape[1])


METRIC = Metric(
    "recovered_precision",
    "share of latents that recover an atom",
    "- of latents",
    105,
    of_run=_measure,
    bounds=(0.0, 1.0),
)
