"""What a method is: it takes a problem and gives, for each run, ordered atoms and codes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.config import RunConfig
from osae_theory.errors import InputError
from osae_theory.prefixes import WeightSchedule
from osae_theory.problems import SparseCodingProblem
from osae_theory.sae import Run, TopMSAE, TrainingConfig, train

LEARNING_RATES = resources.files("benchmarks") / "learning_rates.json"


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a run gives to the metrics: a dictionary in the order learned, and its encoder.

    Attributes
    ----------
    dictionary : array of shape (d, K)
        Atoms as columns, in the order the method gives them.
    encode : callable
        Maps data rows (n, d), float32, to codes (n, K).
    """

    dictionary: Float[np.ndarray, "d K"]
    encode: Callable[[Float[np.ndarray, "n d"]], Float[np.ndarray, "n K"]]


class Method(Protocol):
    """A dictionary-learning method under test: one file in this folder, one registry entry."""

    @property
    def name(self) -> str:
        """Name on the command line and in tables' files."""
        ...

    @property
    def title(self) -> str:
        """Name in tables and figures."""
        ...

    def fit(self, problem: SparseCodingProblem, runs: Sequence[RunConfig]) -> list[Fitted | None]:
        """Fit one dictionary for each run; None for a run that diverged.

        The runs share the cell, the problem and the budget, and differ in their seeds and
        learning rates. A run must not depend on which others it is fitted with.
        """
        ...


def _unchanged(config: TrainingConfig, K: int) -> TrainingConfig:
    return config


@dataclass(frozen=True)
class SAEMethod:
    """A top-m SAE with a linear encoder: a method is its schedule of prefix laws.

    Attributes
    ----------
    name, title : str
        As in `Method`.
    schedule : callable
        Gives the prefix law, or schedule of laws, for K atoms.
    adapt : callable, optional
        Changes the common training configuration (given it and K) where the method needs it.
    """

    name: str
    title: str
    schedule: Callable[[int], WeightSchedule]
    adapt: Callable[[TrainingConfig, int], TrainingConfig] = _unchanged

    def fit(self, problem: SparseCodingProblem, runs: Sequence[RunConfig]) -> list[Fitted | None]:
        """Train all runs in one program; see `Method.fit`."""
        first = runs[0]
        m = first.cell.m
        data, _, _ = problem.rows(np.float32)
        common = TrainingConfig(
            m,
            n_steps=first.n_steps,
            batch_size=first.batch_size,
            arithmetic=first.arithmetic,
        )
        config = self.adapt(common, problem.K)
        schedule = self.schedule(problem.K)
        result = train(
            torch.from_numpy(data).to(first.device),
            problem.K,
            [Run(run.seeds, run.learning_rate, schedule) for run in runs],
            config,
        )
        return [
            None if diverged else _fitted(result.model.run(s), m)
            for s, diverged in enumerate(result.diverged.tolist())
        ]


def _fitted(model: TopMSAE, m: int) -> Fitted:
    def encode(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n K"]:
        x = torch.from_numpy(rows).to(model.atoms.device)
        return model.encode_all(x, m)[0].cpu().numpy()

    return Fitted(model.atoms[0].detach().cpu().double().numpy().T, encode)


def with_training(**changes: object) -> Callable[[TrainingConfig, int], TrainingConfig]:
    """Return an `adapt` that replaces fields of the training configuration."""
    return lambda config, K: replace(config, **changes)  # pyright: ignore[reportArgumentType]


def tuned_learning_rate(method: str) -> float:
    """Return the learning rate that `python -m benchmarks.tune` chose for a method.

    Raises
    ------
    InputError
        If the method has not been tuned.
    """
    rates = _tuned_rates()
    if method not in rates:
        raise InputError(
            f"method {method!r} has no tuned learning rate: expected --lr, or a run of"
            f" 'python -m benchmarks.tune --methods {method}' first"
        )
    return rates[method]


@cache
def _tuned_rates() -> dict[str, float]:
    if not LEARNING_RATES.is_file():
        return {}
    chosen = json.loads(LEARNING_RATES.read_text(encoding="utf-8"))["chosen"]
    return {name: float(rate) for name, rate in chosen.items()}
