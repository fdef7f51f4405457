"""What the top-m SAEs share: a linear encoder, one recipe, and a law of the prefix length."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from benchmarks.contracts import Data, Fit, Method, Params
from benchmarks.parameters import Parameter
from benchmarks.training.together import fit_by
from benchmarks.training.top_m import TopMRecipe
from osae_theory.prefixes import FitSchedule, PrefixLaw, WeightSchedule
from osae_theory.sae import Resorting, RunSeeds, TrainingConfig, UnitSweep

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
    recipe = TopMRecipe(_config(adapt), schedule, start)
    own = (*parameters, LEARNING_RATE)
    return Method(name, title, fit_by(recipe), own, sees, tuned_as=tuned_as, recipe=recipe)


def _config(adapt: Adapt) -> Callable[[int, int, Fit], TrainingConfig]:
    def config(K: int, m: int, how: Fit) -> TrainingConfig:
        common = TrainingConfig(
            m,
            n_steps=how.budget.amount,
            batch_size=how.budget.batch_size,
            arithmetic=how.arithmetic,
        )
        return adapt(common, K, how.params)

    return config
