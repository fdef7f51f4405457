"""What the truth itself scores on a problem draw: the most that a method can be asked for."""

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Int
from sklearn.linear_model import orthogonal_mp

from benchmarks.config import Cell
from osae_theory.metrics import (
    LatentStatistics,
    fraction_of_variance_unexplained,
    mean_squared_error,
    orderedness_of_permutation,
)
from osae_theory.problems import SparseCodingProblem
from osae_theory.threads import limited_threads
from osae_theory.workers import THREADS_PER_WORKER, in_workers

# The pursuit goes through its samples one by one: more would cost as much as training does.
PURSUED_SAMPLES = 2_000

Draw = tuple[Cell, int]


def ceilings(
    draws: Sequence[Draw], n_workers: int, on_progress: Callable[[int], object] | None = None
) -> dict[Draw, Mapping[str, float]]:
    """Return the ceiling of every problem draw, in the order given.

    Parameters
    ----------
    draws : sequence of (Cell, int)
        Each draw's cell and problem seed.
    n_workers : int
        Worker processes, spawned; 1 computes in this process.
    on_progress : callable, optional
        Called with 1 after each draw.
    """
    found = {}
    for draw, values in in_workers(_labelled, draws, n_workers):
        found[draw] = values
        if on_progress is not None:
            on_progress(1)
    return {draw: found[draw] for draw in draws}


def _labelled(draw: Draw) -> tuple[Draw, Mapping[str, float]]:
    return draw, ceiling(draw)


def ceiling(draw: Draw) -> Mapping[str, float]:
    """Return the ceiling of a problem draw, given its cell and its problem seed.

    Returns
    -------
    mapping of str to float
        "ord_by_energy" and "ord_by_frequency": Ord between the order that the true codes Y* of
        the training samples give the true atoms that they hold, and the law's own order;
        "mse" and "fvu": of
        orthogonal matching pursuit with m atoms of the true dictionary, on further samples of
        its own. What is not defined is NaN.
    """
    cell, problem_seed = draw
    with limited_threads(THREADS_PER_WORKER):
        spec = cell.spec(problem_seed)
        statistics = LatentStatistics.of(spec.draw().codes)
        heldout = spec.draw("heldout", PURSUED_SAMPLES)
        pursued = heldout.dictionary @ pursuit_codes(heldout, cell.m)
        return {
            "ord_by_energy": _orderedness(statistics, statistics.order_by_energy(problem_seed)),
            "ord_by_frequency": _orderedness(
                statistics, statistics.order_by_frequency(problem_seed)
            ),
            "mse": mean_squared_error(heldout.data, pursued),
            "fvu": fraction_of_variance_unexplained(heldout.data, pursued),
        }


def _orderedness(statistics: LatentStatistics, order: Int[np.ndarray, " K"]) -> float:
    return orderedness_of_permutation(order, ~statistics.dead[order])


def pursuit_codes(problem: SparseCodingProblem, m: int) -> np.ndarray:
    """Return the codes (K, N) of orthogonal matching pursuit with the true dictionary.

    Of either sign, at most `m` nonzero entries a sample. The codes that made the data are no
    worse, so for data without noise this is what greedy search loses, not the dictionary.
    """
    with warnings.catch_warnings():
        # The pursuit says so when it needs fewer atoms than it may use.
        warnings.simplefilter("ignore", RuntimeWarning)
        codes = orthogonal_mp(problem.dictionary, problem.data, n_nonzero_coefs=m, precompute=True)
    return np.reshape(codes, (problem.K, problem.n_samples))
