"""Ordered training step by step: many SAEs at once, each with its own everything but shape."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from osae_theory.errors import InputError, check_integer, shown
from osae_theory.prefixes import (
    AnnealedLaw,
    ExactPenalty,
    FitSchedule,
    PrefixLaw,
    RandomPrefixes,
    SampledPrefix,
    check_survival,
)
from osae_theory.sae.auxiliary import DeadLatents
from osae_theory.sae.data_order import restore_streams, saved_streams
from osae_theory.sae.decoders import FrozenDecoder, NearDecoder, hold_near
from osae_theory.sae.fit import Fit, SampleWeights
from osae_theory.sae.gradients import ModelGradients, Workspace, fill_gradients
from osae_theory.sae.kernels import AdamConfig, AdamState, adam_step, backend_for
from osae_theory.sae.model import TopMSAE
from osae_theory.sae.resampling import replacements
from osae_theory.sae.runs import Run, TrainingConfig
from osae_theory.sae.schedules import Resorting
from osae_theory.seeds import Axis, generator

_OVERFLOW = 1e18
_NEWEST = 0.01
# What only some trainers' states hold.
_OF_SOME = frozenset({"residuals", "energies", "silent", "starts"})
# How far from 1 the norm of an atom to start from may be.
_NORM_TOLERANCE = 1e-4
# Schedules whose weights need no check.
_OWN = (PrefixLaw, AnnealedLaw, RandomPrefixes, SampledPrefix, ExactPenalty)


class Trainer:
    """S SAEs in training; feed it batches with `step`.

    Runs may differ in seeds, learning rate and prefix law. They share no arithmetic: each
    reduction stays inside a run and each run has its own optimiser state, so a run in a
    batch equals the same run alone: bit for bit in portable arithmetic, on any number of
    threads; to rounding in fast arithmetic, where BLAS may take another path.

    Parameters
    ----------
    d, n_atoms : int
        Dimension of the data and number of latents K, at least m.
    runs : sequence of Run
        The runs, in the order of the model's leading axis.
    config : TrainingConfig
        What they share.
    decoder_bias : tensor of shape (d,) or (S, d), optional
        Where a learned decoder bias starts, in all runs or in each; zeros by default.
    initial_atoms : tensor of shape (S, K, d), optional
        Unit atoms to start from, each run's own; the encoder starts at their transpose. By
        default isotropic, drawn from each run's seed.
    dtype, device
        Those of the training.
    all_reduce : callable, optional
        Sums a tensor over data-parallel processes in place; each gives `step` its own part
        of the batch, all parts of one size.
    world_size : int
        How many processes there are.

    Attributes
    ----------
    model : TopMSAE
        All runs; a run that diverged holds its initial parameters.
    diverged : tensor of bool, shape (S,)
        Which runs met a loss that is not finite, or a row of parameters beyond 1e18.
    thresholds : tensor of shape (S,)
        What a latent must exceed at inference under activation "batch": the running mean,
        with weight 1/100 for the newest, of the least active latent of each step at the
        final sparsity; 0 before the first such step.
    n_done : int
        Steps done.

    Raises
    ------
    InputError
        If there is no run, m exceeds K, a law or a penalty has not K atoms, initial atoms are
        not of that shape, not finite or not of unit norm, or processes are to share an auxiliary
        loss, whose counts of silent steps are each process's own.
    """

    def __init__(
        self,
        d: int,
        n_atoms: int,
        runs: Sequence[Run],
        config: TrainingConfig,
        *,
        decoder_bias: Float[Tensor, "*runs d"] | None = None,
        initial_atoms: Float[Tensor, "S K d"] | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
        all_reduce: Callable[[Tensor], object] | None = None,
        world_size: int = 1,
    ) -> None:
        _check_runs(n_atoms, runs, config)
        check_integer("world_size", world_size, 1)
        alone = config.dead_latent_loss is not None or config.resampling is not None
        if world_size > 1 and alone:
            raise InputError(
                f"world_size = {world_size}: expected 1 with a dead-latent loss or resampling"
            )
        self._all_reduce, self._world_size = all_reduce, world_size
        device = device or torch.device("cpu")
        self._backend = backend_for(config.arithmetic, config.backend, dtype, device)
        bias = decoder_bias
        if bias is None and config.use_decoder_bias:
            bias = torch.zeros(d, dtype=dtype)
        self.config = config
        self.runs = tuple(runs)
        bias = bias if config.use_decoder_bias else None
        if initial_atoms is None:
            model = TopMSAE.initialised(
                d,
                n_atoms,
                [generator(r.seeds.initialisation, Axis.INITIALISATION) for r in runs],
                decoder_bias=bias,
                activation=config.activation,
                arithmetic=config.arithmetic,
                dtype=dtype,
            )
        else:
            _check_atoms(initial_atoms, (len(runs), n_atoms, d))
            model = TopMSAE.starting_at(
                initial_atoms.detach().cpu().to(dtype, copy=True).contiguous(),
                decoder_bias=bias,
                activation=config.activation,
                arithmetic=config.arithmetic,
            )
        self.model = model.to(device)
        self.model.requires_grad_(False)
        self.n_done = 0
        self._initial = {name: p.clone() for name, p in self.model.named_parameters()}
        self._gradients = ModelGradients.like(self.model)
        self._adam = _adam_states(self.model, self._gradients)
        self._adam_config = AdamConfig(config.betas)
        self._workspace = Workspace()
        self._prefixes = [generator(r.seeds.prefixes, Axis.PREFIXES) for r in runs]
        self.diverged = torch.zeros(len(runs), dtype=torch.bool, device=device)
        self.thresholds = torch.zeros(len(runs), dtype=dtype, device=device)
        self._fit = Fit([run.schedule for run in runs], config.n_nonzero)
        self._energies = torch.zeros(len(runs), n_atoms, dtype=torch.float64, device=device)
        self._starts = None
        if isinstance(config.decoder, NearDecoder):
            self._starts = self.model.atoms.detach().clone()
        self._dead = None
        if config.dead_latent_loss is not None:
            self._dead = DeadLatents(
                config.dead_latent_loss, len(runs), n_atoms, self.diverged.device
            )

    def step(self, batch: Float[Tensor, "S n d"]) -> Float[Tensor, " S"]:
        """Do one optimiser step; return each run's loss, per entry of its batch.

        The loss is the squared error averaged over prefixes as the run's law says, at
        this step's number of active latents.

        Raises
        ------
        InputError
            If all steps of the configuration are done.
        """
        config, model, step = self.config, self.model, self.n_done
        if step >= config.n_steps:
            raise InputError(f"step {step + 1}: expected at most n_steps = {config.n_steps}")
        active = config.sparsity_warmup.active_at(
            step, config.n_steps, model.n_atoms, config.n_nonzero
        )
        samples = self._measure_fit(batch)
        found = fill_gradients(
            model,
            batch,
            self._survival(),
            active,
            self._dead,
            self._backend,
            self._gradients,
            self._workspace,
            samples,
            with_energies=config.resorting is not None,
            penalty=self._penalty(),
        )
        self._share(found.loss)
        n = batch.shape[1] * self._world_size
        bounded = self._update(1 / n)
        self.diverged |= ~(found.loss.isfinite() & bounded)
        if bool(self.diverged.any()):
            self._put_back_diverged()
        if found.least_active is not None and active == config.n_nonzero:
            self._track_thresholds(found.least_active)
        if config.resorting is not None and found.energies is not None:
            self._sort(config.resorting, found.energies)
        if config.resampling is not None and config.resampling.is_due(step, config.n_steps):
            self._resample(config.resampling.most, batch, active)
        self.n_done += 1
        return found.loss / (n * batch.shape[2])

    def state(self) -> dict[str, Tensor]:
        """Return copies of all that `restore` needs to go on to the same bits."""
        tensors = {f"model.{name}": p.clone() for name, p in self.model.named_parameters()}
        for name, state in self._adam.items():
            tensors[f"mean.{name}"] = state.mean.clone()
            tensors[f"square.{name}"] = state.square.clone()
        tensors["prefix_streams"] = saved_streams(self._prefixes)
        tensors["diverged"] = self.diverged.clone()
        tensors["thresholds"] = self.thresholds.clone()
        tensors["n_done"] = torch.tensor(self.n_done)
        if self._follows_fit:
            tensors["residuals"] = self._fit.residuals.clone()
        if self.config.resorting is not None:
            tensors["energies"] = self._energies.clone()
        if self._starts is not None:
            tensors["starts"] = self._starts.clone()
        if self._dead is not None:
            tensors["silent"] = self._dead.state()
        return tensors

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from where `state` was taken, by a trainer of the same runs and configuration.

        Raises
        ------
        InputError
            If the state is of other runs or shapes.
        """
        expected = {name: tensor.shape for name, tensor in self.state().items()}
        unknown = _OF_SOME & (state.keys() - expected.keys())
        if unknown:
            raise InputError(
                f"training state with {min(unknown)}: expected the state of a trainer with the same"
                " runs and configuration"
            )
        for name, shape in expected.items():
            if name not in state or (name != "prefix_streams" and state[name].shape != shape):
                raise InputError(
                    f"training state without {name} of shape {tuple(shape)}: expected the state"
                    " of a trainer with the same runs and configuration"
                )
        for name, parameter in self.model.named_parameters():
            parameter.copy_(state[f"model.{name}"])
        for name, adam in self._adam.items():
            adam.mean.copy_(state[f"mean.{name}"])
            adam.square.copy_(state[f"square.{name}"])
        restore_streams(self._prefixes, state["prefix_streams"])
        self.diverged.copy_(state["diverged"])
        self.thresholds.copy_(state["thresholds"])
        self.n_done = int(state["n_done"])
        if self._follows_fit:
            self._fit.residuals = state["residuals"].to(self._fit.residuals, copy=True)
        if self.config.resorting is not None:
            self._energies.copy_(state["energies"])
        if self._starts is not None:
            self._starts.copy_(state["starts"])
        if self._dead is not None:
            self._dead.restore(state["silent"])

    @property
    def _follows_fit(self) -> bool:
        return any(isinstance(run.schedule, FitSchedule) for run in self.runs)

    def _measure_fit(self, batch: Float[Tensor, "S n d"]) -> SampleWeights | None:
        """Measure how well the batch is fitted, where a run wants it; weigh its samples."""
        fit = self._fit
        if not fit.is_due(self.n_done):
            return None
        left, whole = fit.energies(self.model, batch, self._backend)
        # numpy adds in one order, whatever the vector unit and the number of threads.
        sums = torch.from_numpy(np.stack([e.cpu().numpy().sum(axis=-1) for e in (left, whole)]))
        if self._all_reduce is not None:
            sums = sums.to(left.device)
            self._all_reduce(sums)
        fit.note(self.n_done, sums[0], sums[1])
        return fit.sample_weights(left, sums[0] / (left.shape[1] * self._world_size), batch)

    def _survival(self) -> Float[Tensor, "S K"]:
        """Return this step's survival weights, each run's prefixes from its own stream."""
        step, n_steps, K = self.n_done, self.config.n_steps, self.model.n_atoms
        weights = []
        for s, (run, stream) in enumerate(zip(self.runs, self._prefixes, strict=True)):
            if isinstance(run.schedule, FitSchedule):
                found = self._fit.survival(s)
            else:
                found = run.schedule.survival_at(step, n_steps, stream)
            # The kernels read as many weights as there are atoms, whatever they are given.
            weights.append(found if type(run.schedule) in _OWN else check_survival(found, K))
        atoms = self.model.atoms
        # In half precision neighbouring weights would become equal, and prefixes groups.
        dtype = torch.promote_types(atoms.dtype, torch.float32)
        return torch.from_numpy(np.stack(weights)).to(atoms.device, dtype)

    def _penalty(self) -> Float[Tensor, " K"] | None:
        """Return the slope of this step's penalty on each latent's codes."""
        penalty = self.config.code_penalty
        if penalty is None:
            return None
        slopes = penalty.slopes_at(self.n_done, self.config.n_steps, self.model.n_atoms)
        return torch.from_numpy(slopes).to(self.model.atoms)

    def _update(self, scale: float) -> Bool[Tensor, " S"]:
        """Step every parameter; say which runs stayed bounded (NaN is not)."""
        config, step = self.config, self.n_done
        factor = config.learning_rate_schedule.factor_at(step, config.n_steps)
        rates = [run.learning_rate * factor for run in self.runs]
        sweep = config.unit_sweep
        frozen = 0 if sweep is None else sweep.frozen_at(step, self.model.n_atoms)
        kept = {"atoms"} if isinstance(config.decoder, FrozenDecoder) else set()
        norms = [
            adam_step(
                state,
                step + 1,
                rates,
                self._adam_config,
                scale=scale,
                frozen=0 if name == "decoder_bias" else frozen,
                backend=self._backend,
            )
            for name, state in self._adam.items()
            if name not in kept
        ]
        if isinstance(config.decoder, NearDecoder) and self._starts is not None:
            free = self.model.atoms[:, frozen:]
            free.copy_(hold_near(free, self._starts[:, frozen:], config.decoder.cosine))
        return (torch.stack(norms) < _OVERFLOW).all(dim=0)

    def _share(self, loss: Float[Tensor, " S"]) -> None:
        """Add up the loss and the gradients of all processes."""
        if self._all_reduce is None:
            return
        gradients = self._gradients
        for tensor in (loss, gradients.encoder, gradients.encoder_bias, gradients.atoms):
            self._all_reduce(tensor)
        if gradients.decoder_bias is not None:
            self._all_reduce(gradients.decoder_bias)

    def _track_thresholds(self, least: Float[Tensor, " S"]) -> None:
        """Move each run's threshold towards its least active latent, if any was active."""
        start = self.thresholds == 0
        # Not torch.lerp: its rounding depends on the vector unit.
        moved = self.thresholds + (least - self.thresholds) * _NEWEST
        moved = torch.where(start, least, moved)
        self.thresholds = torch.where(least.isfinite(), moved, self.thresholds)

    def _sort(self, resorting: Resorting, energies: Float[Tensor, "S K"]) -> None:
        """Add to the running energies; every so often put the latents in their order."""
        if self._all_reduce is not None:
            self._all_reduce(energies)
        self._energies.mul_(resorting.memory).add_(energies)
        if (self.n_done + 1) % resorting.every:
            return
        order = self._energies.argsort(dim=1, descending=True, stable=True)
        places = torch.arange(order.shape[1], device=order.device)
        order = torch.where(self.diverged[:, None], places, order)
        for name, adam in self._adam.items():
            if name != "decoder_bias":
                for rows in (adam.parameter, adam.mean, adam.square):
                    rows.copy_(rows.gather(1, order[..., None].expand_as(rows)))
        self._energies = self._energies.gather(1, order)
        if self._starts is not None:
            self._starts = self._starts.gather(1, order[..., None].expand_as(self._starts))
        if self._dead is not None:
            self._dead.reorder(order)

    def _resample(self, most: int, batch: Float[Tensor, "S n d"], active: int) -> None:
        """Let the least useful latents of each run start anew at the largest residuals."""
        model = self.model
        codes, centred = model.encode(batch, active), model.centred(batch)
        for s in range(len(self.runs)):
            if bool(self.diverged[s]):
                continue
            x, z, atoms = (rows[s].detach().cpu().numpy() for rows in (centred, codes, model.atoms))
            found = replacements(x, z, atoms, most)
            places = torch.from_numpy(found.latents).to(batch.device)
            new = torch.from_numpy(found.directions).to(model.atoms)
            for name, rows in (("atoms", new), ("encoder", new), ("encoder_bias", 0.0)):
                adam = self._adam[name]
                for values in (adam.mean, adam.square):
                    values[s, places] = 0.0
                adam.parameter[s, places] = rows

    def _put_back_diverged(self) -> None:
        """Put diverged runs back to their start, where their numbers harm nobody."""
        for name, parameter in self.model.named_parameters():
            parameter[self.diverged] = self._initial[name][self.diverged]


