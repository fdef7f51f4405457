"""A top-m SAE whose atoms are refined by pursuit in the middle of its training.

All in one budget of steps. A share of them trains the plain top-m SAE, by the whole recipe in
short. Its atoms are then refined on all training samples, by nonnegative orthogonal matching
pursuit and least squares in turn (`osae_theory.pursuit.refine`): an iteration is a pass over all
samples and no step, and comes on top of the budget. The remaining steps train an SAE by the same
loss, at the final sparsity throughout. It starts at the refined atoms, its encoder at their
transpose, and sees the samples in an order of its own; its atoms are free, and follow the encoder.

The variant puts latents in order of their energy every 50 of the remaining steps.
"""

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.contracts import Data, Fit, Fitted, Method, Params
from benchmarks.methods import topk
from benchmarks.methods._pursuit import scaled
from benchmarks.methods._sae import Adapt, full, resorted, sae_method
from benchmarks.parameters import Parameter
from benchmarks.training.dense import member_seeds
from osae_theory.errors import InputError
from osae_theory.pursuit import refine
from osae_theory.sae import RunSeeds, SparsityWarmup, TrainingConfig

SHARE = Parameter(
    "share",
    "real",
    "share of the steps that come before the refinement, in (0, 1)",
    default=0.5,
    above=0,
    below=1,
)
ITERATIONS = Parameter(
    "iterations", "integer", "most iterations of the refinement, at least 1", default=10, at_least=1
)
_PLAIN = next(method for method in topk.METHODS if method.name == "topk")


def _refined_midway(name: str, title: str, adapt: Adapt) -> Method:
    """Return a method; `adapt` changes the common recipe for the steps after the refinement."""

    def fit(data: Data, how: Fit, seeds: Sequence[RunSeeds]) -> list[Fitted | None]:
        before, after = parts_of(how)
        return [
            None if trained is None else trained_on(trained, data, after, own)
            for trained, own in zip(_PLAIN.fit(data, before, seeds), seeds, strict=True)
        ]

    def trained_on(trained: Fitted, data: Data, how: Fit, own: RunSeeds) -> Fitted | None:
        iterations = int(how.params["iterations"])
        atoms = scaled(trained.dictionary.T)
        refined = refine(data.rows, atoms, data.m, iterations=iterations, update="mod").atoms
        sae = sae_method(name, title, full, adapt, start=lambda data, own: refined)
        [found] = sae.fit(data, how, [member_seeds(own, 1)])
        return found

    return Method(name, title, fit, (SHARE, ITERATIONS, *_PLAIN.parameters), tuned_as=_PLAIN.name)


def parts_of(how: Fit) -> tuple[Fit, Fit]:
    """Return what the runs share before the refinement and after it: at least one step each.

    Raises
    ------
    InputError
        If the budget is one step.
    """
    n_steps = how.budget.amount
    if n_steps < 2:
        raise InputError(f"steps = {n_steps}: expected at least 2, before a refinement and after")
    before = min(max(round(float(how.params["share"]) * n_steps), 1), n_steps - 1)
    first, rest = (replace(how.budget, amount=amount) for amount in (before, n_steps - before))
    return replace(how, budget=first), replace(how, budget=rest)


def _sparse(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    return replace(config, sparsity_warmup=SparsityWarmup(0.0))


def _sorted(config: TrainingConfig, K: int, params: Params) -> TrainingConfig:
    return resorted(_sparse(config, K, params), K, params)


METHODS = (
    _refined_midway("topk-refined-midway", "top-m SAE (refined midway)", _sparse),
    _refined_midway(
        "topk-refined-midway-resorted", "top-m SAE (refined midway, re-sorted)", _sorted
    ),
)
