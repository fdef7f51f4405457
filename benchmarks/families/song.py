"""The Zipf sweep of the paper's Fig. 10: Gaussian atoms, d = 16, K = 32, m = 3, alpha swept.

After Song et al. (2025), arXiv 2505.20254, as the paper describes it: the toy model at one small
shape, with the skew of the supports as its axis.
"""

from benchmarks.contracts import Family, Params
from benchmarks.parameters import Parameter
from osae_theory.problems import ProblemSpec, toy_spec

D, K, M = 16, 32, 3


def _spec(params: Params, seed: int) -> ProblemSpec:
    return toy_spec(D, K, M, int(params["N"]), float(params["alpha"]), seed)


def _title(params: Params) -> str:
    return f"d = {D}, K = {K}, m = {M}, N = {params['N']}, alpha = {params['alpha']}"


FAMILY = Family(
    "song",
    "Zipf sweep at d = 16, K = 32, m = 3",
    (
        Parameter("alpha", "real", "Zipf exponent of the supports", default=1.0, at_least=0),
        Parameter("N", "integer", "training samples, at least 1", default=50_000, at_least=1),
    ),
    _spec,
    describe=_title,
)
