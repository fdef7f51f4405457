"""Training of many SAEs at once: same data, same shape, each run with its own everything else.

Runs may differ in seeds, learning rate and prefix law. They share no arithmetic: each
reduction stays inside a run and each run has its own optimiser state, so a run in a batch
equals the same run alone: bit for bit on a CPU with one intra-op thread and d >= 2, to
rounding elsewhere (with more threads a library may split a sum differently).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from osae_theory.errors import InputError, check_choice, check_integer, check_real
from osae_theory.objectives import nested_dropout_loss
from osae_theory.prefixes import WeightSchedule
from osae_theory.sae.auxiliary import DeadLatentLoss, DeadLatents
from osae_theory.sae.model import TopMSAE
from osae_theory.sae.schedules import LearningRateSchedule, SparsityWarmup, UnitSweep
from osae_theory.sae.selection import ACTIVATIONS, select_top_m
from osae_theory.seeds import Axis, generator, torch_generator

_OVERFLOW = 1e18


@dataclass(frozen=True)
class RunSeeds:
    """The seeds of one run, one for each axis, so that runs can share one and not another.

    Attributes
    ----------
    initialisation, data_order, prefixes : int
        At least 0.
    """

    initialisation: int
    data_order: int
    prefixes: int

    def __post_init__(self) -> None:
        for name in ("initialisation", "data_order", "prefixes"):
            check_integer(f"{name} seed", getattr(self, name), 0)

    @classmethod
    def same(cls, seed: int) -> "RunSeeds":
        """Return one seed on all three axes; the streams differ all the same."""
        return cls(seed, seed, seed)


@dataclass(frozen=True)
class Run:
    """What is a run's own: its seeds, its learning rate, its prefix law."""

    seeds: RunSeeds
    learning_rate: float
    schedule: WeightSchedule

    def __post_init__(self) -> None:
        check_real("learning rate", self.learning_rate, above=0)


@dataclass(frozen=True)
class TrainingConfig:
    """What the runs of one batch share.

    Attributes
    ----------
    n_nonzero : int
        Sparsity m, at least 1.
    n_steps : int
        Optimiser steps, at least 1.
    batch_size : int
        Samples a step, at least 1; capped at the number of samples there are.
    activation : {"relu", "signed"}
        How the m largest latents are chosen.
    use_decoder_bias : bool
        Whether to learn b_dec, started at the mean of the data.
    sparsity_warmup : SparsityWarmup
        k warm-up.
    learning_rate_schedule : LearningRateSchedule
        Warm-up and decay.
    unit_sweep : UnitSweep or None
        Unit sweeping; off by default.
    dead_latent_loss : DeadLatentLoss or None
        Auxiliary loss for dead latents; off by default.
    betas : tuple of two floats
        Adam's decay rates.
    """

    n_nonzero: int
    n_steps: int = 1960
    batch_size: int = 1024
    activation: str = "relu"
    use_decoder_bias: bool = False
    sparsity_warmup: SparsityWarmup = field(default_factory=SparsityWarmup)
    learning_rate_schedule: LearningRateSchedule = field(default_factory=LearningRateSchedule)
    unit_sweep: UnitSweep | None = None
    dead_latent_loss: DeadLatentLoss | None = None
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        check_integer("n_nonzero", self.n_nonzero, 1)
        check_integer("n_steps", self.n_steps, 1)
        check_integer("batch_size", self.batch_size, 1)
        check_choice("activation", self.activation, ACTIVATIONS)
        for beta in self.betas:
            check_real("Adam beta", beta, at_least=0, below=1)


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """Trained SAEs and how they got there.

    Attributes
    ----------
    model : TopMSAE
        All runs; a run that diverged holds its initial parameters.
    diverged : tensor of bool, shape (S,)
        Which runs met a loss that is not finite, or parameters beyond 1e18.
    losses : tensor of shape (n_steps, S)
        Training loss of each step: squared error per entry of the batch, averaged over
        prefixes as the run's law says, at that step's number of active latents.
    """

    model: TopMSAE
    diverged: Bool[Tensor, " S"]
    losses: Float[Tensor, "n_steps S"]


