"""Stab(D, D'): how alike the dictionaries of two runs are, by signed cosines of matched atoms."""

from benchmarks.contracts import Metric
from benchmarks.metrics._levels import MARGIN, random_dictionaries
from osae_theory.metrics import stability

METRIC = Metric(
    "stab_pairs",
    "Stab(D, D')",
    "Stab(D, D')",
    10,
    of_pair=stability,
    margin=MARGIN,
    bounds=(-1.0, 1.0),
    chance=random_dictionaries,
)
