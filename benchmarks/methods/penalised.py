"""Top-m SAE with an L1 penalty that grows with the latent's index, c_j = j / K.

||x - D z||^2 + strength sum_j c_j |z_j|: the relaxation of claim T6's penalty, which counts active
latents with the weights c_j and so has no slope. The penalty rises linearly over the first 5% of
the steps. Codes of late latents stay as much too small as it makes them. The control has the same
weight for every latent: what it gains is not the order's.
"""

from dataclasses import replace

from benchmarks.contracts import Params
from benchmarks.methods._sae import full, sae_method
from benchmarks.parameters import Parameter
from osae_theory.sae import CodePenalty, TrainingConfig

STRENGTH = Parameter(
    "strength",
    "real",
    "weight of the penalty beside the squared error of a sample, at least 0",
    candidates=(0.01, 0.03, 0.1, 0.3, 1.0),
    at_least=0,
)


def _penalised(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    return replace(config, code_penalty=CodePenalty.increasing(float(params["strength"]), K))


def _evenly(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    return replace(config, code_penalty=CodePenalty(float(params["strength"])))


METHODS = (
    sae_method("penalised", "top-m SAE (increasing L1)", full, _penalised, parameters=(STRENGTH,)),
    sae_method("topk-l1", "top-m SAE (L1)", full, _evenly, parameters=(STRENGTH,)),
)
