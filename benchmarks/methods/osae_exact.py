"""OSAE with an exact penalty: the residual is not squared, so that the law follows the fit.

||X - D Y||_F + lambda L_q, q uniform (claim A), which is nested dropout that anneals itself. The
variants: latents put in order of their energy every 50 steps; residuals taken sample by sample.
"""

from benchmarks.contracts import Params
from benchmarks.methods._sae import resorted, sae_method
from benchmarks.parameters import Parameter
from osae_theory.prefixes import ExactPenalty, PrefixLaw

STRENGTH = Parameter(
    "strength",
    "real",
    "weight of the ordering loss, 2 lambda ||X||_F, above 0",
    candidates=(0.125, 0.25, 0.5, 1.0, 2.0),
    above=0,
)


def together(K: int, params: Params) -> ExactPenalty:
    """Return the exact penalty on the residual of all samples, with the uniform law."""
    return ExactPenalty(PrefixLaw.uniform(K), float(params["strength"]))


def _by_sample(K: int, params: Params) -> ExactPenalty:
    return ExactPenalty(PrefixLaw.uniform(K), float(params["strength"]), by_sample=True)


METHODS = (
    sae_method("osae-exact", "OSAE (exact penalty)", together, parameters=(STRENGTH,)),
    sae_method(
        "osae-exact-resorted",
        "OSAE (exact penalty, re-sorted)",
        together,
        resorted,
        parameters=(STRENGTH,),
        tuned_as="osae-exact",
    ),
    sae_method(
        "osae-exact-by-sample",
        "OSAE (exact penalty by sample)",
        _by_sample,
        parameters=(STRENGTH,),
        tuned_as="osae-exact",
    ),
)
