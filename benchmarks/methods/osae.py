"""OSAE: nested dropout over every prefix of the dictionary; uniform law, and variants.

The variants: a Zipf law with the toy's exponent; a law annealed to the plain loss between
30% and 70% of the training; unit sweeping over the second half, one unit at a time; latents
put in order of their energy every 50 steps.
"""

from dataclasses import replace

from benchmarks.contracts import Params
from benchmarks.methods._sae import resorted, sae_method
from benchmarks.parameters import Parameter
from osae_theory.prefixes import AnnealedLaw, PrefixLaw
from osae_theory.sae import TrainingConfig, UnitSweep

ALPHA = Parameter("alpha", "real", "exponent of the Zipf law", default=1.2)


def _uniform(K: int, params: Params) -> PrefixLaw:
    return PrefixLaw.uniform(K)


def _zipf(K: int, params: Params) -> PrefixLaw:
    return PrefixLaw.zipf(K, float(params["alpha"]))


def _annealed(K: int, params: Params) -> AnnealedLaw:
    return AnnealedLaw(PrefixLaw.uniform(K), begin=0.3, end=0.7)


def _swept(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    burn_in = config.n_steps // 2
    every = max(1, (config.n_steps - burn_in) // K)
    return replace(config, unit_sweep=UnitSweep(burn_in, every))


METHODS = (
    sae_method("osae", "OSAE", _uniform),
    sae_method("osae-zipf", "OSAE (Zipf law)", _zipf, parameters=(ALPHA,)),
    sae_method("osae-annealed", "OSAE (annealed)", _annealed),
    sae_method("osae-resorted", "OSAE (re-sorted)", _uniform, resorted, tuned_as="osae"),
    sae_method("osae-swept", "OSAE (unit sweeping)", _uniform, _swept, tuned_as="osae"),
)
