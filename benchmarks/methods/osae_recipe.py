"""The paper's whole recipe for OSAE: k warm-up, unit sweeping and a piecewise prefix law.

Wang et al. (2025): the number of active latents falls from K to m over training; after a burn-in
one more unit is frozen every so many steps, the first first (section 3.1); five groups carry equal
mass, each spread evenly over its indices (section 3.2).

What the paper leaves open, and what is chosen here: the toy's groups end at 1/32, 3/32, 7/32, 15/32
and all of K, as those of which the first has 128 of 4,096 atoms; their masses are equal; the
warm-up ends at half of the training, as every method's does (warmup=1 falls to m at the very end,
when most units are frozen already); the burn-in is the first half too, and units are frozen at such
a pace that the last one is frozen at the end. A K too small for five groups has those there are.
Budget, learning-rate schedule and batches are every method's.
"""

from dataclasses import replace

from benchmarks.contracts import Params
from benchmarks.methods._sae import sae_method, swept
from benchmarks.parameters import Parameter
from osae_theory.prefixes import PrefixLaw, matryoshka_group_ends
from osae_theory.sae import SparsityWarmup, TrainingConfig

WARMUP = Parameter(
    "warmup",
    "real",
    "share of the training over which k falls from K to m, in [0, 1]",
    default=0.5,
    at_least=0,
    at_most=1,
)


def _piecewise(K: int, params: Params) -> PrefixLaw:
    return PrefixLaw.piecewise(K, matryoshka_group_ends(K))


def _recipe(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    return replace(
        swept(config, K, params), sparsity_warmup=SparsityWarmup(float(params["warmup"]))
    )


METHOD = sae_method(
    "osae-recipe", "OSAE (the paper's recipe)", _piecewise, _recipe, parameters=(WARMUP,)
)
