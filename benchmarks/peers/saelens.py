"""SAELens: `SAETrainer.step` with its TopK, BatchTopK and Matryoshka SAEs, and ours in it.

As shipped is `SAETrainer.step` (`sae_lens.training.sae_trainer`): forward in hook points,
latents ranked after scaling by their decoder norms, mean squared error plus the loss of dead
latents, counts of dead latents and of firings, clipping of the gradient's norm at 1, Adam
and the scheduler; the configurations' defaults. Its losses sum over prefixes. Its option
`use_sparse_activations`, off by default, cannot be timed here: with the other defaults its
backward pass does not run on a CPU (torch 2.13).
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.peers.base import TOTAL_STEPS, Peer, Shape, Weights, library, seeded

_CLASSES = {
    "topk": ("sae_lens.saes", "TopKTrainingSAE"),
    "batchtopk": ("sae_lens.saes", "BatchTopKTrainingSAE"),
    "matryoshka": ("sae_lens.saes", "MatryoshkaBatchTopKTrainingSAE"),
    "ordered": ("osae_theory.integrations.sae_lens", "OrderedTopKTrainingSAE"),
}


class _Step:
    def __init__(self, trainer: Any, n_losses: int, matched: bool) -> None:
        self._trainer, self._n_losses, self._matched = trainer, n_losses, matched

    def step(self, batch: Float[Tensor, "n d"]) -> None:
        trainer = self._trainer
        if self._matched:
            self._forward(batch).loss.backward()
            trainer.optimizer.step()
            trainer.optimizer.zero_grad()
            trainer.lr_scheduler.step()
        else:
            trainer.step(batch)
        trainer.n_training_steps += 1

    @torch.no_grad()
    def loss(self, batch: Float[Tensor, "n d"]) -> float:
        return float(self._forward(batch).loss) / self._n_losses

    def weights(self) -> Weights:
        sae = self._trainer.sae
        return Weights(
            sae.W_enc.detach(), sae.b_enc.detach(), sae.W_dec.detach(), sae.b_dec.detach()
        )

    def _forward(self, batch: Tensor) -> Any:
        trainer = self._trainer
        trainer.sae.train()
        return trainer.sae.training_forward_pass(
            library("sae_lens.saes.sae").TrainStepInput(
                sae_in=batch,
                coefficients={},
                dead_neuron_mask=None,
                n_training_steps=trainer.n_training_steps,
                is_logging_step=False,
            )
        )


def build(kind: str, shape: Shape, prefixes: Sequence[int], matched: bool, seed: int) -> _Step:
    """Return SAELens's training step of one kind; see `benchmarks.peers.base.Peer`."""
    config, (module, name) = library("sae_lens.config"), _CLASSES[kind]
    made = library(module)
    options: dict[str, Any] = {"d_in": shape.d, "d_sae": shape.K, "k": shape.m}
    if kind == "matryoshka":
        options["matryoshka_widths"] = list(prefixes)
    if matched:
        options |= {
            "rescale_acts_by_decoder_norm": False,
            "apply_b_dec_to_input": False,
            "decoder_init_norm": 1.0,
        }
    with seeded(seed):
        sae = getattr(made, name)(getattr(made, f"{name}Config")(**options))
    if matched:
        sae.b_dec.requires_grad_(False)
    trainer = library("sae_lens.training.sae_trainer").SAETrainer(
        config.SAETrainerConfig(
            total_training_samples=TOTAL_STEPS * shape.batch,
            train_batch_size_samples=shape.batch,
            # No default; the constant schedule never reads it.
            lr_end=config.SAETrainerConfig.lr,
        ),
        sae,
        data_provider=iter(()),
    )
    return _Step(trainer, len(prefixes) if kind == "matryoshka" else 1, matched)


SAELENS = Peer(
    name="saelens",
    title="SAELens",
    distribution="sae-lens",
    kinds=("topk", "batchtopk", "matryoshka", "ordered"),
    decoder_bias=True,
    matched=(
        "no clipping, no dead-latent tracking, no auxiliary loss, decoder bias frozen at 0, "
        "no scaling of latents by decoder norms"
    ),
    unmatched=(
        "the decoder is not normalised, so the step does less than ours",
        "the frozen decoder bias is still subtracted and added",
        "batchtopk and matryoshka keep a running threshold",
        "the Matryoshka SAE selects by batch, not by sample",
    ),
    build=build,
)
