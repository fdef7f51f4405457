"""Atoms that are all alike: equally frequent and of equal energy, m / K each.

There is no true order. An Ord here is chance: over problem draws its mean is 0, however atoms are
put in order, and a method whose Ord is reliably another number reads the order of the truth from
somewhere else than the data. Stab and the errors mean what they always do. Two runs of a method
may still agree on an order of their own, that of the samples' accidental counts.
"""

from functools import partial

from benchmarks.contracts import Family, Params
from benchmarks.families._small import SHAPE, sizes, titled
from osae_theory.problems import (
    GaussianDictionary,
    HalfNormalValues,
    ProblemSpec,
    UniformSupports,
)


def _spec(params: Params, seed: int) -> ProblemSpec:
    d, K, m, N = sizes(params)
    return ProblemSpec(
        GaussianDictionary(d, K), UniformSupports(m), HalfNormalValues(), N, seed=seed
    )


FAMILY = Family(
    "equal-frequency",
    "equally frequent atoms",
    SHAPE,
    _spec,
    describe=partial(titled, "equal frequencies"),
)
