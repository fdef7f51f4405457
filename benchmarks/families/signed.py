"""The toy model with codes of either sign: standard normal values.

The encoder of a top-m SAE gives no codes below 0, so that with K latents it cannot express these
samples, however long it trains: each latent serves one sign of an atom, or half of its samples
stay unexplained. Stab by absolute cosines is the one to read, since an atom's sign is arbitrary.
"""

from dataclasses import replace
from functools import partial

from benchmarks.contracts import Family, Params
from benchmarks.families import toy
from benchmarks.families._small import ALPHA, SHAPE, titled
from osae_theory.problems import NormalValues, ProblemSpec


def _spec(params: Params, seed: int) -> ProblemSpec:
    return replace(toy.FAMILY.spec(params, seed), values=NormalValues())


FAMILY = Family(
    "signed",
    "toy model with signed codes",
    (*SHAPE, ALPHA),
    _spec,
    describe=partial(titled, "signed codes"),
)
