"""Sparse training kernels: selection, exact nested-dropout loss, encoder gradient, Adam.

Three backends with the same results up to rounding: "numba", compiled, on a CPU; "triton",
compiled, on a GPU (loss and gradients; torch does the rest there); and "torch", plain tensor
operations on any device, which is also the oracle of the tests. A fourth, "plain", has the bits of
"numba" by numpy alone.
"""

from osae_theory.sae.kernels.autograd import nested_dropout_loss_fused
from osae_theory.sae.kernels.backend import (
    ARITHMETICS,
    BACKENDS,
    backend_for,
    compiled_by,
    use_compiled,
    use_triton,
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
    "compiled_by",
    "encoder_gradients",
    "nested_dropout_loss_fused",
    "prefix_gradients",
    "select_sparse",
    "use_compiled",
    "use_triton",
]
