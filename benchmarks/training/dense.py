"""One loop for SAEs whose loss is a formula: the recipe of `osae_theory.sae.train`, run by run.

The same start and the same order of the data from the same seeds, Adam with the same schedule of
the learning rate, the same sparsity warm-up, and atoms at unit norm where a model wants them so.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.contracts import Fitted
from benchmarks.encoders.top_m import TopM
from benchmarks.training.portable_autograd import Operations, operations
from osae_theory.errors import InputError, check_integer, check_real
from osae_theory.sae import LearningRateSchedule, RunSeeds, SparsityWarmup, TopMSAE
from osae_theory.sae.data_order import DataOrder
from osae_theory.sae.kernels import AdamConfig, AdamState, adam_step, backend_for
from osae_theory.sae.selection import top_m_mask
from osae_theory.seeds import Axis, derived_seed, generator

_OVERFLOW = 1e18


@dataclass(frozen=True)
class DenseConfig:
    """What the runs share: what of `osae_theory.sae.TrainingConfig` has a meaning here.

    Attributes
    ----------
    n_nonzero : int
        Sparsity m, at least 1.
    learning_rate : float
        At its peak, above 0.
    n_steps, batch_size : int
        Optimiser steps, and samples a step, each at least 1.
    arithmetic : {"portable", "fast"}
        See `benchmarks.training.portable_autograd`.
    device : str
        Torch device; "cpu" for portable arithmetic.
    sparsity_warmup : SparsityWarmup
        How the number of active latents falls to m.
    learning_rate_schedule : LearningRateSchedule
        Warm-up and decay.
    betas : tuple of two floats
        Adam's decay rates.
    """

    n_nonzero: int
    learning_rate: float
    n_steps: int = 1960
    batch_size: int = 1024
    arithmetic: str = "portable"
    device: str = "cpu"
    sparsity_warmup: SparsityWarmup = field(default_factory=SparsityWarmup)
    learning_rate_schedule: LearningRateSchedule = field(default_factory=LearningRateSchedule)
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        check_integer("n_nonzero", self.n_nonzero, 1)
        check_real("learning rate", self.learning_rate, above=0)
        check_integer("n_steps", self.n_steps, 1)
        check_integer("batch_size", self.batch_size, 1)


@dataclass(frozen=True, eq=False)
class Start:
    """What a model of one run starts from.

    Attributes
    ----------
    atoms : tensor of shape (K, d)
        The initial decoder, unit norm: that of every SAE with these seeds.
    rows : tensor of shape (N, d)
        The training samples.
    m : int
        Sparsity.
    seeds : RunSeeds
        The run's.
    ops : Operations
        The differentiable operations of its arithmetic.
    """

    atoms: Float[Tensor, "K d"]
    rows: Float[Tensor, "N d"]
    m: int
    seeds: RunSeeds
    ops: Operations

    def with_atoms(self, atoms: Float[Tensor, "K d"]) -> "Start":
        """Return the same with another initial decoder."""
        return replace(self, atoms=atoms)


@dataclass(frozen=True)
class Moment:
    """Where a training stands.

    Attributes
    ----------
    step, n_steps : int
        The step, from 0, of how many.
    active : int
        Latents active at this step: the warm-up's number, m in the end.
    rate : float
        The learning rate of this step.
    """

    step: int
    n_steps: int
    active: int
    rate: float


@dataclass(frozen=True, eq=False)
class Weights:
    """A parameter: its values, updated in place.

    Attributes
    ----------
    values : tensor of shape (rows, width) or (rows,)
        Copied, contiguous and with a gradient.
    on_sphere : bool
        Whether rows are kept at unit norm, the gradient's radial part removed.
    """

    values: Float[Tensor, "rows *width"]
    on_sphere: bool = False

    def __post_init__(self) -> None:
        own = self.values.detach().contiguous().clone().requires_grad_()
        object.__setattr__(self, "values", own)

    def optimiser(self) -> AdamState:
        """Return a fresh state of Adam that shares the values' memory."""
        rows = self.values.detach()[None]
        return AdamState.of(rows if rows.ndim == 3 else rows[..., None], on_sphere=self.on_sphere)


