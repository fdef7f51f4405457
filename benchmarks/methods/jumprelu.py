"""JumpReLU SAE: latents count above learned thresholds; a penalty steers their number to m.

Loss, per sample: ||x - D y||^2 + strength * E||x||^2 * (L0 / a - 1)^2, where L0 is the mean number
of active latents of the batch and a falls from K to m with the sparsity warm-up that every method
has. The number of active latents and the jump have pseudo-derivatives with respect to the
thresholds, by a rectangle kernel. The thresholds are positive, exponentials of parameters, and
start at half the kernel's width; the width is in units of a code's typical size,
sqrt(E||x||^2 / m).

At measurement at most m latents are kept. No decoder bias, as in the other methods here.

Source: Rajamanoharan et al. (2024), "Jumping ahead", arXiv 2407.14435: thresholds, kernel, and the
quadratic penalty around a target.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from benchmarks.contracts import Fitted, Params
from benchmarks.encoders.jump import Jump
from benchmarks.methods._dense import dense_method
from benchmarks.parameters import Parameter
from benchmarks.training.dense import (
    DenseModel,
    Moment,
    Start,
    mean_energy,
    numpy_of,
    parameter,
    squared_error,
)
from osae_theory.portable import log

BANDWIDTH = Parameter(
    "bandwidth",
    "real",
    "width of the rectangle kernel, in units of a code's typical size, above 0",
    candidates=(0.1, 0.3, 0.8),
    above=0,
)
STRENGTH = Parameter(
    "strength",
    "real",
    "weight of the penalty on the number of active latents, above 0",
    candidates=(0.1, 0.3, 1.0),
    above=0,
)


class JumpReLU(DenseModel):
    """One run's JumpReLU SAE."""

    on_sphere = ("atoms",)
    width: Float[Tensor, ""]
    strength: Float[Tensor, ""]

    def __init__(self, start: Start, params: Params) -> None:
        super().__init__()
        self._ops, self._m = start.ops, start.m
        energy = mean_energy(start.ops, start.rows)
        width = float(params["bandwidth"]) * (energy / start.m) ** 0.5
        self.hold("width", width)
        self.hold("strength", float(params["strength"]) * energy)
        K = len(start.atoms)
        self.encoder = parameter(start.atoms)
        self.bias = parameter(start.atoms.new_zeros(K))
        self.log_threshold = parameter(start.atoms.new_full((K,), float(log(np.array(width / 2)))))
        self.atoms = parameter(start.atoms)

    def loss(self, batch: Float[Tensor, "n d"], moment: Moment) -> Float[Tensor, ""]:
        """Return the squared error and the penalty."""
        ops, n = self._ops, len(batch)
        latents = ops.affine(batch, self.encoder, self.bias)
        thresholds = ops.rows_of(ops.exp(self.log_threshold), n)
        codes, active = jump(latents, thresholds, self.width.to(batch.dtype))
        excess = ops.total(active) / (n * moment.active) - 1
        error = squared_error(ops, batch, codes, self.atoms)
        return error + self.strength.to(batch.dtype) * (excess * excess)

    def fitted(self) -> Fitted:
        """Return the dictionary, and the encoder with its thresholds."""
        encoder = Jump(
            numpy_of(self.encoder.mT),
            numpy_of(self.bias),
            numpy_of(self._ops.exp(self.log_threshold)),
            self._m,
            self._ops.arithmetic,
        )
        return Fitted(numpy_of(self.atoms).T.astype(np.float64), encoder)


def jump(
    latents: Float[Tensor, "n K"], thresholds: Float[Tensor, "n K"], width: Float[Tensor, ""]
) -> tuple[Float[Tensor, "n K"], Float[Tensor, "n K"]]:
    """Return the latents above their thresholds, and 1 where they are: differentiable.

    Where a latent z is within width / 2 of its threshold t, the derivative of its being active
    with respect to t is taken to be -1 / width, and that of its code -t / width; 0 elsewhere.

    Parameters
    ----------
    latents, thresholds : tensors of shape (n, K)
        Thresholds of at least 0.
    width : tensor of shape ()
        Of the rectangle kernel, above 0.
    """
    codes, active = _Jump.apply(latents, thresholds, width)  # pyright: ignore[reportGeneralTypeIssues]
    return codes, active


class _Jump(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(latents: Tensor, thresholds: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        active = (latents > thresholds).to(latents.dtype)
        return latents * active, active

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs, output[1])

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *slopes: Tensor
    ) -> tuple[Tensor | None, ...]:
        latents, thresholds, width, active = ctx.saved_tensors
        of_code, of_active = slopes
        near = (latents - thresholds).abs() < width / 2
        d_thresholds = (of_code * thresholds + of_active) / -width * near
        return of_code * active, d_thresholds, None


METHOD = dense_method("jumprelu", "JumpReLU SAE", JumpReLU, (BANDWIDTH, STRENGTH))