def train(
    x: Float[Tensor, "N d"],
    n_atoms: int,
    runs: Sequence[Run],
    config: TrainingConfig,
    on_step: Callable[[int], None] | None = None,
) -> TrainingResult:
    """Train one SAE for each run on the same data, all in one program.

    Parameters
    ----------
    x : tensor of shape (N, d)
        Training data, rows; its dtype and device are those of the training.
    n_atoms : int
        Number of latents K, at least m.
    runs : sequence of Run
        The runs, in the order of the result's leading axis.
    config : TrainingConfig
        What they share.
    on_step : callable, optional
        Called after each step with the number of steps done.

    Raises
    ------
    InputError
        If the data are empty or not finite, m exceeds K, or a law has not K atoms.
    """
    _check_task(x, n_atoms, runs, config)
    n, d = x.shape
    model = TopMSAE.initialised(
        d,
        n_atoms,
        [torch_generator(r.seeds.initialisation, Axis.INITIALISATION) for r in runs],
        decoder_bias=x.mean(dim=0) if config.use_decoder_bias else None,
        activation=config.activation,
        dtype=x.dtype,
    ).to(x.device)
    initial = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimiser = _PerRunAdam(model, runs, config)
    batches = _batches(n, min(config.batch_size, n), runs)
    weights = _survival_weights(runs, config.n_steps)
    dead = None
    if config.dead_latent_loss is not None:
        dead = DeadLatents(config.dead_latent_loss, len(runs), n_atoms, x.device)
    diverged = torch.zeros(len(runs), dtype=torch.bool, device=x.device)
    losses = []
    for step in range(config.n_steps):
        batch = x[next(batches).to(x.device)]
        survival = torch.from_numpy(next(weights)).to(x)
        active = config.sparsity_warmup.active_at(step, config.n_steps, n_atoms, config.n_nonzero)
        loss = _backward(model, batch, survival, active, dead)
        optimiser.step(step)
        diverged |= ~(loss.isfinite() & _is_bounded(model))
        if bool(diverged.any()):
            _restore(model, initial, diverged)
        losses.append(loss / batch[0].numel())
        if on_step is not None:
            on_step(step + 1)
    return TrainingResult(model.requires_grad_(False), diverged, torch.stack(losses))


def _check_task(x: Tensor, n_atoms: int, runs: Sequence[Run], config: TrainingConfig) -> None:
    check_integer("n_atoms", n_atoms, 1)
    if not runs:
        raise InputError("no run to train: expected at least one")
    if 0 in x.shape:
        raise InputError(f"data of shape {tuple(x.shape)}: expected at least one sample and entry")
    if not bool(x.isfinite().all()):
        raise InputError("the data hold NaN or Inf: expected finite numbers")
    if config.n_nonzero > n_atoms:
        raise InputError(f"m = {config.n_nonzero}: expected at most K = {n_atoms}")
    for run in runs:
        if n_atoms != run.schedule.K:
            raise InputError(f"a prefix law over {run.schedule.K} atoms: expected K = {n_atoms}")


def _backward(
    model: TopMSAE,
    batch: Float[Tensor, "S n d"],
    survival: Float[Tensor, "S K"],
    active: int,
    dead: DeadLatents | None,
) -> Float[Tensor, " S"]:
    """Fill the gradients of one step; return each run's loss, summed over the batch."""
    centred = model.centred(batch)
    preactivations = model.preactivations(centred)
    codes = select_top_m(preactivations, active, model.activation)
    loss = nested_dropout_loss(centred, codes, model.atoms, survival)
    total = loss
    if dead is not None:
        total = loss + dead.loss(centred, preactivations, codes, model.atoms)
    model.zero_grad(set_to_none=True)
    (total / batch.shape[1]).sum().backward()
    return loss.detach()


