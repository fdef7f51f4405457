"""Training of many SAEs on data that fit in memory, all in one program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, shown
from osae_theory.sae.data_order import DataOrder, rows_at
from osae_theory.sae.model import TopMSAE
from osae_theory.sae.runs import Run, TrainingConfig
from osae_theory.sae.trainer import Trainer

_DTYPES = (torch.float16, torch.float32, torch.float64)


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """Trained SAEs and how they got there.

    Attributes
    ----------
    model : TopMSAE
        All runs; a run that diverged holds its initial parameters.
    diverged : tensor of bool, shape (S,)
        Which runs met a loss that is not finite, or a row of parameters beyond 1e18.
    losses : tensor of shape (n_steps, S)
        Training loss of each step: squared error per entry of the batch, averaged over
        prefixes as the run's law says, at that step's number of active latents.
    thresholds : tensor of shape (S,)
        What a latent must exceed at inference under activation "batch"; see `Trainer`.
    """

    model: TopMSAE
    diverged: Bool[Tensor, " S"]
    losses: Float[Tensor, "n_steps S"]
    thresholds: Float[Tensor, " S"]


@at_the_door
def train(
    x: Float[Tensor, "N d"],
    n_atoms: int,
    runs: Sequence[Run],
    config: TrainingConfig,
    on_step: Callable[[int], None] | None = None,
    *,
    initial_atoms: Float[Tensor, "S K d"] | None = None,
) -> TrainingResult:
    """Train one SAE for each run on the same data; see `Trainer`.

    Parameters
    ----------
    x : tensor of shape (N, d)
        Training data, rows; its dtype and device are those of the training.
    n_atoms, runs, config, on_step, initial_atoms
        As in `train_on_sets`.

    Raises
    ------
    InputError
        As `train_on_sets`.
    """
    return train_on_sets(
        x[None], [0] * len(runs), n_atoms, runs, config, on_step, initial_atoms=initial_atoms
    )


@at_the_door
def train_on_sets(
    x: Float[Tensor, "sets N d"],
    sets: Sequence[int],
    n_atoms: int,
    runs: Sequence[Run],
    config: TrainingConfig,
    on_step: Callable[[int], None] | None = None,
    *,
    initial_atoms: Float[Tensor, "S K d"] | None = None,
) -> TrainingResult:
    """Train one SAE for each run, each on its own of several data sets; see `Trainer`.

    A run equals the same run on its data set alone: bit for bit in portable arithmetic, to
    rounding of each step in fast arithmetic.

    Parameters
    ----------
    x : tensor of shape (sets, N, d)
        Data sets of one size, as rows; their dtype and device are those of the training.
    sets : sequence of S int
        Which of them each run is trained on.
    n_atoms : int
        Number of latents K, at least m.
    runs : sequence of Run
        The runs, in the order of the result's leading axis.
    config : TrainingConfig
        What they share.
    on_step : callable, optional
        Called after each step with the number of steps done.
    initial_atoms : tensor of shape (S, K, d), optional
        Unit atoms to start from, each run's own; the encoder starts at their transpose. By
        default isotropic, drawn from each run's seed.

    Raises
    ------
    InputError
        If the data are no matrices of numbers, empty or not finite, a run is of none of them, m
        exceeds K, a law has not K atoms, or the initial atoms are not of that shape or not of unit
        norm.
    """
    if 0 in x.shape[1:]:
        shape = tuple(x.shape[1:])
        raise InputError(f"data of shape {shape}: expected at least one sample and entry")
    if x.dtype not in _DTYPES:
        raise InputError(f"x of dtype {x.dtype}: expected float16, float32 or float64")
    if not bool(x.isfinite().all()):
        raise InputError("the data hold NaN or Inf: expected finite numbers")
    n_sets, n, d = x.shape
    if len(sets) != len(runs) or not all(0 <= one < n_sets for one in sets):
        raise InputError(
            f"data sets {shown(list(sets))} of {len(runs)} runs: expected one of 0..{n_sets - 1}"
            " for each"
        )
    mean = None
    if config.use_decoder_bias:
        mean = torch.stack([_mean(one) for one in x])[list(sets)]
    trainer = Trainer(
        d,
        n_atoms,
        runs,
        config,
        decoder_bias=mean,
        initial_atoms=initial_atoms,
        dtype=x.dtype,
        device=x.device,
    )
    order = DataOrder(n, min(config.batch_size, n), [run.seeds for run in runs])
    losses = []
    for step in range(config.n_steps):
        losses.append(trainer.step(rows_at(x, sets, order.next())))
        if on_step is not None:
            on_step(step + 1)
    return TrainingResult(trainer.model, trainer.diverged, torch.stack(losses), trainer.thresholds)


def _mean(x: Float[Tensor, "N d"]) -> Float[Tensor, " d"]:
    """Return the mean of the rows, which numpy adds in their order, rounded once."""
    total = x.detach().cpu().numpy().sum(axis=0, dtype=np.float64)
    return torch.from_numpy(total / len(x)).to(x)