class DenseModel(ABC):
    """One run's SAE: its parameters, its loss, and what it gives in the end."""

    weights: Mapping[str, Weights]

    @abstractmethod
    def loss(self, batch: Float[Tensor, "n d"], moment: Moment) -> Float[Tensor, ""]:
        """Return the loss of a batch, per sample: what is differentiated."""

    def stepped(self, moment: Moment) -> None:
        """Do what follows an optimiser step, such as a projection; nothing by default."""
        return

    @abstractmethod
    def fitted(self) -> Fitted:
        """Return the dictionary and the encoder."""


SomeModel = TypeVar("SomeModel", bound=DenseModel)


class TopMModel(DenseModel):
    """A top-m SAE: linear encoder, started at the transpose of its decoder; no decoder bias.

    Parameters
    ----------
    start : Start
        What it starts from.
    atoms_on_sphere : bool
        Whether atoms are kept at unit norm.
    """

    def __init__(self, start: Start, atoms_on_sphere: bool = True) -> None:
        self.ops, self.m = start.ops, start.m
        self.encoder = Weights(start.atoms)
        self.bias = Weights(start.atoms.new_zeros(len(start.atoms)))
        self.decoder = Weights(start.atoms, on_sphere=atoms_on_sphere)
        self.weights = {"encoder": self.encoder, "bias": self.bias, "decoder": self.decoder}

    def atoms(self) -> Float[Tensor, "K d"]:
        """Return the atoms as functions of the parameters."""
        return self.decoder.values

    def codes(
        self, batch: Float[Tensor, "n d"], atoms: Float[Tensor, "K d"], active: int
    ) -> Float[Tensor, "n K"]:
        """Return the codes of a batch, `active` a sample at most."""
        latents = self.ops.affine(batch, self.encoder.values, self.bias.values)
        return top_m_codes(latents, active)

    def loss(self, batch: Float[Tensor, "n d"], moment: Moment) -> Float[Tensor, ""]:
        """Return the squared error of a batch, per sample."""
        atoms = self.atoms()
        return squared_error(self.ops, batch, self.codes(batch, atoms, moment.active), atoms)

    def fitted(self) -> Fitted:
        """Return the dictionary and the encoder."""
        return top_m_fitted(
            self.encoder.values, self.bias.values, self.atoms(), self.m, self.ops.arithmetic
        )


def train_dense(
    rows: Float[np.ndarray, "N d"],
    K: int,
    seeds: Sequence[RunSeeds],
    config: DenseConfig,
    model: Callable[[Start], SomeModel],
) -> list[SomeModel | None]:
    """Train one model a run, one after the other; None for a run that diverged.

    Parameters
    ----------
    rows : array of shape (N, d)
        Training samples; their dtype is that of the training.
    K : int
        Atoms, at least m.
    seeds : sequence of RunSeeds
        One for each run.
    config : DenseConfig
        What the runs share.
    model : callable
        Makes a run's model from what it starts from.

    Raises
    ------
    InputError
        If m exceeds K, or portable arithmetic is asked for on another device than the CPU.
    """
    check_integer("K", K, 1)
    if config.n_nonzero > K:
        raise InputError(f"m = {config.n_nonzero}: expected at most K = {K}")
    x = torch.from_numpy(rows).to(config.device)
    backend = backend_for(config.arithmetic, "auto", x.dtype, x.device)
    return [_trained(x, K, own, config, model, backend) for own in seeds]


