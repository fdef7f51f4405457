"""Laws of the prefix length l in nested dropout, and the survival weights they give the atoms.

A method of the paper is a law of l on {1..K}, seen by the loss only through the survival
weights w_j = P(l >= j):

- top-m SAE: all mass on l = K, so w = 1 (`PrefixLaw.full`);
- Matryoshka SAE, fixed groups: mass on a few group ends (`PrefixLaw.groups`);
- Matryoshka SAE, random groups: prefixes drawn anew each step (`RandomPrefixes`);
- OSAE: mass on every l (`PrefixLaw.uniform`, `.zipf`, `.geometric`, `.massed`, `.piecewise`);
- OSAE with one prefix a step, drawn from such a law (`SampledPrefix`);
- annealed OSAE: a law that moves to l = K during training (`AnnealedLaw`);
- exact penalty: a law that moves to l = K as the data are fitted (`ExactPenalty`).
"""

from osae_theory.prefixes.exact_penalty import ExactPenalty
from osae_theory.prefixes.laws import (
    PrefixLaw,
    equal_group_ends,
    geometric_group_ends,
    matryoshka_group_ends,
)
from osae_theory.prefixes.schedules import (
    AnnealedLaw,
    FitSchedule,
    RandomPrefixes,
    SampledPrefix,
    WeightSchedule,
    as_law,
    as_schedule,
    check_survival,
)

__all__ = [
    "AnnealedLaw",
    "ExactPenalty",
    "FitSchedule",
    "PrefixLaw",
    "RandomPrefixes",
    "SampledPrefix",
    "WeightSchedule",
    "as_law",
    "as_schedule",
    "check_survival",
    "equal_group_ends",
    "geometric_group_ends",
    "matryoshka_group_ends",
]
