"""One loop for SAEs whose loss is a formula: the recipe of `osae_theory.sae.train_on_sets`.

The same start and the same order of the data from the same seeds, Adam with the same schedule of
the learning rate, the same sparsity warm-up, and atoms at unit norm where a model wants them so.

A model is that of one run, and so is its loss. In portable arithmetic runs are trained one after
the other; in fast arithmetic in one program, their parameters side by side along the run axis, the
loss mapped over it by `torch.vmap`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.contracts import Fitted
from benchmarks.encoders.top_m import TopM
from benchmarks.training.portable_autograd import Operations, operations
from osae_theory.errors import InputError, check_integer, check_real
from osae_theory.sae import LearningRateSchedule, RunSeeds, SparsityWarmup, TopMSAE
from osae_theory.sae.data_order import DataOrder, rows_at
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
    n_steps, batch_size : int
        Optimiser steps, and samples a step, each at least 1.
    arithmetic : {"portable", "fast"}
        See `benchmarks.training.portable_autograd`.
    sparsity_warmup : SparsityWarmup
        How the number of active latents falls to m.
    learning_rate_schedule : LearningRateSchedule
        Warm-up and decay.
    betas : tuple of two floats
        Adam's decay rates.
    """

    n_nonzero: int
    n_steps: int = 1960
    batch_size: int = 1024
    arithmetic: str = "portable"
    sparsity_warmup: SparsityWarmup = field(default_factory=SparsityWarmup)
    learning_rate_schedule: LearningRateSchedule = field(default_factory=LearningRateSchedule)
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        check_integer("n_nonzero", self.n_nonzero, 1)
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
    """

    step: int
    n_steps: int
    active: int


class DenseModel(nn.Module, ABC):
    """One run's SAE: its parameters, its loss, and what it gives in the end.

    What the loss depends on and may differ between runs is a parameter or a buffer, numbers too:
    of several runs in one program, the loss is that of one model at each run's values.

    Attributes
    ----------
    on_sphere : collection of str
        The parameters whose rows are kept at unit norm, the gradient's radial part removed.
    """

    on_sphere: Collection[str] = ()

    @abstractmethod
    def loss(self, batch: Float[Tensor, "n d"], moment: Moment) -> Float[Tensor, ""]:
        """Return the loss of a batch, per sample: what is differentiated."""

    def forward(self, batch: Float[Tensor, "n d"], moment: Moment) -> Float[Tensor, ""]:
        """Return the loss: what `torch.func.functional_call` calls."""
        return self.loss(batch, moment)

    def stepped(self, moment: Moment, rate: float) -> None:
        """Do in place what follows an optimiser step at some learning rate, such as a projection.

        Nothing by default.
        """
        return

    @abstractmethod
    def fitted(self) -> Fitted:
        """Return the dictionary and the encoder."""

    def hold(self, name: str, value: float | Tensor) -> None:
        """Keep a constant of the run's loss as a buffer; a number becomes one of float64."""
        # So that numbers multiply as Python's do, before they meet a batch in its own dtype.
        if not isinstance(value, Tensor):
            value = torch.tensor(value, dtype=torch.float64)
        self.register_buffer(name, value)


def parameter(values: Float[Tensor, "rows *width"]) -> nn.Parameter:
    """Return a parameter with these values for a start, in memory of its own."""
    return nn.Parameter(values.detach().clone(memory_format=torch.contiguous_format))


SomeModel = TypeVar("SomeModel", bound=DenseModel)


@dataclass(frozen=True, eq=False)
class DenseRun(Generic[SomeModel]):
    """One run.

    Attributes
    ----------
    seeds : RunSeeds
        Its seeds.
    learning_rate : float
        At its peak, above 0.
    model : callable
        Makes its model from what it starts from.
    """

    seeds: RunSeeds
    learning_rate: float
    model: Callable[[Start], SomeModel]

    def __post_init__(self) -> None:
        check_real("learning rate", self.learning_rate, above=0)


class TopMModel(DenseModel):
    """A top-m SAE: linear encoder, started at the transpose of its decoder; no decoder bias.

    Parameters
    ----------
    start : Start
        What it starts from.
    """

    on_sphere = ("decoder",)

    def __init__(self, start: Start) -> None:
        super().__init__()
        self.ops, self.m = start.ops, start.m
        self.encoder = parameter(start.atoms)
        self.bias = parameter(start.atoms.new_zeros(len(start.atoms)))
        self.decoder = parameter(start.atoms)

    def atoms(self) -> Float[Tensor, "K d"]:
        """Return the atoms as functions of the parameters."""
        return self.decoder

    def codes(
        self, batch: Float[Tensor, "n d"], atoms: Float[Tensor, "K d"], active: int
    ) -> Float[Tensor, "n K"]:
        """Return the codes of a batch, `active` a sample at most."""
        latents = self.ops.affine(batch, self.encoder, self.bias)
        return top_m_codes(latents, active)

    def loss(self, batch: Float[Tensor, "n d"], moment: Moment) -> Float[Tensor, ""]:
        """Return the squared error of a batch, per sample."""
        atoms = self.atoms()
        return squared_error(self.ops, batch, self.codes(batch, atoms, moment.active), atoms)

    def fitted(self) -> Fitted:
        """Return the dictionary and the encoder."""
        return top_m_fitted(self.encoder, self.bias, self.atoms(), self.m, self.ops.arithmetic)


