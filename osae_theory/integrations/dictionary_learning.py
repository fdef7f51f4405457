"""An exact ordered SAE for dictionary_learning: a trainer for its `trainSAE`.

    from osae_theory.integrations.dictionary_learning import OrderedTopKTrainer
    trainSAE(data, trainer_configs=[{"trainer": OrderedTopKTrainer, "law": "uniform", ...}], ...)

The other arguments are those of its `TopKTrainer`. What is saved is an `AutoEncoderTopK`, which
loads without this project, its latents in order. Written for dictionary_learning 0.1.
"""

from typing import Any, NamedTuple

import torch
from dictionary_learning.trainers.top_k import (  # pyright: ignore[reportMissingImports]
    TopKTrainer,
)
from torch import Tensor

from osae_theory.errors import InputError
from osae_theory.integrations.laws import law_of
from osae_theory.integrations.ordered import ordered_loss
from osae_theory.integrations.settings import real, whole
from osae_theory.sae.schedules import warmed_active


class LossLog(NamedTuple):
    """What `loss(..., logging=True)` returns, as the library's own trainers do.

    `losses` has the nested-dropout loss as "nested_dropout_loss", and of all latents together the
    squared error as "l2_loss".
    """

    x: Tensor
    x_hat: Tensor
    f: Tensor
    losses: dict[str, float]


class OrderedTopKTrainer(TopKTrainer):
    """The library's TopK trainer, its reconstruction error replaced by that of all prefixes.

    Parameters
    ----------
    steps, activation_dim, dict_size, k, *args, **options
        Those of `TopKTrainer`.
    law : str
        The law of the prefix length: "uniform", "piecewise", "zipf:1.2", "geometric:0.99",
        "massed:0.5" or "full" (`osae_theory.integrations.laws.law_of`).
    k_anneal_steps : int
        Steps over which the number of active latents falls linearly from dict_size to k; fewer
        than `steps`.

    Raises
    ------
    InputError
        If a size, k, the law, k_anneal_steps, auxk_alpha or threshold_beta cannot be.
    """

    def __init__(
        self,
        steps: int,
        activation_dim: int,
        dict_size: int,
        k: int,
        *args: Any,
        law: str = "uniform",
        k_anneal_steps: int = 0,
        wandb_name: str = "OrderedTopK",
        **options: Any,
    ) -> None:
        activation_dim = whole("activation_dim", activation_dim, 1)
        dict_size = whole("dict_size", dict_size, 1)
        k = whole("k", k, 1, dict_size)
        survival = law_of(law, dict_size).survival
        self.law, self.k_anneal_steps = law, whole("k_anneal_steps", k_anneal_steps, 0)
        super().__init__(
            steps, activation_dim, dict_size, k, *args, wandb_name=wandb_name, **options
        )
        if 0 < self.k_anneal_steps >= steps:
            raise InputError(
                f"k_anneal_steps = {k_anneal_steps}: expected fewer than the training's {steps}"
                " steps, since what is saved has k active latents"
            )
        self.auxk_alpha = real("auxk_alpha", self.auxk_alpha, at_least=0)
        self.threshold_beta = real("threshold_beta", self.threshold_beta, at_least=0, at_most=1)
        self.survival = torch.tensor(survival, dtype=torch.float32, device=self.device)

    def loss(self, x: Tensor, step: int | None = None, logging: bool = False) -> Any:
        """Return the loss of a batch, or with `logging` a `LossLog`.

        Parameters
        ----------
        x : tensor of shape (n, d)
            Activations.
        step : int, optional
            The training's step, from 0; k warm-up and the running threshold hang on it. None is
            after both.
        logging : bool
            Whether to return more than the loss.
        """
        step = self.steps if step is None else step
        centred = x - self.ae.b_dec
        scores = torch.relu(self.ae.encoder(centred))
        share = step / self.k_anneal_steps if self.k_anneal_steps else 1.0
        active = warmed_active(share, self.ae.dict_size, int(self.k))
        found = ordered_loss(centred, scores, self.ae.decoder.weight.mT, self.survival, active)
        # While more are active the least value is not one that the threshold is for.
        if step > self.threshold_start_step and active == int(self.k):
            # A sample without an active latent has no least value; theirs takes infinity for it.
            some = found.top_values[found.top_values.amax(dim=1) > 0]
            if len(some):
                self.update_threshold(some)
        self.effective_l0 = active
        self.num_tokens_since_fired += len(x)
        self.num_tokens_since_fired[(found.codes != 0).any(dim=0)] = 0
        x_hat = found.reconstruction.to(x.dtype) + self.ae.b_dec.detach()
        residual = (x - x_hat).detach()
        dead = self.get_auxiliary_loss(residual, scores) if self.auxk_alpha > 0 else 0
        loss = found.loss + self.auxk_alpha * dead
        if not logging:
            return loss
        losses = {
            "nested_dropout_loss": found.loss.item(),
            "l2_loss": residual.square().sum(dim=-1).mean().item(),
            "auxk_loss": float(dead),
            "loss": loss.item(),
        }
        return LossLog(x, x_hat, found.codes, losses)

    @property
    def config(self) -> dict[str, Any]:
        """What is saved beside the weights; every value can be written as JSON."""
        return {
            **super().config,
            "trainer_class": type(self).__name__,
            "law": self.law,
            "k_anneal_steps": self.k_anneal_steps,
        }
