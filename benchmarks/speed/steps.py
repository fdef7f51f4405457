"""Our whole training steps: gradients, Adam, unit norm."""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.peers import Shape
from osae_theory.errors import check_choice
from osae_theory.prefixes import PrefixLaw
from osae_theory.sae import DeadLatentLoss, Run, RunSeeds, SparsityWarmup, Trainer, TrainingConfig

LAWS = {
    "plain": PrefixLaw.full,
    "uniform": PrefixLaw.uniform,
    "featured": PrefixLaw.uniform,
}
_ENDLESS = 10**9


def config(m: int, arithmetic: str = "fast") -> TrainingConfig:
    """Return a configuration that trains at m latents, without any feature that is optional."""
    return TrainingConfig(
        m, n_steps=_ENDLESS, sparsity_warmup=SparsityWarmup(0), arithmetic=arithmetic
    )


def trainer(shape: Shape, kind: str, n_runs: int = 1, arithmetic: str = "fast") -> Trainer:
    """Return a trainer of `n_runs` runs at this shape.

    Parameters
    ----------
    shape : object with d, K and m
        The size.
    kind : {"plain", "uniform", "featured"}
        The loss of the last prefix; the exact one of all prefixes; the same with what other
        libraries have by default and ours has on request, a decoder bias and the tracking
        of dead latents.
    n_runs : int
        Runs together.
    arithmetic : {"fast", "portable"}
        Fast, as in other libraries, where nothing else is said.
    """
    check_choice("kind of step", kind, LAWS)
    settings = config(shape.m, arithmetic)
    if kind == "featured":
        settings = replace(
            settings, use_decoder_bias=True, dead_latent_loss=DeadLatentLoss(dead_after=_ENDLESS)
        )
    runs = [Run(RunSeeds.same(s), 3e-4, LAWS[kind](shape.K)) for s in range(n_runs)]
    return Trainer(shape.d, shape.K, runs, settings)


def training_step(
    shape: Shape, kind: str, arithmetic: str = "fast"
) -> Callable[[Float[Tensor, "n d"]], Tensor]:
    """Return one run's step on a batch; see `trainer`."""
    one = trainer(shape, kind, arithmetic=arithmetic)
    return lambda batch: one.step(batch[None])


def together(shape: Shape, n_runs: int) -> Callable[[Float[Tensor, "n d"]], Tensor]:
    """Return a step of several runs in one program, each with the batch as its own."""
    many = trainer(shape, "uniform", n_runs)
    return lambda batch: many.step(batch.expand(n_runs, *batch.shape).contiguous())


def one_after_another(shape: Shape, n_runs: int) -> Callable[[Float[Tensor, "n d"]], object]:
    """Return a step of as many programs of one run, one after another."""
    ones = [trainer(shape, "uniform") for _ in range(n_runs)]

    def step(batch: Float[Tensor, "n d"]) -> object:
        return [one.step(batch[None].clone()) for one in ones]

    return step


def random_batch(shape: Shape, n: int, seed: int) -> Float[Tensor, "n d"]:
    """Return Gaussian data."""
    return torch.randn(n, shape.d, generator=torch.Generator().manual_seed(seed))
