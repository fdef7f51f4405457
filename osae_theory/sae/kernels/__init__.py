"""Sparse training kernels: selection, exact nested-dropout loss, encoder gradient, Adam.

Two backends with the same results up to rounding: "numba", compiled, on a CPU; and
"torch", plain tensor operations on any device, which is also the oracle of the tests.
"""

from osae_theory.sae.kernels.autograd import nested_dropout_loss_fused
from osae_theory.sae.kernels.backend import BACKENDS, use_compiled
from osae_theory.sae.kernels.optimiser import AdamConfig, AdamState, adam_step
from osae_theory.sae.kernels.sparse import (
    EncoderGradients,
    PrefixGradients,
    SparseCodes,
    encoder_gradients,
    prefix_gradients,
    select_sparse,
)

__all__ = [
    "BACKENDS",
    "AdamConfig",
    "AdamState",
    "EncoderGradients",
    "PrefixGradients",
    "SparseCodes",
    "adam_step",
    "encoder_gradients",
    "nested_dropout_loss_fused",
    "prefix_gradients",
    "select_sparse",
    "use_compiled",
]
