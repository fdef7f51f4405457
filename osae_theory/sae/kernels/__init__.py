"""Sparse training kernels: selection, exact nested-dropout loss, encoder gradient, Adam.

Two backends with the same results up to rounding: "numba", compiled, on a CPU; and
"torch", plain tensor operations on any device, which is also the oracle of the tests. A third,
"plain", has the bits of "numba" by numpy alone.
"""

from osae_theory.sae.kernels.autograd import nested_dropout_loss_fused
from osae_theory.sae.kernels.backend import (
    ARITHMETICS,
    BACKENDS,
    backend_for,
    use_compiled,
)
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
    "ARITHMETICS",
    "BACKENDS",
    "AdamConfig",
    "AdamState",
    "EncoderGradients",
    "PrefixGradients",
    "SparseCodes",
    "adam_step",
    "backend_for",
    "encoder_gradients",
    "nested_dropout_loss_fused",
    "prefix_gradients",
    "select_sparse",
    "use_compiled",
]
