"""Vanilla ReLU SAE: every positive latent is active in training, at the price of an L1 penalty.

||x - D z||^2 + l1 sum_j |z_j|, atoms of unit norm, the penalty risen linearly from 0 over the first
5% of the steps (Bricken et al. 2023, "Towards monosemanticity"; Cunningham et al. 2023, arXiv
2309.08600). There is no k warm-up. At measurement the m largest latents of each sample are kept, so
that every method is compared at the same sparsity; codes stay as much too small as the penalty
makes them.
"""

from dataclasses import replace

from benchmarks.contracts import Params
from benchmarks.methods._sae import full, sae_method
from benchmarks.parameters import Parameter
from osae_theory.sae import CodePenalty, SparsityWarmup, TrainingConfig

L1 = Parameter(
    "l1",
    "real",
    "weight of the L1 penalty beside the squared error of a sample, at least 0",
    candidates=(0.02, 0.04, 0.08, 0.16, 0.32),
    at_least=0,
)


def _dense(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    return replace(
        config,
        n_nonzero=K,
        sparsity_warmup=SparsityWarmup(0.0),
        code_penalty=CodePenalty(float(params["l1"])),
    )


METHOD = sae_method("relu-l1", "ReLU SAE (L1)", full, _dense, parameters=(L1,))
