"""How runs of top-m SAEs are trained: by `osae_theory.sae`, those of several methods together."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.contracts import Data, Fit, Fitted, Params, Part, Recipe
from benchmarks.encoders.top_m import TopM
from osae_theory.prefixes import FitSchedule, WeightSchedule
from osae_theory.sae import Run, RunSeeds, TopMSAE, TrainingConfig
from osae_theory.sae.training import train_on_sets


@dataclass(frozen=True)
class TopMRecipe(Recipe):
    """How a method's runs are trained, where each is a top-m SAE.

    Attributes
    ----------
    config : callable
        Gives, for K, m and what the runs share, the training's configuration: runs whose
        configurations are equal can train in one program, whatever their methods and draws.
    schedule : callable
        Gives, for K and the method's parameters, the law of the prefix length.
    start : callable, optional
        Gives the unit atoms (K, d) that a run starts from; isotropic by default. In one program
        all runs have such a start, or none has.
    """

    config: Callable[[int, int, Fit], TrainingConfig]
    schedule: Callable[[int, Params], WeightSchedule | FitSchedule]
    start: Callable[[Data, RunSeeds], Float[np.ndarray, "K d"]] | None = None

    def shared(self, K: int, m: int, how: Fit) -> Hashable:
        """Return the training's configuration, and whether runs have a start of their own."""
        return self.config(K, m, how), self.start is None

    def train(
        self, parts: Sequence[Part], x: Float[torch.Tensor, "sets N d"], sets: Sequence[int]
    ) -> list[Fitted | None]:
        """Train all runs of parts that can share a program; see `Recipe`."""
        first = parts[0]
        K, m = first.data.K, first.data.m
        runs: list[Run] = []
        starts: list[Float[np.ndarray, "K d"]] = []
        for part in parts:
            recipe = part.recipe
            assert isinstance(recipe, TopMRecipe)
            law, rate = recipe.schedule(K, part.how.params), float(part.how.params["lr"])
            runs += [Run(own, rate, law) for own in part.seeds]
            if recipe.start is not None:
                starts += [recipe.start(part.data, own) for own in part.seeds]
        result = train_on_sets(
            x,
            [place for place, part in zip(sets, parts, strict=True) for _ in part.seeds],
            K,
            runs,
            self.config(K, m, first.how),
            initial_atoms=torch.from_numpy(np.stack(starts)) if starts else None,
        )
        return [
            None if diverged else _fitted(result.model.run(s), m)
            for s, diverged in enumerate(result.diverged.tolist())
        ]


def _fitted(model: TopMSAE, m: int) -> Fitted:
    model.activation = "relu"
    return Fitted(model.atoms[0].detach().cpu().double().numpy().T, TopM(model, m))
