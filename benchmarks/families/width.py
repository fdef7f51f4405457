"""The toy model, of which another number of atoms is learned, or another number used a sample.

With fewer atoms than there are, the frequent ones should be learned; with more, each once. Stab and
Ord are over as many pairs as the narrower of the two dictionaries has atoms.
"""

from functools import partial

from benchmarks.contracts import Family, Params
from benchmarks.families import toy
from benchmarks.families._small import ALPHA, SHAPE, titled
from benchmarks.parameters import Parameter
from osae_theory.errors import InputError
from osae_theory.problems import ProblemSpec

LEARNED_K = Parameter(
    "learned_K", "integer", "atoms to learn; 0 is as many as there are", default=16, at_least=0
)
LEARNED_M = Parameter(
    "learned_m",
    "integer",
    "learned atoms a sample may use, at most learned_K; 0 is m",
    default=0,
    at_least=0,
)


def _learned(params: Params) -> tuple[int, int]:
    K, m = int(params["learned_K"]), int(params["learned_m"])
    return K or int(params["K"]), m or int(params["m"])


def _spec(params: Params, seed: int) -> ProblemSpec:
    K, m = _learned(params)
    if m > K:
        raise InputError(f"learned_m = {m}: expected at most learned_K = {K}")
    return toy.FAMILY.spec(params, seed)


FAMILY = Family(
    "width",
    "toy model, another width learned",
    (*SHAPE, ALPHA, LEARNED_K, LEARNED_M),
    _spec,
    describe=partial(titled, "another width"),
    learned=_learned,
)
