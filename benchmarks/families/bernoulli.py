"""The toy model with atoms that fire independently: m of them on average.

The toy's atoms are m clocks that ring first; here they are those that ring by a given time, with
the same weights j^-alpha (`osae_theory.problems.zipf_rates`). So the number of atoms varies from
sample to sample, and some samples have none and are 0: to leave these out would change all rates.

A method still learns K atoms and may use m a sample, which is too few for some samples and too many
for others: even the true dictionary then leaves an error.
"""

from functools import partial

from benchmarks.contracts import Family, Params
from benchmarks.families._small import ALPHA, SHAPE, sizes, titled
from osae_theory.errors import InputError
from osae_theory.problems import (
    BernoulliSupports,
    GaussianDictionary,
    HalfNormalValues,
    ProblemSpec,
    zipf_rates,
)


def rates_of(params: Params) -> tuple[float, ...]:
    """Return how often each atom fires; raise InputError unless m < K."""
    _, K, m, _ = sizes(params)
    if m == K:
        raise InputError(f"m = {m}: expected less than K = {K}, for atoms to fire independently")
    return zipf_rates(K, m, float(params["alpha"]))


def learned(params: Params) -> tuple[int, int]:
    """Return K, and the mean number of atoms a sample."""
    return int(params["K"]), int(params["m"])


def _spec(params: Params, seed: int) -> ProblemSpec:
    d, K, _, N = sizes(params)
    supports = BernoulliSupports(rates_of(params))
    return ProblemSpec(GaussianDictionary(d, K), supports, HalfNormalValues(), N, seed=seed)


FAMILY = Family(
    "bernoulli",
    "independent atoms",
    (*SHAPE, ALPHA),
    _spec,
    describe=partial(titled, "independent atoms"),
    learned=learned,
)
