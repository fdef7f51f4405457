"""Resampling: the least useful latents start anew at the largest residuals, while it is trained.

Between 50% and 85% of the steps, every 25 steps, at most two latents at a time. To the plain loss,
to nested dropout and to the exact penalty; and to the plain loss with latents put in order of their
energy every 50 steps, which has an order as trained at no cost.
"""

from dataclasses import replace

from benchmarks.contracts import Params
from benchmarks.methods._sae import full, resorted, sae_method, uniform
from benchmarks.methods.osae_exact import STRENGTH, together
from osae_theory.sae import Resampling, TrainingConfig


def _resampled(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    return replace(config, resampling=Resampling())


def _both(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    return resorted(_resampled(config, K, params), K, params)


METHODS = (
    sae_method("topk-resampled", "top-m SAE (resampled)", full, _resampled, tuned_as="topk"),
    sae_method(
        "topk-resampled-resorted",
        "top-m SAE (resampled, re-sorted)",
        full,
        _both,
        tuned_as="topk",
    ),
    sae_method("osae-resampled", "OSAE (resampled)", uniform, _resampled, tuned_as="osae"),
    sae_method(
        "osae-exact-resampled",
        "OSAE (exact penalty, resampled)",
        together,
        _resampled,
        parameters=(STRENGTH,),
        tuned_as="osae-exact",
    ),
)