def _batches(n: int, batch_size: int, runs: Sequence[Run]) -> Iterator[Tensor]:
    """Yield sample indices (S, batch_size): each run walks its own permutations, end to end."""
    streams = [torch_generator(r.seeds.data_order, Axis.DATA_ORDER) for r in runs]
    queue = torch.empty(len(runs), 0, dtype=torch.long)
    while True:
        while queue.shape[1] < batch_size:
            epoch = torch.stack([torch.randperm(n, generator=g) for g in streams])
            queue = torch.cat([queue, epoch], dim=1)
        yield queue[:, :batch_size]
        queue = queue[:, batch_size:]


def _survival_weights(runs: Sequence[Run], n_steps: int) -> Iterator[Float[np.ndarray, "S K"]]:
    """Yield each step's survival weights, each run's prefixes from its own stream."""
    streams = [generator(r.seeds.prefixes, Axis.PREFIXES) for r in runs]
    for step in range(n_steps):
        yield np.stack(
            [r.schedule.survival_at(step, n_steps, g) for r, g in zip(runs, streams, strict=True)]
        )


def _is_bounded(model: TopMSAE) -> Bool[Tensor, " S"]:
    """Say which runs' parameters are finite and far from overflow (NaN compares false)."""
    largest = [p.detach().abs().flatten(start_dim=1).amax(dim=1) for p in model.parameters()]
    return torch.stack(largest).amax(dim=0) < _OVERFLOW


@torch.no_grad()
def _restore(model: TopMSAE, initial: dict[str, Tensor], runs: Bool[Tensor, " S"]) -> None:
    """Put diverged runs back to their start, where their numbers harm nobody."""
    for name, parameter in model.named_parameters():
        parameter[runs] = initial[name][runs]


class _PerRunAdam:
    """Adam on unit-norm atoms, one parameter group a run.

    The optimiser sees each run's slice as a parameter of its own, so that its arithmetic
    does not depend on which other runs are in the batch.
    """

    def __init__(self, model: TopMSAE, runs: Sequence[Run], config: TrainingConfig) -> None:
        self._model, self._config = model, config
        self._slices = [
            [nn.Parameter(p.detach()[s], requires_grad=True) for p in model.parameters()]
            for s in range(len(runs))
        ]
        self._adam = torch.optim.Adam(
            [
                {"params": views, "lr": run.learning_rate}
                for views, run in zip(self._slices, runs, strict=True)
            ],
            betas=config.betas,
            foreach=True,
        )
        self._base_rates = [run.learning_rate for run in runs]

    @torch.no_grad()
    def step(self, step: int) -> None:
        model, config = self._model, self._config
        _project_to_sphere(model)
        factor = config.learning_rate_schedule.factor_at(step, config.n_steps)
        gradients = [p.grad for p in model.parameters()]
        for s, (views, group) in enumerate(zip(self._slices, self._adam.param_groups, strict=True)):
            group["lr"] = self._base_rates[s] * factor
            for view, gradient in zip(views, gradients, strict=True):
                view.grad = None if gradient is None else gradient[s]
        frozen = (
            0 if config.unit_sweep is None else config.unit_sweep.frozen_at(step, model.n_atoms)
        )
        kept = _units(model, frozen)
        self._adam.step()
        model.atoms.div_(torch.linalg.vector_norm(model.atoms, dim=-1, keepdim=True))
        for unit, value in zip(_unit_views(model, frozen), kept, strict=True):
            unit.copy_(value)


def _project_to_sphere(model: TopMSAE) -> None:
    """Remove the part of the atoms' gradient that would only change their norms."""
    gradient = model.atoms.grad
    assert gradient is not None
    radial = (gradient * model.atoms).sum(dim=-1, keepdim=True)
    gradient.sub_(radial * model.atoms)


def _unit_views(model: TopMSAE, count: int) -> list[Tensor]:
    """Return views of what belongs to the first `count` units."""
    if count == 0:
        return []
    return [
        model.encoder[:, :, :count],
        model.encoder_bias[:, :count],
        model.atoms[:, :count],
    ]


def _units(model: TopMSAE, count: int) -> list[Tensor]:
    return [view.clone() for view in _unit_views(model, count)]
