"""Gated SAE: one path decides which latents are active, another how strongly, on tied weights.

Gates g = x W + b_gate, magnitudes relu(exp(r_mag) x W + b_mag), codes y the magnitudes where g > 0.
Loss, per sample: ||x - D y||^2 + ||x - D' relu(g)||^2 + strength * sqrt(E||x||^2) * sum relu(g),
with D' the dictionary without gradient; the strength grows linearly from 0 over the first half,
where the other methods have their sparsity warm-up. Unit-norm atoms, no decoder bias, as in the
other methods here. At measurement at most m latents are kept.

Source: Rajamanoharan et al. (2024), "Improving dictionary learning with gated sparse autoencoders",
arXiv 2404.16014.
"""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from benchmarks.contracts import Fitted, Params
from benchmarks.encoders.gated import Gated
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

STRENGTH = Parameter(
    "strength",
    "real",
    "weight of the L1 penalty on the gates, in units of the samples' typical norm, above 0",
    candidates=(0.1, 0.15, 0.2, 0.25, 0.3),
    above=0,
)


class GatedSAE(DenseModel):
    """One run's gated SAE."""

    on_sphere = ("atoms",)
    strength: Float[Tensor, ""]

    def __init__(self, start: Start, params: Params) -> None:
        super().__init__()
        self._ops, self._m = start.ops, start.m
        typical = mean_energy(start.ops, start.rows) ** 0.5
        self.hold("strength", float(params["strength"]) * typical)
        zeros = start.atoms.new_zeros(len(start.atoms))
        self.encoder = parameter(start.atoms)
        self.gate_bias = parameter(zeros)
        self.magnitude_bias = parameter(zeros)
        self.log_scale = parameter(zeros)
        self.atoms = parameter(start.atoms)

    def loss(self, batch: Float[Tensor, "n d"], moment: Moment) -> Float[Tensor, ""]:
        """Return the squared error, the gates' own squared error and their penalty."""
        ops, n = self._ops, len(batch)
        scale = ops.rows_of(ops.exp(self.log_scale), n)
        shared = ops.affine(batch, self.encoder, self.encoder.new_zeros(scale.shape[1]))
        gates = shared + ops.rows_of(self.gate_bias, n)
        sizes = (scale * shared + ops.rows_of(self.magnitude_bias, n)).relu()
        open_gates = gates.relu()
        warmed = min(2 * moment.step / moment.n_steps, 1.0)
        penalty = ops.total(open_gates) * (warmed * self.strength / n).to(batch.dtype)
        error = squared_error(ops, batch, sizes * (gates > 0), self.atoms)
        return error + squared_error(ops, batch, open_gates, self.atoms.detach()) + penalty

    def fitted(self) -> Fitted:
        """Return the dictionary, and the encoder with its gates."""
        encoder = Gated(
            numpy_of(self.encoder.mT),
            numpy_of(self.gate_bias),
            numpy_of(self.magnitude_bias),
            numpy_of(self._ops.exp(self.log_scale)),
            self._m,
            self._ops.arithmetic,
        )
        return Fitted(numpy_of(self.atoms).T.astype(np.float64), encoder)


METHOD = dense_method("gated", "gated SAE", GatedSAE, (STRENGTH,))
