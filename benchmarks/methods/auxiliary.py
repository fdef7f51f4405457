"""Top-m SAE and OSAE with an auxiliary loss that trains dead latents on what the others leave.

Gao et al. (2024), "Scaling and evaluating sparse autoencoders" (arXiv 2406.04093), section 2.4:
weight 1/32, 32 latents a sample, dead after 100 steps without being active; see
`osae_theory.sae.DeadLatentLoss` for what differs.
"""

from dataclasses import replace

from benchmarks.contracts import Params
from benchmarks.methods._sae import full, sae_method, uniform
from osae_theory.sae import DeadLatentLoss, TrainingConfig


def _auxiliary(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    return replace(config, dead_latent_loss=DeadLatentLoss())


METHODS = (
    sae_method("topk-aux", "top-m SAE (auxiliary loss)", full, _auxiliary, tuned_as="topk"),
    sae_method("osae-aux", "OSAE (auxiliary loss)", uniform, _auxiliary, tuned_as="osae"),
)