def train_dense(
    x: Float[Tensor, "sets N d"],
    sets: Sequence[int],
    K: int,
    runs: Sequence[DenseRun[SomeModel]],
    config: DenseConfig,
) -> list[SomeModel | None]:
    """Train one model a run, each on its own of several data sets; None for a run that diverged.

    A run equals the same run on its data set alone: bit for bit in portable arithmetic, to
    rounding of each step in fast arithmetic.

    Parameters
    ----------
    x : tensor of shape (sets, N, d)
        Data sets of one size, as rows; their dtype and device are those of the training.
    sets : sequence of int
        Which of them each run is trained on.
    K : int
        Atoms, at least m.
    runs : sequence of DenseRun
        In fast arithmetic their models are of one kind and of the same shapes, and may differ in
        the values of parameters and buffers alone, so far as the loss is concerned.
    config : DenseConfig
        What the runs share.

    Raises
    ------
    InputError
        If m exceeds K, or portable arithmetic is asked for on another device than the CPU.
    """
    check_integer("K", K, 1)
    if config.n_nonzero > K:
        raise InputError(f"m = {config.n_nonzero}: expected at most K = {K}")
    backend = backend_for(config.arithmetic, "auto", x.dtype, x.device)
    size = 1 if config.arithmetic == "portable" else max(len(runs), 1)
    trained: list[SomeModel | None] = []
    for first in range(0, len(runs), size):
        some = slice(first, first + size)
        trained += _trained(x, sets[some], K, runs[some], config, backend)
    return trained


def _trained(
    x: Float[Tensor, "sets N d"],
    sets: Sequence[int],
    K: int,
    runs: Sequence[DenseRun[SomeModel]],
    config: DenseConfig,
    backend: str,
) -> list[SomeModel | None]:
    """Train runs side by side; alone, a run's loss is not mapped but computed as it is."""
    m, ops = config.n_nonzero, operations(config.arithmetic)
    models = [
        run.model(Start(initial_atoms(run.seeds, K, rows), rows, m, run.seeds, ops)).to(x.device)
        for run, rows in zip(runs, (x[place] for place in sets), strict=True)
    ]
    parameters = _side_by_side([dict(model.named_parameters()) for model in models])
    buffers = _side_by_side([dict(model.named_buffers()) for model in models])
    initial = {name: values.clone() for name, values in parameters.items()}
    states = [
        AdamState.of(
            values.detach().view(*values.shape[:2], -1), on_sphere=name in models[0].on_sphere
        )
        for name, values in parameters.items()
    ]
    for values in parameters.values():
        values.requires_grad_()
    order = DataOrder(x.shape[1], min(config.batch_size, x.shape[1]), [run.seeds for run in runs])
    adam = AdamConfig(config.betas)
    diverged = torch.zeros(len(runs), dtype=torch.bool, device=x.device)
    for step in range(config.n_steps):
        moment = _moment(config, step, K)
        batch = rows_at(x, sets, order.next())
        losses = _losses(models[0], {**parameters, **buffers}, batch, moment)
        slopes = torch.autograd.grad(losses.sum(), list(parameters.values()))
        factor = config.learning_rate_schedule.factor_at(step, config.n_steps)
        rates = [run.learning_rate * factor for run in runs]
        bounded = losses.isfinite()
        for state, slope in zip(states, slopes, strict=True):
            state.gradient.copy_(slope.view(state.gradient.shape))
            bounded &= adam_step(state, step + 1, rates, adam, backend=backend) < _OVERFLOW
        diverged |= ~bounded
        if bool(diverged.any()):
            if bool(diverged.all()):
                break
            _put_back(parameters, initial, diverged)
        for model, rate in zip(models, rates, strict=True):
            model.stepped(moment, rate)
    return [None if lost else model for model, lost in zip(models, diverged.tolist(), strict=True)]


def _side_by_side(
    tensors: Sequence[Mapping[str, Shaped[Tensor, "..."]]],
) -> dict[str, Shaped[Tensor, "S ..."]]:
    """Return tensors of S runs as one with a run axis; each run's become parts of these."""
    together = {name: torch.stack([own[name].detach() for own in tensors]) for name in tensors[0]}
    for s, own in enumerate(tensors):
        for name, tensor in own.items():
            tensor.data = together[name][s]
    return together


def _losses(
    model: DenseModel,
    tensors: Mapping[str, Shaped[Tensor, "S ..."]],
    batch: Float[Tensor, "S n d"],
    moment: Moment,
) -> Float[Tensor, " S"]:
    """Return each run's loss, at its own values of a model's parameters and buffers."""

    def loss(own: dict[str, Tensor], rows: Tensor) -> Tensor:
        return functional_call(model, own, (rows, moment))

    if len(batch) == 1:
        return loss({name: values.squeeze(0) for name, values in tensors.items()}, batch[0])[None]
    return torch.vmap(loss)(dict(tensors), batch)


def _put_back(
    parameters: Mapping[str, Float[Tensor, "S ..."]],
    initial: Mapping[str, Float[Tensor, "S ..."]],
    diverged: Bool[Tensor, " S"],
) -> None:
    """Put diverged runs back to their start, where their numbers harm nobody."""
    for name, values in parameters.items():
        values.detach()[diverged] = initial[name][diverged]


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
    return latents.relu() * largest(latents, m)


def largest(scores: Float[Tensor, "*batch K"], m: int) -> Bool[Tensor, "*batch K"]:
    """Mark the m largest scores of each row by `top_m_mask`, which `torch.vmap` cannot map."""
    apply: Callable[..., Any] = _Largest.apply
    return apply(scores, m)


class _Largest(torch.autograd.Function):
    @staticmethod
    def forward(scores: Tensor, m: int) -> Tensor:
        return top_m_mask(scores, m)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Tensor, int]:
        scores, m = args
        return largest(scores.movedim(in_dims[0], 0), m), 0


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
    active = config.sparsity_warmup.active_at(step, config.n_steps, K, config.n_nonzero)
    return Moment(step, config.n_steps, active)