def _check_runs(n_atoms: int, runs: Sequence[Run], config: TrainingConfig) -> None:
    check_integer("n_atoms", n_atoms, 1)
    if not runs:
        raise InputError("no run to train: expected at least one")
    if config.n_nonzero > n_atoms:
        raise InputError(f"m = {config.n_nonzero}: expected at most K = {n_atoms}")
    for run in runs:
        if not isinstance(run, Run):
            raise InputError(f"runs hold {shown(run)}: expected only instances of Run")
        if n_atoms != run.schedule.K:
            raise InputError(f"a prefix law over {run.schedule.K} atoms: expected K = {n_atoms}")
    weights = None if config.code_penalty is None else config.code_penalty.weights
    if weights is not None and len(weights) != n_atoms:
        raise InputError(f"a penalty on {len(weights)} latents: expected K = {n_atoms}")


def _check_atoms(atoms: Tensor, shape: tuple[int, int, int]) -> None:
    if tuple(atoms.shape) != shape or not atoms.is_floating_point():
        raise InputError(
            f"initial atoms of shape {tuple(atoms.shape)} and {atoms.dtype}: expected real numbers"
            f" of shape {shape}"
        )
    norms = torch.linalg.vector_norm(atoms.detach().double(), dim=-1)
    wrong = ~((norms - 1).abs() <= _NORM_TOLERANCE)  # NaN too
    if bool(wrong.any()):
        raise InputError(
            f"initial atoms hold one of norm {float(norms[wrong][0]):.6g}: expected unit norms"
        )


def _adam_states(model: TopMSAE, gradients: ModelGradients) -> dict[str, AdamState]:
    """Return the optimiser's view of each parameter: rows are units wherever there are units."""
    parameters = {
        "encoder": (model.encoder.mT, gradients.encoder, False),
        "encoder_bias": (
            model.encoder_bias[..., None],
            gradients.encoder_bias[..., None],
            False,
        ),
        "atoms": (model.atoms, gradients.atoms, True),
    }
    if model.decoder_bias is not None and gradients.decoder_bias is not None:
        row = model.decoder_bias[:, None, :], gradients.decoder_bias[:, None, :], False
        parameters["decoder_bias"] = row
    return {
        name: AdamState.of(parameter.detach(), gradient, on_sphere)
        for name, (parameter, gradient, on_sphere) in parameters.items()
    }
