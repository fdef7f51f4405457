"""Top-m SAE with weight decay on a decoder that has no unit norm.

On unit-norm atoms weight decay has no effect: it moves an atom along itself, and normalisation
takes that back. So here atoms have a norm of their own, which each step of the decoupled decay
multiplies by 1 - lr * decay, lr being the step's learning rate. Latents are selected by the size of
their part of the reconstruction, z_j ||d_j||, so that the norms can be moved into the encoder at
the end without a change of the reconstruction: measured are unit-norm atoms, with the encoder's
weights and biases multiplied by the norms they had.

Source of the decay: Loshchilov and Hutter (2019), "Decoupled weight decay regularization",
arXiv 1711.05101.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.contracts import Fitted, Params
from benchmarks.methods._dense import dense_method
from benchmarks.parameters import Parameter
from benchmarks.training.dense import Moment, Start, TopMModel, largest, top_m_fitted

DECAY = Parameter(
    "decay",
    "real",
    "weight decay of the decoder, per step and unit of the learning rate, at least 0",
    candidates=(0.0, 0.01, 0.03, 0.1, 0.3),
    at_least=0,
)


class DecoderDecay(TopMModel):
    """One run's SAE with a decoder that decays."""

    on_sphere = ()

    def __init__(self, start: Start, params: Params) -> None:
        super().__init__(start)
        self._decay = float(params["decay"])

    def codes(
        self, batch: Float[Tensor, "n d"], atoms: Float[Tensor, "K d"], active: int
    ) -> Float[Tensor, "n K"]:
        """Return codes whose parts of the reconstruction are the largest."""
        latents = self.ops.affine(batch, self.encoder, self.bias)
        sizes = latents.detach() * self._norms()
        return latents.relu() * largest(sizes, active)

    @torch.no_grad()
    def stepped(self, moment: Moment, rate: float) -> None:
        """Let the decoder decay."""
        self.decoder.mul_(1 - rate * self._decay)

    @torch.no_grad()
    def fitted(self) -> Fitted:
        """Return unit-norm atoms, and the encoder with their norms."""
        norms = self._norms()
        encoder, bias = self.encoder * norms[:, None], self.bias * norms
        atoms = self.ops.unit_rows(self.decoder)
        return top_m_fitted(encoder, bias, atoms, self.m, self.ops.arithmetic)

    def _norms(self) -> Float[Tensor, " K"]:
        atoms = self.decoder.detach()
        return self.ops.row_sums(atoms * atoms).sqrt()


METHOD = dense_method("decoder-decay", "top-m SAE (decoder decay)", DecoderDecay, (DECAY,))
