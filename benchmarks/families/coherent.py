"""The toy model with atoms in clusters about centres, any two of a cluster at a given cosine.

How well are nearly parallel atoms told apart? Neighbours in the order are in different clusters:
each cluster has frequent and rare atoms.
"""

from functools import partial

from benchmarks.contracts import Family, Params
from benchmarks.families._small import ALPHA, SHAPE, sizes, titled
from benchmarks.parameters import Parameter
from osae_theory.errors import InputError
from osae_theory.problems import (
    GroupedDictionary,
    HalfNormalValues,
    ProblemSpec,
    ZipfSupports,
)

COHERENCE = Parameter(
    "coherence", "real", "cosine of two atoms of a cluster", default=0.7, at_least=0, below=1
)
CLUSTER = Parameter(
    "cluster", "integer", "atoms in a cluster, at least 2 and less than d", default=4, at_least=2
)


def _spec(params: Params, seed: int) -> ProblemSpec:
    d, K, m, N = sizes(params)
    size = int(params["cluster"])
    if size >= d:
        raise InputError(f"cluster = {size}: expected less than d = {d}")
    return ProblemSpec(
        GroupedDictionary(d, K, size, float(params["coherence"])),
        ZipfSupports(m, float(params["alpha"])),
        HalfNormalValues(),
        N,
        seed=seed,
    )


FAMILY = Family(
    "coherent",
    "clusters of coherent atoms",
    (*SHAPE, ALPHA, COHERENCE, CLUSTER),
    _spec,
    describe=partial(titled, "clusters of atoms"),
)
