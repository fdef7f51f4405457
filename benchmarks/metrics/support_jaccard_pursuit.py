"""Jaccard index of supports by matching pursuit on the learned dictionary, and the true ones.

Beside that of the run's own codes it says whether the encoder fails or the dictionary.
"""

import numpy as np

from benchmarks.contracts import Metric, Scored
from benchmarks.metrics._supports import matched_supports
from osae_theory.metrics import support_jaccard
from osae_theory.metrics.matching import unit_columns
from osae_theory.pursuit import nonnegative_omp


def _measure(scored: Scored) -> float:
    # As many atoms a sample as the run's own encoder uses at most.
    most = int(np.count_nonzero(scored.codes, axis=0).max())
    atoms = unit_columns(scored.fitted.dictionary).T
    found = nonnegative_omp(scored.heldout.rows(np.float64)[0], atoms, max(most, 1))
    codes = found.dense(len(atoms)).T
    return support_jaccard(*matched_supports(scored, codes))


METRIC = Metric(
    "support_jaccard_pursuit",
    "Jaccard index of supports by pursuit",
    "Jaccard, pursuit",
    240,
    of_run=_measure,
    bounds=(0.0, 1.0),
)
