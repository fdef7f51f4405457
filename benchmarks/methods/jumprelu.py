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
from jaxtyping import Bool, Float
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
    Weights,
    mean_energy,
    numpy_of,
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

    def __init__(self, start: Start, params: Params) -> None:
        self._ops, self._m = start.ops, start.m
        self._energy = mean_energy(start.ops, start.rows)
        self._width = float(params["bandwidth"]) * (self._energy / start.m) ** 0.5
        self._strength = float(params["strength"])
        K = len(start.atoms)
        first = float(log(np.array(self._width / 2)))
        self.encoder = Weights(start.atoms)
        self.bias = Weights(start.atoms.new_zeros(K))
        self.log_threshold = Weights(start.atoms.new_full((K,), first))
        self.atoms = Weights(start.atoms, on_sphere=True)
        self.weights = {
            "encoder": self.encoder,
            "bias": self.bias,
            "log_threshold": self.log_threshold,
            "atoms": self.atoms,
        }

    def loss(self, batch: Float[Tensor, "n d"], moment: Moment) -> Float[Tensor, ""]:
        """Return the squared error and the penalty."""
        ops, n = self._ops, len(batch)
        latents = ops.affine(batch, self.encoder.values, self.bias.values)
        thresholds = ops.rows_of(ops.exp(self.log_threshold.values), n)
        codes, active = jump(latents, thresholds, self._width)
        excess = ops.total(active) / (n * moment.active) - 1
        error = squared_error(ops, batch, codes, self.atoms.values)
        return error + self._strength * self._energy * (excess * excess)

    def fitted(self) -> Fitted:
        """Return the dictionary, and the encoder with its thresholds."""
        encoder = Jump(
            numpy_of(self.encoder.values.mT),
            numpy_of(self.bias.values),
            numpy_of(self._ops.exp(self.log_threshold.values)),
            self._m,
            self._ops.arithmetic,
        )
        return Fitted(numpy_of(self.atoms.values).T.astype(np.float64), encoder)


def jump(
    latents: Float[Tensor, "n K"], thresholds: Float[Tensor, "n K"], width: float
) -> tuple[Float[Tensor, "n K"], Float[Tensor, "n K"]]:
    """Return the latents above their thresholds, and 1 where they are: differentiable.

    Where a latent z is within width / 2 of its threshold t, the derivative of its being active
    with respect to t is taken to be -1 / width, and that of its code -t / width; 0 elsewhere.

    Parameters
    ----------
    latents, thresholds : tensors of shape (n, K)
        Thresholds of at least 0.
    width : float
        Of the rectangle kernel, above 0.
    """
    codes, active = _Jump.apply(latents, thresholds, width)  # pyright: ignore[reportGeneralTypeIssues]
    return codes, active


class _Jump(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, latents: Tensor, thresholds: Tensor, width: float
    ) -> tuple[Tensor, Tensor]:
        active: Bool[Tensor, "n K"] = latents > thresholds
        near = (latents - thresholds).abs() < width / 2
        ctx.width = width
        ctx.save_for_backward(active, near, thresholds)
        return latents * active, active.to(latents)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *slopes: Tensor
    ) -> tuple[Tensor | None, ...]:
        active, near, thresholds = ctx.saved_tensors
        of_code, of_active = slopes
        d_thresholds = (of_code * thresholds + of_active) / -ctx.width * near
        return of_code * active, d_thresholds, None


METHOD = dense_method("jumprelu", "JumpReLU SAE", JumpReLU, (BANDWIDTH, STRENGTH))
