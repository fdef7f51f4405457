"""The paper's toy model (section 3.1): Gaussian atoms, Zipf supports, half-normal codes."""

from benchmarks.contracts import Family, Params
from benchmarks.parameters import Parameter
from osae_theory.errors import InputError
from osae_theory.problems import ProblemSpec, toy_spec


def _spec(params: Params, seed: int) -> ProblemSpec:
    d, K, m, N = (int(params[name]) for name in ("d", "K", "m", "N"))
    if m > K:
        raise InputError(f"m = {m}: expected at most K = {K}")
    return toy_spec(d, K, m, N, float(params["alpha"]), seed)


def _title(params: Params) -> str:
    return ", ".join(f"{name} = {params[name]}" for name in ("d", "K", "m", "N", "alpha"))


FAMILY = Family(
    "toy",
    "toy Gaussian model",
    (
        Parameter("d", "integer", "dimension of the data, at least 1", at_least=1),
        Parameter("K", "integer", "number of atoms, at least 1", at_least=1),
        Parameter("m", "integer", "atoms a sample, from 1 to K", at_least=1),
        Parameter("N", "integer", "training samples, at least 1", at_least=1),
        Parameter("alpha", "real", "Zipf exponent of the supports", default=1.2, at_least=0),
    ),
    _spec,
    describe=_title,
)
