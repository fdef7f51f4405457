"""OSAE: nested dropout over every prefix of the dictionary; uniform law, and variants.

The variants: a Zipf law with the toy's exponent; a geometric law; mass p_K on l = K and the rest
uniform; one prefix a step, drawn from the uniform law, in place of all of them; a law annealed to
the plain loss between 30% and 70% of the training; unit sweeping over the second half, one unit at
a time; latents put in order of their energy every 50 steps.
"""

from benchmarks.contracts import Params
from benchmarks.methods._sae import resorted, sae_method, swept, uniform
from benchmarks.parameters import Parameter
from osae_theory.prefixes import AnnealedLaw, PrefixLaw, SampledPrefix

ALPHA = Parameter("alpha", "real", "exponent of the Zipf law", default=1.2)
RATIO = Parameter(
    "ratio", "real", "ratio of the geometric law, in (0, 1]", default=0.95, above=0, at_most=1
)
MASS = Parameter("p_K", "real", "mass on l = K, in [0, 1]", default=0.9, at_least=0, at_most=1)


def _zipf(K: int, params: Params) -> PrefixLaw:
    return PrefixLaw.zipf(K, float(params["alpha"]))


def _geometric(K: int, params: Params) -> PrefixLaw:
    return PrefixLaw.geometric(K, float(params["ratio"]))


def _massed(K: int, params: Params) -> PrefixLaw:
    return PrefixLaw.massed(K, float(params["p_K"]))


def _sampled(K: int, params: Params) -> SampledPrefix:
    return SampledPrefix(PrefixLaw.uniform(K))


def _annealed(K: int, params: Params) -> AnnealedLaw:
    return AnnealedLaw(PrefixLaw.uniform(K), begin=0.3, end=0.7)


METHODS = (
    sae_method("osae", "OSAE", uniform),
    sae_method("osae-zipf", "OSAE (Zipf law)", _zipf, parameters=(ALPHA,), tuned_as="osae"),
    sae_method(
        "osae-geometric", "OSAE (geometric law)", _geometric, parameters=(RATIO,), tuned_as="osae"
    ),
    sae_method("osae-massed", "OSAE (mass on K)", _massed, parameters=(MASS,), tuned_as="osae"),
    sae_method("osae-sampled", "OSAE (one prefix a step)", _sampled, tuned_as="osae"),
    sae_method("osae-annealed", "OSAE (annealed)", _annealed),
    sae_method("osae-resorted", "OSAE (re-sorted)", uniform, resorted, tuned_as="osae"),
    sae_method("osae-swept", "OSAE (unit sweeping)", uniform, swept, tuned_as="osae"),
)
