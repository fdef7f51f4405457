"""Paired ratios: two contenders in the same round see the same machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


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


def relative_to(seconds: Mapping[str, Sequence[float]], yardstick: str) -> dict[str, Ratio]:
    """Return every contender's ratio to one of them."""
    return {name: paired(taken, seconds[yardstick]) for name, taken in seconds.items()}
