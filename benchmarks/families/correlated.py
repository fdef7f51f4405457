"""Atoms that fire together: groups of neighbours in the order share a common cause.

The rates are those of the family `bernoulli`, m atoms a sample on average, and so is its law at
strength 0. An atom fires where a normal number exceeds its threshold; the numbers of a group have
the correlation `strength`, those of different groups none (a Gaussian copula). Near strength 1 a
rarer atom of a group fires only where the more frequent ones do, and is hardly told from them.
"""

import math
from functools import partial

from benchmarks.contracts import Family, Params
from benchmarks.families import bernoulli
from benchmarks.families._small import sizes, titled
from benchmarks.parameters import Parameter
from osae_theory.errors import InputError
from osae_theory.problems import (
    CopulaSupports,
    GaussianDictionary,
    HalfNormalValues,
    ProblemSpec,
)

STRENGTH = Parameter(
    "strength",
    "real",
    "correlation of the normal numbers behind two atoms of a group",
    default=0.8,
    at_least=0,
    at_most=1,
)
GROUP = Parameter(
    "group", "integer", "atoms that fire together, from 2 to K", default=2, at_least=2
)


def _spec(params: Params, seed: int) -> ProblemSpec:
    d, K, _, N = sizes(params)
    size = int(params["group"])
    if size > K:
        raise InputError(f"group = {size}: expected at most K = {K}")
    loading = math.sqrt(float(params["strength"]))
    n_groups = -(-K // size)
    loadings = tuple(
        tuple(loading if j // size == group else 0.0 for group in range(n_groups)) for j in range(K)
    )
    supports = CopulaSupports(bernoulli.rates_of(params), loadings)
    return ProblemSpec(GaussianDictionary(d, K), supports, HalfNormalValues(), N, seed=seed)


FAMILY = Family(
    "correlated",
    "atoms that fire together",
    (*bernoulli.FAMILY.parameters, STRENGTH, GROUP),
    _spec,
    describe=partial(titled, "atoms that fire together"),
    learned=bernoulli.learned,
)
