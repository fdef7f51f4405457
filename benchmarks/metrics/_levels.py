"""Chance levels that several metrics share, and the margin below which a difference is none."""

from functools import cache

from benchmarks.contracts import Shape
from osae_theory.metrics import ChanceLevel, chance_stability

# Differences in Stab and in Ord that are smaller count as none: fixed beforehand.
MARGIN = 0.02
CHANCE_DRAWS = 100


@cache
def random_level(shape: Shape) -> ChanceLevel:
    """Return the level of Stab(D, D') for unrelated isotropic dictionaries."""
    return chance_stability(shape.d, shape.K, n_draws=CHANCE_DRAWS)


@cache
def random_for_truth(shape: Shape) -> float:
    """Return the mean level of Stab(D, D*), over as many pairs as the narrower has atoms."""
    width = max(shape.K, shape.K_true)
    zeros = (width - shape.K, width - shape.K_true)
    level = chance_stability(shape.d, width, n_draws=CHANCE_DRAWS, zeros=zeros)
    return level.mean * width / shape.n_pairs


def random_dictionaries(shape: Shape) -> float:
    """Return the mean of `random_level`."""
    return random_level(shape).mean


def no_order(shape: Shape) -> float | None:
    """Return the mean of Ord over random permutations; None where there is one pair."""
    return 0.0 if shape.n_pairs > 1 else None
