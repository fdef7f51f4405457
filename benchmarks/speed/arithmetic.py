"""What defined bits cost: portable arithmetic against the machine's BLAS, in the same rounds."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks import catalogue
from benchmarks.peers.measure import interleaved
from benchmarks.presets._toy import PAPER_CELL
from benchmarks.speed import steps
from benchmarks.speed.shapes import Shape
from benchmarks.speed.timing import Ratio, paired
from osae_theory.prefixes import PrefixLaw
from osae_theory.sae import Run, RunSeeds, TrainingConfig, train
from osae_theory.sae.kernels import ARITHMETICS

# A training this long has the shape of a whole one: the number of active latents falls from K
# to m over its first half.
_TRAINING_STEPS = 300
_TRAININGS = 7


def step_ratio(shape: Shape, rounds: int, warmup: int, n_steps: int) -> Ratio:
    """Return portable over fast for one training step at m active latents."""
    ways = [steps.training_step(shape, "uniform", arithmetic) for arithmetic in ARITHMETICS]
    batches = (steps.random_batch(shape, shape.batch, i) for i in range(rounds + warmup))
    portable, fast = interleaved(ways, batches, n_steps)
    return paired(portable[warmup:], fast[warmup:])


def training_ratio() -> Ratio:
    """Return portable over fast for a short training, with k warm-up, on the paper's cell."""
    ways = [_training(arithmetic) for arithmetic in ARITHMETICS]
    portable, fast = interleaved(ways, _problems(), 1)
    return paired(portable[1:], fast[1:])


def _problems() -> Iterator[Float[Tensor, "N d"]]:
    for draw in range(_TRAININGS + 1):
        yield torch.from_numpy(
            catalogue.problem_spec(catalogue.case_of("toy", PAPER_CELL, draw)).draw().rows()[0]
        )


def _training(arithmetic: str) -> Callable[[Float[Tensor, "N d"]], object]:
    config = TrainingConfig(int(PAPER_CELL["m"]), n_steps=_TRAINING_STEPS, arithmetic=arithmetic)
    runs = [Run(RunSeeds.same(0), 0.01, PrefixLaw.uniform(int(PAPER_CELL["K"])))]
    return lambda x: train(x, int(PAPER_CELL["K"]), runs, config)