def _trained(
    x: Float[Tensor, "N d"],
    K: int,
    own: RunSeeds,
    config: DenseConfig,
    model: Callable[[Start], SomeModel],
    backend: str,
) -> SomeModel | None:
    made = model(
        Start(initial_atoms(own, K, x), x, config.n_nonzero, own, operations(config.arithmetic))
    )
    tensors = [weights.values for weights in made.weights.values()]
    states = [weights.optimiser() for weights in made.weights.values()]
    order = DataOrder(len(x), min(config.batch_size, len(x)), [own])
    adam = AdamConfig(config.betas)
    for step in range(config.n_steps):
        moment = _moment(config, step, K)
        loss = made.loss(x.index_select(0, order.next()[0].to(x.device)), moment)
        if not bool(loss.isfinite()):
            return None
        slopes = torch.autograd.grad(loss, tensors)
        for state, slope in zip(states, slopes, strict=True):
            state.gradient.copy_(slope.view(state.gradient.shape))
            largest = adam_step(state, step + 1, [moment.rate], adam, backend=backend)
            if not bool(largest < _OVERFLOW):
                return None
        made.stepped(moment)
    return made


def initial_atoms(seeds: RunSeeds, K: int, like: Float[Tensor, "N d"]) -> Float[Tensor, "K d"]:
    """Return the initial decoder of every SAE with these seeds, of the data's dtype and device."""
    drawn = generator(seeds.initialisation, Axis.INITIALISATION)
    return (
        TopMSAE.initialised(like.shape[1], K, [drawn], dtype=like.dtype).atoms.detach()[0].to(like)
    )


def member_seeds(seeds: RunSeeds, member: int) -> RunSeeds:
    """Return the seeds of a member of a run of several SAEs; the first has the run's own."""
    if member == 0:
        return seeds
    return RunSeeds(
        derived_seed(seeds.initialisation, Axis.INITIALISATION, member),
        derived_seed(seeds.data_order, Axis.DATA_ORDER, member),
        derived_seed(seeds.prefixes, Axis.PREFIXES, member),
    )


def top_m_codes(latents: Float[Tensor, "n K"], m: int) -> Float[Tensor, "n K"]:
    """Return the m largest latents of each row, if they are above 0; 0 elsewhere."""
    return latents.relu() * top_m_mask(latents, m)


def squared_error(
    ops: Operations,
    batch: Float[Tensor, "n d"],
    codes: Float[Tensor, "n K"],
    atoms: Float[Tensor, "K d"],
) -> Float[Tensor, ""]:
    """Return the squared error of a batch's reconstruction, summed over entries, per sample."""
    left = batch - ops.matmul(codes, atoms)
    return ops.total(left * left) / len(batch)


def mean_energy(ops: Operations, rows: Float[Tensor, "N d"]) -> float:
    """Return the samples' mean squared norm: the unit of penalties and, rooted, of thresholds."""
    return float(ops.total(ops.row_sums(rows * rows))) / len(rows)


def top_m_fitted(
    encoder: Float[Tensor, "K d"],
    bias: Float[Tensor, " K"],
    atoms: Float[Tensor, "K d"],
    m: int,
    arithmetic: str,
) -> Fitted:
    """Return a linear encoder with top-m selection, and its unit-norm atoms, for the metrics."""
    weights, biases, rows = (part.detach().cpu().clone()[None] for part in (encoder, bias, atoms))
    model = TopMSAE(weights.mT, biases, rows, arithmetic=arithmetic)
    return Fitted(numpy_of(atoms).T.astype(np.float64), TopM(model, m))


def numpy_of(tensor: Tensor) -> np.ndarray:
    """Return a tensor's values as a contiguous array."""
    return np.ascontiguousarray(tensor.detach().cpu().numpy())


def _moment(config: DenseConfig, step: int, K: int) -> Moment:
    factor = config.learning_rate_schedule.factor_at(step, config.n_steps)
    active = config.sparsity_warmup.active_at(step, config.n_steps, K, config.n_nonzero)
    return Moment(step, config.n_steps, active, config.learning_rate * factor)
