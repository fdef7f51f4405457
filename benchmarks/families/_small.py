"""The parameters that families share, with the defaults of one small shape."""

from benchmarks.contracts import Params
from benchmarks.parameters import Parameter
from osae_theory.errors import InputError

D = Parameter("d", "integer", "dimension of the data, at least 1", default=16, at_least=1)
K = Parameter("K", "integer", "number of atoms, at least 1", default=32, at_least=1)
M = Parameter("m", "integer", "atoms a sample, from 1 to K", default=3, at_least=1)
N = Parameter("N", "integer", "training samples, at least 1", default=20_000, at_least=1)
ALPHA = Parameter(
    "alpha", "real", "Zipf exponent of the supports", default=1.2, at_least=0, at_most=20
)
SHAPE = (D, K, M, N)


def sizes(params: Params) -> tuple[int, int, int, int]:
    """Return (d, K, m, N); raise InputError if m > K."""
    d, K, m, N = (int(params[name]) for name in ("d", "K", "m", "N"))
    if m > K:
        raise InputError(f"m = {m}: expected at most K = {K}")
    return d, K, m, N


def titled(what: str, params: Params) -> str:
    """Return the title of a problem: what it is, and its parameters."""
    return f"{what}, {', '.join(f'{name} = {value}' for name, value in params.items())}"
