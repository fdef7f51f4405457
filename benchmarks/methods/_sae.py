"""What the top-m SAEs share: a linear encoder, one recipe, and a law of the prefix length."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.contracts import Data, Fit, FitFunction, Fitted, Method, Params
from benchmarks.encoders.top_m import TopM
from benchmarks.parameters import Parameter
from osae_theory.prefixes import FitSchedule, PrefixLaw, WeightSchedule
from osae_theory.sae import (
    Resorting,
    Run,
    RunSeeds,
    TopMSAE,
    TrainingConfig,
    UnitSweep,
    train,
)

LEARNING_RATE = Parameter(
    "lr",
    "real",
    "peak learning rate, above 0",
    candidates=(0.001, 0.0018, 0.003, 0.0055, 0.01, 0.018, 0.032, 0.055),
    above=0,
)

Schedule = Callable[[int, Params], WeightSchedule | FitSchedule]
Adapt = Callable[[TrainingConfig, int, Params], TrainingConfig]
Start = Callable[[Data, RunSeeds], Float[np.ndarray, "K d"]]


def full(K: int, params: Params) -> PrefixLaw:
    """Return the law of the plain loss, L_K, whatever the parameters."""
    return PrefixLaw.full(K)


def uniform(K: int, params: Params) -> PrefixLaw:
    """Return the uniform law, whatever the parameters."""
    return PrefixLaw.uniform(K)


def _unchanged(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    return config


def resorted(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    """Return a configuration that puts latents in order of their energy every 50 steps."""
    return replace(config, resorting=Resorting(every=50))


def swept(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    """Return a configuration that freezes one unit after the other over the second half."""
    burn_in = config.n_steps // 2
    every = max(1, (config.n_steps - burn_in) // K)
    return replace(config, unit_sweep=UnitSweep(burn_in, every))


def sae_method(
    name: str,
    title: str,
    schedule: Schedule,
    adapt: Adapt = _unchanged,
    parameters: Sequence[Parameter] = (),
    tuned_as: str = "",
    *,
    start: Start | None = None,
    sees: Literal["data", "truth"] = "data",
) -> Method:
    """Return a top-m SAE as a method: it is its schedule of prefix laws.

    Whatever its activation in training, at measurement the m largest latents of each sample are
    active, so far as they are positive.

    Parameters
    ----------
    name, title : str
        As in `Method`.
    schedule : callable
        Gives the prefix law, or the schedule of laws, for K atoms and the method's parameters.
    adapt : callable, optional
        Changes the common training configuration where the method needs it.
    parameters : sequence of Parameter
        Its own, besides the learning rate.
    tuned_as : str
        As in `Method`.
    start : callable, optional
        Gives the unit atoms (K, d) that a run starts from, for the data and the run's seeds;
        isotropic by default.
    sees : {"data", "truth"}
        As in `Method`.
    """
    fit = _fit(schedule, adapt, start)
    return Method(name, title, fit, (*parameters, LEARNING_RATE), sees, tuned_as=tuned_as)


def _fit(schedule: Schedule, adapt: Adapt, start: Start | None) -> FitFunction:
    def fit(data: Data, how: Fit, seeds: Sequence[RunSeeds]) -> list[Fitted | None]:
        common = TrainingConfig(
            data.m,
            n_steps=how.budget.amount,
            batch_size=how.budget.batch_size,
            arithmetic=how.arithmetic,
        )
        law = schedule(data.K, how.params)
        rate = float(how.params["lr"])
        first = None if start is None else np.stack([start(data, own) for own in seeds])
        result = train(
            torch.from_numpy(data.rows).to(how.device),
            data.K,
            [Run(own, rate, law) for own in seeds],
            adapt(common, data.K, how.params),
            initial_atoms=None if first is None else torch.from_numpy(first),
        )
        return [
            None if diverged else _fitted(result.model.run(s), data.m)
            for s, diverged in enumerate(result.diverged.tolist())
        ]

    return fit


def _fitted(model: TopMSAE, m: int) -> Fitted:
    model.activation = "relu"
    return Fitted(model.atoms[0].detach().cpu().double().numpy().T, TopM(model, m))
