"""sparsify: the step of `Trainer.fit` on one `SparseCoder`, which is a TopK SAE.

`Trainer.fit` (`sparsify.trainer`) runs inside a language model's forward hooks and cannot be
stepped, so the step is put together from the library's own parts in the order of its "fvu"
branch with one micro-batch: normalisation of the decoder, total variance, forward with sparse
encoder gradient and sparse decoder, marks of the latents that fired, backward, removal of the
decoder's radial gradient, optimiser, tokens since each latent fired. As shipped the optimiser
is sign descent in a schedule-free wrapper, without an auxiliary loss; it never clips. Its
loss is the fraction of variance unexplained. Without triton (no CPU build) the decoder is
torch's embedding_bag, which the library falls back to.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.peers.base import TOTAL_STEPS, Peer, Shape, Weights, library, seeded


class _Step:
    def __init__(self, coder: Any, optimiser: Any, scheduler: Any, matched: bool) -> None:
        self._coder, self._optimiser, self._scheduler = coder, optimiser, scheduler
        self._matched = matched
        self._did_fire = torch.zeros(coder.num_latents, dtype=torch.bool)
        self._tokens_since_fired = torch.zeros(coder.num_latents, dtype=torch.long)
        self._started = matched

    def step(self, batch: Float[Tensor, "n d"]) -> None:
        coder = self._coder
        if not self._started:
            coder.b_dec.data = batch.mean(dim=0)
            self._started = True
        coder.set_decoder_norm_to_unit_norm()
        output = coder(batch, total_variance=_total_variance(batch))
        if not self._matched:
            self._did_fire[output.latent_indices.flatten()] = True
        output.fvu.backward()
        if not self._matched:
            coder.remove_gradient_parallel_to_decoder_directions()
        self._optimiser.step()
        self._optimiser.zero_grad()
        if self._scheduler is not None:
            self._scheduler.step()
        if not self._matched:
            self._count(len(batch))

    @torch.no_grad()
    def loss(self, batch: Float[Tensor, "n d"]) -> float:
        total_variance = _total_variance(batch)
        fvu = self._coder(batch, total_variance=total_variance).fvu
        return float(fvu * total_variance) / len(batch)

    def weights(self) -> Weights:
        coder = self._coder
        parameters = (coder.encoder.weight.T, coder.encoder.bias, coder.W_dec, coder.b_dec)
        return Weights(*(parameter.detach() for parameter in parameters))

    def _count(self, n: int) -> None:
        self._tokens_since_fired += n
        self._tokens_since_fired[self._did_fire] = 0
        self._did_fire.zero_()


def _total_variance(batch: Tensor) -> Tensor:
    return (batch - batch.mean(dim=0)).square().sum()


def build(kind: str, shape: Shape, prefixes: Sequence[int], matched: bool, seed: int) -> _Step:
    """Return sparsify's training step; see `benchmarks.peers.base.Peer`."""
    config = library("sparsify.config").SparseCoderConfig(num_latents=shape.K, k=shape.m)
    with seeded(seed):
        coder = library("sparsify.sparse_coder").SparseCoder(shape.d, config, dtype=torch.float32)
    width = (shape.K / 2**14) ** 0.5
    if not matched:
        descent = library("sparsify.sign_sgd").SignSGD(coder.parameters(), lr=5e-3 / width)
        optimiser = library("schedulefree").ScheduleFreeWrapper(descent, momentum=0.95)
        optimiser.train()
        return _Step(coder, optimiser, None, matched)
    coder.b_dec.requires_grad_(False)
    optimiser = torch.optim.Adam(coder.parameters(), lr=2e-4 / width)
    scheduler = library("transformers").get_linear_schedule_with_warmup(
        optimiser, library("sparsify.config").TrainConfig.lr_warmup_steps, TOTAL_STEPS
    )
    return _Step(coder, optimiser, scheduler, matched)


SPARSIFY = Peer(
    name="sparsify",
    title="sparsify",
    distribution="eai-sparsify",
    kinds=("topk",),
    decoder_bias=True,
    matched=(
        "Adam in place of sign descent, no removal of the decoder's radial gradient, no "
        "tracking of latents that fired, decoder bias frozen at 0"
    ),
    unmatched=(
        "the loss is divided by the batch's total variance, computed each step",
        "the frozen decoder bias is still subtracted and added",
    ),
    build=build,
)
