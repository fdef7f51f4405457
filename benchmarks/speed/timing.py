"""Contenders timed in turns, and paired ratios: two in the same round see the same machine."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.peers.measure import Step, interleaved
from benchmarks.speed.shapes import Shape
from benchmarks.speed.steps import random_batch

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Plan:
    """What to time, and how often.

    Attributes
    ----------
    name : str
        Name of the shape.
    shape : Shape
        The size.
    rounds, warmup : int
        Rounds that count, and rounds before them that do not.
    steps : int
        Steps of a contender's turn.
    """

    name: str
    shape: Shape
    rounds: int
    warmup: int
    steps: int


@dataclass(frozen=True)
class Ratio:
    """How much longer one contender takes than another, round by round.

    Attributes
    ----------
    median : float
        Median of the ratios.
    low, high : float
        Their quartiles.
    rounds : int
        How many there are.
    """

    median: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def paired(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """Return the ratio of two contenders' seconds in the same rounds."""
    ratios = np.asarray(numerator) / np.asarray(denominator)
    low, median, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return Ratio(float(median), float(low), float(high), len(ratios))


def timed(
    ways: Mapping[str, Step], plan: Plan, device: torch.device = _CPU
) -> dict[str, list[float]]:
    """Return each contender's seconds a step, in the rounds that count, by its name.

    Every round has a batch of its own; the device is waited for before and after each turn.
    """
    batches = (
        random_batch(plan.shape, plan.shape.batch, i).to(device)
        for i in range(plan.rounds + plan.warmup)
    )

    def clock() -> float:
        synchronise(device)
        return time.perf_counter()

    seconds = interleaved(list(ways.values()), batches, plan.steps, clock)
    return {name: taken[plan.warmup :] for name, taken in zip(ways, seconds, strict=True)}


def synchronise(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return each contender's median: of an even number, the upper of the two in the middle."""
    return {name: sorted(taken)[len(taken) // 2] for name, taken in seconds.items()}


def named(
    seconds: Mapping[str, Sequence[float]], pairs: Mapping[str, tuple[str, str]]
) -> dict[str, Ratio]:
    """Return the ratios that have a name, so far as both contenders, (over, under), were timed."""
    return {
        name: paired(seconds[a], seconds[b])
        for name, (a, b) in pairs.items()
        if a in seconds and b in seconds
    }


def relative_to(seconds: Mapping[str, Sequence[float]], yardstick: str) -> dict[str, Ratio]:
    """Return every contender's ratio to one of them."""
    return {name: paired(taken, seconds[yardstick]) for name, taken in seconds.items()}
