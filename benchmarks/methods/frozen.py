"""Controls: top-m SAEs whose random atoms are frozen, or kept near where they started.

Korznikov et al. (2026), "Sanity checks for sparse autoencoders" (arXiv 2602.14111). What such an
SAE scores as high as a trained one in says nothing of what was learned. The encoder is trained as
everywhere.
"""

from dataclasses import replace

from benchmarks.contracts import Params
from benchmarks.methods._sae import full, sae_method
from benchmarks.parameters import Parameter
from osae_theory.sae import FrozenDecoder, NearDecoder, TrainingConfig

COSINE = Parameter(
    "cosine",
    "real",
    "least cosine of an atom with where it started, in [0, 1]",
    default=0.8,
    at_least=0,
    at_most=1,
)


def frozen(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    """Return a configuration that trains the encoder alone."""
    return replace(config, decoder=FrozenDecoder())


def _near(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    return replace(config, decoder=NearDecoder(float(params["cosine"])))


METHODS = (
    sae_method("frozen-decoder", "top-m SAE (frozen decoder)", full, frozen, tuned_as="topk"),
    sae_method(
        "softly-frozen-decoder",
        "top-m SAE (softly frozen decoder)",
        full,
        _near,
        parameters=(COSINE,),
        tuned_as="topk",
    ),
)
