"""OSAE: nested dropout over every prefix of the dictionary; uniform law, and variants.

The variants: a Zipf law with the toy's exponent; a law annealed to the plain loss between
30% and 70% of the training; unit sweeping over the second half, one unit at a time.
"""

from dataclasses import replace

from benchmarks.methods.base import SAEMethod
from osae_theory.prefixes import AnnealedLaw, PrefixLaw
from osae_theory.sae import TrainingConfig, UnitSweep

ZIPF_ALPHA = 1.2


def _zipf(K: int) -> PrefixLaw:
    return PrefixLaw.zipf(K, ZIPF_ALPHA)


def _annealed(K: int) -> AnnealedLaw:
    return AnnealedLaw(PrefixLaw.uniform(K), begin=0.3, end=0.7)


def _swept(config: TrainingConfig, K: int) -> TrainingConfig:
    burn_in = config.n_steps // 2
    every = max(1, (config.n_steps - burn_in) // K)
    return replace(config, unit_sweep=UnitSweep(burn_in, every))


OSAE = SAEMethod("osae", "OSAE", PrefixLaw.uniform)
OSAE_ZIPF = SAEMethod("osae-zipf", "OSAE (Zipf law)", _zipf)
OSAE_ANNEALED = SAEMethod("osae-annealed", "OSAE (annealed)", _annealed)
OSAE_SWEPT = SAEMethod("osae-swept", "OSAE (unit sweeping)", PrefixLaw.uniform, _swept)
