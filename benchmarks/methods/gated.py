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
    Weights,
    mean_energy,
    numpy_of,
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

    def __init__(self, start: Start, params: Params) -> None:
        self._ops, self._m = start.ops, start.m
        self._strength = float(params["strength"]) * mean_energy(start.ops, start.rows) ** 0.5
        zeros = start.atoms.new_zeros(len(start.atoms))
        self.encoder = Weights(start.atoms)
        self.gate_bias = Weights(zeros)
        self.magnitude_bias = Weights(zeros)
        self.log_scale = Weights(zeros)
        self.atoms = Weights(start.atoms, on_sphere=True)
        self.weights = {
            "encoder": self.encoder,
            "gate_bias": self.gate_bias,
            "magnitude_bias": self.magnitude_bias,
            "log_scale": self.log_scale,
            "atoms": self.atoms,
        }

    def loss(self, batch: Float[Tensor, "n d"], moment: Moment) -> Float[Tensor, ""]:
        """Return the squared error, the gates' own squared error and their penalty."""
        ops, n = self._ops, len(batch)
        scale = ops.rows_of(ops.exp(self.log_scale.values), n)
        shared = ops.affine(
            batch, self.encoder.values, self.encoder.values.new_zeros(scale.shape[1])
        )
        gates = shared + ops.rows_of(self.gate_bias.values, n)
        sizes = (scale * shared + ops.rows_of(self.magnitude_bias.values, n)).relu()
        open_gates = gates.relu()
        warmed = min(2 * moment.step / moment.n_steps, 1.0)
        penalty = ops.total(open_gates) * (warmed * self._strength / n)
        atoms = self.atoms.values
        error = squared_error(ops, batch, sizes * (gates > 0), atoms)
        return error + squared_error(ops, batch, open_gates, atoms.detach()) + penalty

    def fitted(self) -> Fitted:
        """Return the dictionary, and the encoder with its gates."""
        encoder = Gated(
            numpy_of(self.encoder.values.mT),
            numpy_of(self.gate_bias.values),
            numpy_of(self.magnitude_bias.values),
            numpy_of(self._ops.exp(self.log_scale.values)),
            self._m,
            self._ops.arithmetic,
        )
        return Fitted(numpy_of(self.atoms.values).T.astype(np.float64), encoder)


METHOD = dense_method("gated", "gated SAE", GatedSAE, (STRENGTH,))
