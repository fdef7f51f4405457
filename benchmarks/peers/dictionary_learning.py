"""dictionary_learning: `update` of its TopK, BatchTopK and Matryoshka trainers, and of ours.

As shipped is the trainer's `update` (`dictionary_learning.trainers`): forward, a running
threshold, mean squared error plus the loss of dead latents, tokens since each latent fired,
removal of the decoder's radial gradient, clipping of the gradient's norm at 1, Adam, the
scheduler and normalisation of the decoder; the trainers' defaults. Its Matryoshka loss
divides by the number of prefixes twice: as a weight of each, and as a mean.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.peers.base import TOTAL_STEPS, Peer, Shape, Weights, library, seeded
from osae_theory.errors import InputError

_TRAINERS = {
    "topk": ("dictionary_learning.trainers.top_k", "TopKTrainer"),
    "batchtopk": ("dictionary_learning.trainers.batch_top_k", "BatchTopKTrainer"),
    "matryoshka": (
        "dictionary_learning.trainers.matryoshka_batch_top_k",
        "MatryoshkaBatchTopKTrainer",
    ),
    "ordered": ("osae_theory.integrations.dictionary_learning", "OrderedTopKTrainer"),
}


class _Step:
    def __init__(self, trainer: Any, kind: str, matched: bool) -> None:
        self._trainer, self._kind, self._matched = trainer, kind, matched
        self._normalised = library("dictionary_learning.trainers.trainer")
        self._n_done = 0

    def step(self, batch: Float[Tensor, "n d"]) -> None:
        if self._matched:
            self._bare_step(batch)
        else:
            self._trainer.update(self._n_done, batch)
        # Step 0 starts the decoder bias; the next is the first one with a running threshold,
        # as almost all steps of a training are.
        self._n_done = max(self._n_done, self._trainer.threshold_start_step) + 1

    @torch.no_grad()
    def loss(self, batch: Float[Tensor, "n d"]) -> float:
        n_losses = len(self._trainer.group_sizes) if self._kind == "matryoshka" else 1
        return float(self._trainer.loss(batch, step=0)) * n_losses

    def weights(self) -> Weights:
        sae = self._trainer.ae
        if self._kind == "matryoshka":
            parameters = (sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec)
        else:
            parameters = (sae.encoder.weight.T, sae.encoder.bias, sae.decoder.weight.T, sae.b_dec)
        return Weights(*(parameter.detach() for parameter in parameters))

    def _bare_step(self, batch: Tensor) -> None:
        trainer, sae = self._trainer, self._trainer.ae
        trainer.loss(batch, step=0).backward()
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        trainer.scheduler.step()
        atoms = sae.W_dec.T if self._kind == "matryoshka" else sae.decoder.weight
        # Normalises in place.
        self._normalised.set_decoder_norm_to_unit_norm(atoms, *atoms.shape)


def build(kind: str, shape: Shape, prefixes: Sequence[int], matched: bool, seed: int) -> _Step:
    """Return dictionary_learning's training step; see `benchmarks.peers.base.Peer`."""
    module, name = _TRAINERS[kind]
    options: dict[str, Any] = {
        "steps": TOTAL_STEPS,
        "activation_dim": shape.d,
        "dict_size": shape.K,
        "k": shape.m,
        "layer": 0,
        "lm_name": "none",
        "device": "cpu",
    }
    if kind == "matryoshka":
        options["group_fractions"] = _fractions(prefixes)
    if matched:
        options["auxk_alpha"] = 0.0
    with seeded(seed):
        trainer = getattr(library(module), name)(**options)
    if kind == "matryoshka" and trainer.group_sizes != _sizes(prefixes):
        raise InputError(f"groups of {trainer.group_sizes}: expected {_sizes(prefixes)}")
    if matched:
        trainer.ae.b_dec.requires_grad_(False)
    return _Step(trainer, kind, matched)


def _sizes(prefixes: Sequence[int]) -> list[int]:
    return [b - a for a, b in pairwise((0, *prefixes))]


def _fractions(prefixes: Sequence[int]) -> list[float]:
    """Return fractions of K that the library, which rounds down, turns into these groups."""
    K = prefixes[-1]
    first = [(size + 1e-6) / K for size in _sizes(prefixes)[:-1]]
    return [*first, 1 - sum(first)]


DICTIONARY_LEARNING = Peer(
    name="dictionary_learning",
    title="dictionary_learning",
    distribution="dictionary-learning",
    kinds=("topk", "batchtopk", "matryoshka", "ordered"),
    decoder_bias=True,
    matched=(
        "no clipping, no removal of the decoder's radial gradient, no auxiliary loss, no "
        "running threshold, decoder bias frozen at 0"
    ),
    unmatched=(
        "tokens since each latent fired are counted inside the loss",
        "batchtopk and matryoshka look for dead latents even without an auxiliary loss",
        "the frozen decoder bias is still subtracted and added",
        "the Matryoshka loss reads its smallest and largest term for its log",
        "the Matryoshka SAE selects by batch, not by sample",
    ),
    build=build,
)
