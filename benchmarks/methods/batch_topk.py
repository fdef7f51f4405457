"""Batch top-m SAE: in training the n m largest latents of n samples together are active.

Bussmann et al. (2024), "BatchTopK sparse autoencoders" (arXiv 2412.06410). At measurement the m
largest latents of each sample are kept, and not those above the threshold of the paper: so every
method is compared at the same sparsity.
"""

from dataclasses import replace

from benchmarks.contracts import Params
from benchmarks.methods._sae import full, sae_method
from osae_theory.sae import TrainingConfig


def _by_batch(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    return replace(config, activation="batch")


METHOD = sae_method("batch-topk", "batch top-m SAE", full, _by_batch)
